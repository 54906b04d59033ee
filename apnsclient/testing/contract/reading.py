"""Rules of ``read()``: what has come, as soon as there is any; nothing lost, nothing made up."""

from __future__ import absolute_import, division, print_function

import time

from ..._compat import MYPY
from ...errors import is_timeout
from ._drip import Drip, try_longer
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any, List

    from ._stage import Stage

__all__ = ["ReadingRules"]


class ReadingRules(Rules):
    """What ``read(size, timeout)`` returns, and raises."""

    @rule("network")
    def test_read_returns_what_is_there(self, stage):
        # type: (Stage) -> None
        """It returns fewer bytes than asked for as soon as there are any: an error frame has 6."""
        connection, peer = stage.open()
        peer.send(b"response")
        with stage.rescue(peer.end) as rescue:
            data = connection.read(1000, stage.patience * 2)
        expect(data == b"response", "read(1000) returned %r, the peer had sent b'response'", data)
        expect(not rescue.was_needed, "read(1000) waited for more than was there")

    @rule("network")
    def test_read_returns_no_more_than_asked_for(self, stage):
        # type: (Stage) -> None
        """At most ``size`` bytes; the rest is returned by the next call, without waiting for more.

        TLS hands out whole records, so that the rest lies in the library or in the back-end, where
        the system's ``select()`` does not see it.
        """
        connection, peer = stage.open()
        peer.send(b"0123456789")
        with stage.rescue(peer.end) as rescue:
            pieces = [connection.read(4, stage.patience * 2) for _ in range(3)]
        expect(not rescue.was_needed, "read() waited for what had come with an earlier record")
        expect(pieces == [b"0123", b"4567", b"89"],
               "read(4) of b'0123456789' returned one after the other %r", pieces)

    @rule("network")
    def test_read_returns_everything_in_order(self, stage):
        # type: (Stage) -> None
        """Many records of many sizes arrive as the stream that they were."""
        sent = b"".join(b"%06d" % number for number in range(50000))
        connection, peer = stage.open()

        def send():
            # type: () -> None
            position, size = 0, 1
            while position < len(sent):
                peer.send(sent[position:position + size])
                position, size = position + size, size * 2 % 30011 + 1
            peer.end()

        sending = stage.aside(send)
        received = _read_all(stage, connection)
        sending.result()
        expect(received == sent, "%d bytes were sent, and %d arrived; they are the same up to "
               "position %d", len(sent), len(received), _common(sent, received))

    @rule("network")
    def test_a_record_may_come_in_pieces(self, stage):
        # type: (Stage) -> None
        """TCP cuts where it likes: a record that comes byte by byte is waited for."""
        connection, peer = stage.open()
        sealed = bytearray(peer.seal(b"whole"))

        def drip():
            # type: () -> None
            for octet in sealed:
                peer.send_raw(bytes(bytearray([octet])))
                time.sleep(0.001)

        dripping = stage.aside(drip)
        data = connection.read(100, stage.patience)
        dripping.result()
        expect(data == b"whole", "b'whole' came byte by byte; read() returned %r", data)

    @rule("network")
    def test_a_read_ends_when_its_time_is_over(self, stage):
        # type: (Stage) -> None
        """``Timeout`` after ``timeout`` seconds of silence, neither earlier nor never.

        Silence until then means success, which is why the exception must be this one.
        """
        connection, peer = stage.open()
        with stage.rescue(peer.end) as rescue:
            stage.times_out("read()", rescue, connection.read, 100, SHORT)

    @rule("network")
    def test_the_time_of_a_read_is_for_the_whole_call(self, stage):
        # type: (Stage) -> None
        """Bytes that make no whole record do not prolong it."""
        connection, peer = stage.open()
        sealed = bytearray(peer.seal(b"x" * 16000))

        def drip():
            # type: () -> bool
            peer.send_raw(bytes(bytearray([sealed.pop(0)])))
            return True

        def attempt(timeout):
            # type: (float) -> bool
            with Drip(stage, drip, timeout / 8) as dripping:
                with stage.rescue(peer.hang_up) as rescue:
                    stage.times_out("read()", rescue, connection.read, 100, timeout)
            return dripping.was_fast_enough(timeout)

        try_longer(stage, attempt, SHORT)

    @rule("network")
    def test_a_connection_is_usable_after_a_timeout(self, stage):
        # type: (Stage) -> None
        """A read that ran out of time has lost nothing, and is followed by others and by writes."""
        connection, peer = stage.open()
        sealed = peer.seal(b"late")
        peer.send_raw(sealed[:7])
        stage.attempt(connection.read, 100, SHORT / 3)
        peer.send_raw(sealed[7:])
        data = connection.read(100, stage.patience)
        expect(data == b"late", "after a timeout in the middle of a record read() returned %r, "
               "expected b'late'", data)
        connection.write(b"on", stage.patience)
        expect(peer.receive(2) == b"on", "what was written after a timeout did not arrive")

    @rule("network")
    def test_the_end_of_the_stream_is_none(self, stage):
        # type: (Stage) -> None
        """After a close-notify, and after all that came before it; as often as it is asked for."""
        connection, peer = stage.open()
        peer.send(b"last")
        peer.end()
        results = [connection.read(100, stage.patience) for _ in range(3)]
        expect(results == [b"last", None, None], "the peer sent b'last' and ended the stream; "
               "read() returned one after the other %r, expected b'last', None, None", results)

    @rule("network")
    def test_an_end_without_close_notify_is_an_end(self, stage):
        # type: (Stage) -> None
        """Servers drop connections: a stream that breaks off has ended, as often as it is asked."""
        connection, peer = stage.open()
        peer.send(b"last")
        peer.end_rudely()
        results = [stage.attempt(connection.read, 100, stage.patience) for _ in range(3)]
        expect(results == [b"last", None, None], "the peer sent b'last' and broke off the stream; "
               "read() returned one after the other %r, expected b'last', None, None", results)

    @rule("network")
    def test_a_reset_is_no_silence(self, stage):
        # type: (Stage) -> None
        """A connection that the peer reset is at its end, or has failed; it has not timed out.

        A timeout counts as success, and nothing would be sent again.
        """
        connection, peer = stage.open()
        peer.reset()
        result = stage.attempt(connection.read, 100, stage.patience)
        expect(result is None or isinstance(result, Exception),
               "read() of a connection that was reset returned %r", result)
        expect(not (isinstance(result, Exception) and is_timeout(result)),
               "read() of a connection that was reset raised a timeout: %s", result)


def _read_all(stage, connection):
    # type: (Stage, Any) -> bytes
    received = []  # type: List[bytes]
    while True:
        data = connection.read(4096, stage.patience)
        if data is None:
            return b"".join(received)
        expect(0 < len(data) <= 4096, "read(4096) returned %d bytes", len(data))
        received.append(data)


def _common(first, second):
    # type: (bytes, bytes) -> int
    """Return how many bytes two strings begin with in common."""
    for position, (one, other) in enumerate(zip(first, second)):
        if one != other:
            return position
    return min(len(first), len(second))
