"""Rules of ``close()`` and ``closed()``: nothing lost, nothing raised, no waiting for ever."""

from __future__ import absolute_import, division, print_function

import socket
import time

from ..._compat import MYPY, monotonic
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any

    from ._stage import Stage

__all__ = ["ClosingRules"]

#: Seconds that the peer is given at least.
_LEAST = 0.5


class ClosingRules(Rules):
    """What ``close()`` does, and what ``closed()`` says."""

    @rule()
    def test_a_connection_is_closed_after_close(self, stage):
        # type: (Stage) -> None
        """``closed()`` is False before, and True from then on."""
        connection = stage.connect(stage.address())
        before = connection.closed()
        connection.close()
        expect(before is False and connection.closed() is True,
               "closed() returned %r before close(), and %r after it", before, connection.closed())

    @rule()
    def test_close_may_be_called_again(self, stage):
        # type: (Stage) -> None
        """The pool, the session and the garbage collector may each come to it."""
        connection = stage.connect(stage.address())
        for _ in range(3):
            connection.close()
        expect(connection.closed() is True, "closed() is not True after close()")

    @rule("network")
    def test_a_broken_connection_is_closed_without_noise(self, stage):
        # type: (Stage) -> None
        """``close()`` raises nothing, whether or not the failure was noticed before."""
        for is_noticed in (False, True):
            connection, peer = stage.open()
            connection.write(b"x", stage.patience)
            peer.reset()
            if is_noticed:
                stage.attempt(stage.peek, connection, 10)
            result = stage.attempt(connection.closed)
            expect(isinstance(result, bool), "closed() of a connection that was reset returned %r; "
                   "it never raises, and returns True or False", result)
            connection.close()
            expect(connection.closed() is True, "closed() is not True after close()")

    @rule("network")
    def test_what_was_written_before_close_arrives(self, stage):
        # type: (Stage) -> None
        """Also where something lies unread: the kernel would reset the connection.

        Send the close-notify, end the sending side, read to the end, and only then close.
        """
        connection, peer = stage.open(stage.server(receive_buffer=8192))
        peer.send(b"unread")
        sent = b"x" * 400000

        def receive():
            # type: () -> bytes
            time.sleep(SHORT / 3)
            received = peer.receive_all()
            peer.hang_up()
            return received

        connection.write(sent, stage.patience)
        receiving = stage.aside(receive)
        connection.close()
        received = receiving.result()
        expect(received == sent, "%d bytes were written before close(), and %d arrived", len(sent),
               len(received))

    @rule("network")
    def test_close_says_so_to_the_peer(self, stage):
        # type: (Stage) -> None
        """After a write the stream ends with a close-notify: nobody has cut it off.

        What the peer still says is in ``received_on_close``, decrypted, or nowhere.
        """
        connection, peer = stage.open()
        connection.write(b"last", stage.patience)

        def receive():
            # type: () -> None
            peer.receive_all()
            try:
                peer.send(b"late")
            except socket.error:
                pass  # It was not waited for.
            peer.hang_up()

        receiving = stage.aside(receive)
        connection.close()
        receiving.result()
        expect(peer.ending == "close-notify", "the stream ended with %r for the peer, expected a "
               "close-notify", peer.ending)
        expect(b"late".startswith(connection.received_on_close), "during close() the peer said "
               "b'late', and received_on_close is %r; expected that, or b'' if it is not kept",
               connection.received_on_close)

    @rule("network")
    def test_close_gives_the_peer_time(self, stage):
        # type: (Stage) -> None
        """Half a second at the least, for a peer that is far away or has a lot to do.

        What it sends after that is met with a reset, and then it loses what it has not read.
        """
        connection, peer = stage.open()
        connection.write(b"last", stage.patience)
        begin = monotonic()

        def talk():
            # type: () -> float
            # It reads nothing, and learns in this way that the client has gone.
            try:
                while monotonic() < begin + stage.patience:
                    peer.send(b"x")
                    time.sleep(0.05)
            except socket.error:
                pass
            return monotonic() - begin

        talking = stage.aside(talk)
        connection.close()
        lasted = talking.result()
        expect(lasted > _LEAST, "the connection was gone %.2f s after close() was called; a peer "
               "that has not read everything by then should have at least %g s", lasted, _LEAST)

    @rule("network")
    def test_close_does_not_wait_for_ever(self, stage):
        # type: (Stage) -> None
        """A peer that never responds is left after a bounded time; a second is a good bound."""
        connection, peer = stage.open()
        connection.write(b"last", stage.patience)
        with stage.rescue(peer.hang_up) as rescue:
            connection.close()
        expect(not rescue.was_needed, "close() waited for more than %g s", stage.patience)

    @rule("network")
    def test_close_after_a_failed_write_does_not_wait(self, stage):
        # type: (Stage) -> None
        """There the peer takes nothing more, not even a close-notify; it ends all the same."""
        connection, peer = stage.open(stage.server(receive_buffer=8192))
        stage.attempt(connection.write, b"x" * (24 << 20), SHORT)
        with stage.rescue(peer.hang_up) as rescue:
            connection.close()
        expect(not rescue.was_needed, "close() waited for more than %g s", stage.patience)
        expect(connection.closed() is True, "closed() is not True after close()")

    @rule("network")
    def test_an_abandoned_stream_is_not_read_to_its_end(self, stage):
        # type: (Stage) -> None
        """Where nothing was written, close() reads nothing.

        The feedback service takes for known what was read, so what is left must not look like it.
        """
        connection, peer = stage.open()

        def send():
            # type: () -> Any
            try:
                peer.send(b"x" * (2 << 20))
                peer.end()
                peer.receive_all()
            except socket.timeout:
                raise
            except socket.error:
                return "reset"
            return peer.ending

        sending = stage.aside(send)
        connection.read(10, stage.patience)
        connection.close()
        ending = sending.result()
        expect(ending == "reset", "a stream was abandoned after 10 bytes, and its peer saw %r: it "
               "takes all of it for read", ending)

    @rule("network")
    def test_closed_does_not_wait(self, stage):
        # type: (Stage) -> None
        """It is asked of each connection that comes out of the pool, most of them silent."""
        connection, peer = stage.open()
        with stage.rescue(peer.end) as rescue:
            result = connection.closed()
        expect(not rescue.was_needed, "closed() waited until something came")
        expect(result is False, "closed() of an open connection returned %r", result)

    @rule("network")
    def test_a_connection_is_closed_after_the_end_was_read(self, stage):
        # type: (Stage) -> None
        """Not before: as long as something is left to read, ``closed()`` is False."""
        connection, peer = stage.open()
        peer.send(b"0123456789")
        peer.end()
        first = connection.read(4, stage.patience)
        early = connection.closed()
        rest = connection.read(100, stage.patience)
        end = connection.read(100, stage.patience)
        expect((first, rest, end) == (b"0123", b"456789", None), "around closed() a stream of "
               "b'0123456789' was read as %r", (first, rest, end))
        expect(early is False, "closed() returned %r while something was left to read", early)
        expect(connection.closed() is True, "closed() returned %r after the end of the stream had "
               "been read", connection.closed())

    @rule("network", "detection")
    def test_closed_tells_that_the_peer_has_hung_up(self, stage):
        # type: (Stage) -> None
        """It is what ``can_detect_close`` promises, however the stream ends."""
        for ending in ("end", "end_rudely", "reset"):
            connection, peer = stage.open()
            getattr(peer, ending)()
            stage.until(connection.closed, "closed() did not tell that the peer had hung up (%s); "
                        "can_detect_close promises it" % ending)
