"""Rules of ``write()``: all or an exception, in time, and nothing after a failure."""

from __future__ import absolute_import, division, print_function

import time

from ..._compat import MYPY
from ...errors import is_timeout
from ._drip import Drip, try_longer
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any

    from ._stage import Stage

__all__ = ["WritingRules"]

#: More than the buffers of two kernels take.
_LARGE = 24 << 20
#: Size of a peer's buffer that makes a client wait soon.
_SMALL_BUFFER = 16384
#: Size of a peer's buffer that makes a client wait often.
_SLOW_BUFFER = 65536
#: What a peer takes at a time, when it takes its time.
_SIP = 98304
#: How much it has taken by the time that a client has room to write again: a third of the buffer.
_NOTICEABLE = 1 << 20


class WritingRules(Rules):
    """What ``write(data, timeout)`` does."""

    @rule("network")
    def test_what_is_written_arrives(self, stage):
        # type: (Stage) -> None
        """Byte for byte and in order, one byte as well as many records at once."""
        connection, peer = stage.open()
        pieces = [b"x", b"0123456789", _pattern(16384), _pattern(100001), b"y"]
        receiving = stage.aside(lambda: peer.receive(sum(len(piece) for piece in pieces)))
        for piece in pieces[:-1]:
            connection.write(piece, stage.patience)
        connection.write(pieces[-1], None)  # As long as it takes.
        _expect_arrived(receiving.result(), b"".join(pieces))

    @rule("network")
    def test_a_write_waits_for_a_slow_peer(self, stage):
        # type: (Stage) -> None
        """More than the network takes at once is written in the end, and none of it twice."""
        connection, peer = stage.open(stage.server(receive_buffer=_SLOW_BUFFER))
        sent = _pattern(4 << 20)

        def receive():
            # type: () -> bytes
            time.sleep(SHORT)
            return peer.receive(len(sent))

        receiving = stage.aside(receive)
        connection.write(sent, stage.patience * 2)
        _expect_arrived(receiving.result(), sent)

    @rule("network")
    def test_both_directions_are_independent(self, stage):
        # type: (Stage) -> None
        """A write does not consume what arrives meanwhile: ``read()`` returns it afterwards."""
        connection, peer = stage.open()
        peer.send(b"before")
        receiving = stage.aside(lambda: peer.receive(200000))
        connection.write(_pattern(200000), stage.patience)
        receiving.result()
        data = connection.read(100, stage.patience)
        expect(data == b"before", "read() after a write returned %r; b'before' had come before it",
               data)

    @rule("network")
    def test_a_write_ends_when_its_time_is_over(self, stage):
        # type: (Stage) -> None
        """The peer takes nothing more: ``Timeout`` after ``timeout`` seconds."""
        connection, peer = stage.open(stage.server(receive_buffer=_SMALL_BUFFER))
        with stage.rescue(peer.hang_up) as rescue:
            stage.times_out("write()", rescue, connection.write, _pattern(_LARGE), SHORT)

    @rule("network")
    def test_the_time_of_a_write_is_for_the_whole_call(self, stage):
        # type: (Stage) -> None
        """A peer that takes a little now and then does not prolong it."""
        def attempt(timeout):
            # type: (float) -> bool
            connection, peer = stage.open()
            taken = [0]

            def sip():
                # type: () -> bool
                before = taken[0]
                taken[0] += len(peer.receive_raw(_SIP))
                return taken[0] // _NOTICEABLE > before // _NOTICEABLE

            with Drip(stage, sip, timeout / 150, peer.hang_up) as sipping:
                with stage.rescue(peer.hang_up) as rescue:
                    stage.times_out("write()", rescue, connection.write, data, timeout)
            return sipping.was_fast_enough(timeout)

        data = _pattern(2 * _LARGE)
        try_longer(stage, attempt, 2 * SHORT)

    @rule("network")
    def test_nothing_is_written_after_a_failed_write(self, stage):
        # type: (Stage) -> None
        """How much arrived is not known, so what came next could not be made sense of.

        The peer gets the beginning of what was written, and nothing that does not belong there.
        """
        connection, peer = stage.open(stage.server(receive_buffer=_SMALL_BUFFER))
        sent = _pattern(_LARGE)
        _fail_to_write(stage, connection, sent)
        receiving = stage.aside(peer.receive_all)
        stage.raises(Exception, "write() after a write that had failed", connection.write,
                     b"#" * 100, stage.patience)
        connection.close()
        received = receiving.result()
        expect(sent.startswith(received), "after a write that failed the peer got something else "
               "than the beginning of what was written: %r", received[-20:])

    @rule("network")
    def test_what_had_come_is_read_after_a_failed_write(self, stage):
        # type: (Stage) -> None
        """The gateway says why, and takes nothing more; ``peek()`` and ``read()`` return it."""
        connection, peer = stage.open(stage.server(receive_buffer=_SMALL_BUFFER))
        peer.send(b"reason")
        _fail_to_write(stage, connection, _pattern(_LARGE))
        results = [connection.peek(3), connection.read(100, stage.patience)]
        expect(results == [b"rea", b"son"], "after a write that failed peek(3) and read(100) "
               "returned %r; b'reason' had come", results)

    @rule("network")
    def test_what_had_come_is_read_after_a_hang_up(self, stage):
        # type: (Stage) -> None
        """The gateway says why, and hangs up; writes fail, and its reason can still be read."""
        connection, peer = stage.open()
        peer.send(b"reason")
        peer.hang_up()
        stage.raises(Exception, "writing to a peer that has hung up", _write_on, stage, connection)
        data = connection.read(100, stage.patience)
        expect(data == b"reason", "after a hang-up read() returned %r; b'reason' had come before "
               "it", data)

    @rule("network")
    def test_a_write_to_a_peer_that_is_gone_fails(self, stage):
        # type: (Stage) -> None
        """It raises, soon, and no timeout: that one would mean that the peer is merely slow."""
        connection, peer = stage.open()
        peer.reset()
        error = stage.raises(Exception, "writing to a peer that is gone", _write_on, stage,
                             connection)
        expect(not is_timeout(error), "writing to a peer that is gone raised a timeout: %s", error)


def _pattern(size):
    # type: (int) -> bytes
    """Return so many bytes, in which no place looks like the next one."""
    block = b"".join(b"%07d\n" % number for number in range(8192))
    return (block * (size // len(block) + 1))[:size]


def _expect_arrived(received, sent):
    # type: (bytes, bytes) -> None
    expect(received == sent, "%d bytes were written; %d arrived, or others", len(sent),
           len(received))


def _fail_to_write(stage, connection, data):
    # type: (Stage, Any, bytes) -> None
    """Write more than the peer takes."""
    result = stage.attempt(connection.write, data, SHORT)
    expect(isinstance(result, Exception), "write() returned, though the peer takes nothing: it "
           "must write all of it or raise")


def _write_on(stage, connection):
    # type: (Stage, Any) -> None
    """Write until it fails; the first bytes after a hang-up may still go out."""
    for _ in range(200):
        connection.write(b"x" * 1000, stage.patience)
        time.sleep(0.005)
