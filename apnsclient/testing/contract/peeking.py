"""Rules of ``peek()`` and ``reset()``: what is there now, without waiting."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ._rule import Rules, rule
from ._stage import expect

if MYPY:
    from ._stage import Stage

__all__ = ["PeekingRules"]


class PeekingRules(Rules):
    """What ``peek(size)`` returns, and what ``reset()`` drops."""

    @rule("network")
    def test_peek_does_not_wait(self, stage):
        # type: (Stage) -> None
        """With nothing there it returns None at once.

        The session calls it every now and then while it writes.
        """
        connection, peer = stage.open()
        with stage.rescue(lambda: peer.send(b"rescue")) as rescue:
            results = [connection.peek(100) for _ in range(3)]
        expect(not rescue.was_needed, "peek() waited until something came")
        expect(results == [None, None, None], "peek() of a silent connection returned %r, expected "
               "None", results)

    @rule("network")
    def test_peek_does_not_wait_for_the_rest_of_a_record(self, stage):
        # type: (Stage) -> None
        """Half a record is nothing yet; with its other half it is whole."""
        connection, peer = stage.open()
        sealed = peer.seal(b"whole")
        peer.send_raw(sealed[:9])
        with stage.rescue(lambda: peer.send_raw(sealed[9:])) as rescue:
            results = [connection.peek(100) for _ in range(3)]
        expect(not rescue.was_needed, "peek() waited for the rest of a TLS record")
        expect(results == [None, None, None], "peek() of half a record returned %r", results)
        peer.send_raw(sealed[9:])
        data = stage.peek(connection, 100)
        expect(data == b"whole", "peek() returned %r when the record was whole, expected b'whole'",
               data)

    @rule("network")
    def test_peek_returns_what_has_come(self, stage):
        # type: (Stage) -> None
        """It returns what can be read now, and that is consumed.

        A ``peek()`` that always returns None loses late error frames, and what they tell about.
        """
        connection, peer = stage.open()
        peer.send(b"frame")
        data = stage.peek(connection, 100)
        expect(data == b"frame", "the peer sent b'frame'; peek() returned %r", data)
        again = connection.peek(100)
        expect(again is None, "what peek() had returned was there again: %r", again)

    @rule("network")
    def test_peek_returns_no_more_than_asked_for(self, stage):
        # type: (Stage) -> None
        """At most ``size`` bytes; ``read()`` returns the rest."""
        connection, peer = stage.open()
        peer.send(b"0123456789")
        first = stage.peek(connection, 4)
        with stage.rescue(peer.end) as rescue:
            rest = connection.read(100, stage.patience * 2)
        expect(first == b"0123" and rest == b"456789", "of b'0123456789' peek(4) returned %r, and "
               "read(100) after it %r", first, rest)
        expect(not rescue.was_needed, "read() waited for what peek() had left")

    @rule("network")
    def test_peek_sees_what_a_read_has_left(self, stage):
        # type: (Stage) -> None
        """Also what lies in the TLS library, where the system knows nothing of it."""
        connection, peer = stage.open()
        peer.send(b"0123456789")
        connection.read(4, stage.patience)
        data = connection.peek(100)
        expect(data == b"456789", "read(4) had left b'456789' of a record; peek(100) returned %r",
               data)

    @rule("network")
    def test_peek_tells_the_end_of_the_stream(self, stage):
        # type: (Stage) -> None
        """``b""`` each time, after all that came before; None would mean that more may come."""
        for ending, said in (("end", "with a close-notify"), ("end_rudely", "without one")):
            connection, peer = stage.open()
            peer.send(b"last")
            getattr(peer, ending)()
            results = [stage.attempt(stage.peek, connection, 100) for _ in range(3)]
            expect(results == [b"last", b"", b""], "the peer sent b'last' and ended the stream %s; "
                   "peek() returned one after the other %r, expected b'last', b'', b''", said,
                   results)

    @rule("network")
    def test_peek_tells_that_the_connection_is_gone(self, stage):
        # type: (Stage) -> None
        """What was reset raises, or is at its end: None for ever would say that it lives."""
        connection, peer = stage.open()
        peer.reset()
        data = stage.attempt(stage.peek, connection, 100)
        expect(data == b"" or isinstance(data, Exception),
               "peek() of a connection that was reset returned %r", data)

    @rule("network")
    def test_reset_drops_what_is_stale(self, stage):
        # type: (Stage) -> None
        """What a read has left of a record is gone, and what comes after is there.

        Before a new transmission the session has read what there is; what is still buffered must
        not be taken for a response to it.
        """
        connection, peer = stage.open()
        peer.send(b"0123456789")
        connection.read(4, stage.patience)
        connection.reset()
        data = connection.peek(100)
        expect(data is None, "after reset() peek() returned %r, which a read had left", data)

    @rule("network")
    def test_reset_keeps_the_connection(self, stage):
        # type: (Stage) -> None
        """It goes on in both directions, with the first half of a record as with nothing."""
        connection, peer = stage.open()
        sealed = peer.seal(b"fresh")
        peer.send_raw(sealed[:9])
        connection.peek(100)
        connection.reset()
        peer.send_raw(sealed[9:])
        data = connection.read(100, stage.patience)
        expect(data == b"fresh", "after reset() read() returned %r, expected b'fresh'", data)
        connection.write(b"on", stage.patience)
        expect(peer.receive(2) == b"on", "after reset() what was written did not arrive")

    @rule("network")
    def test_reset_raises_nothing(self, stage):
        # type: (Stage) -> None
        """Neither at the end of the stream nor over a connection that is gone."""
        for ending in ("end", "end_rudely", "reset"):
            connection, peer = stage.open()
            getattr(peer, ending)()
            connection.reset()
            stage.attempt(connection.read, 100, stage.patience)
            connection.reset()
