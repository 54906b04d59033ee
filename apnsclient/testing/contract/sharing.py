"""Rules of ``wait()`` and its wakers, with which callers share connections.

One of the callers waits, for all connections to a host at once. The others wake it when they have
something to write. A back-end that does not promise this (``can_share`` is False) leaves all of
these rules out.
"""

from __future__ import absolute_import, division, print_function

import time

from ..._compat import MYPY, monotonic
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any, Callable, List, Optional, Sequence, Tuple

    from ._peer import Peer
    from ._stage import Stage

__all__ = ["SharingRules"]

#: More than any system buffers of what is written in single bytes.
MANY = 70000

#: How often a connection may be taken for ready in vain: whatever TLS itself says makes it so.
FEW = 20


class SharingRules(Rules):
    """What ``wait(connections, timeout, waker)`` waits for, and what ends it."""

    @rule("sharing")
    def test_a_wait_ends_when_its_time_is_over(self, stage):
        # type: (Stage) -> None
        """After ``timeout`` seconds, neither earlier nor never; also where there is no connection.

        Whoever waits for its caller's deadline has nothing else that wakes it.
        """
        backend, waker = _sharing(stage)
        lasted = _expect_silence(stage, backend, [], SHORT, waker)
        expect(lasted > SHORT * 0.8, "wait() returned after %.3f s; nobody had woken it, and its "
               "timeout was %g s", lasted, SHORT)

    @rule("sharing")
    def test_a_wait_of_no_time_returns_at_once(self, stage):
        # type: (Stage) -> None
        """A ``timeout`` of 0 is a look at what is ready now; only None waits for ever."""
        backend, waker = _sharing(stage)
        _expect_silence(stage, backend, [], 0, waker)

    @rule("sharing")
    def test_a_wait_may_last_for_ever(self, stage):
        # type: (Stage) -> None
        """With a ``timeout`` of None it ends when it is woken, and not before."""
        backend, waker = _sharing(stage)
        waking = stage.aside(_later(waker.wake))
        begin = monotonic()
        ready = backend.wait([], None, waker)
        lasted = monotonic() - begin
        waking.result()
        expect(ready == [], "wait() of no connections returned %.60r", ready)
        expect(lasted > SHORT * 0.8, "wait() with a timeout of None returned after %.3f s, before "
               "anybody had woken it", lasted)

    @rule("sharing")
    def test_a_wake_ends_a_wait(self, stage):
        # type: (Stage) -> None
        """``wake()`` of another thread ends the wait that is in progress.

        Otherwise a message would wait until the server says something about another one.
        """
        backend, waker = _sharing(stage)
        waking = stage.aside(_later(waker.wake))
        _expect_end(stage, backend, [], waker, "was woken while it waited")
        waking.result()

    @rule("sharing")
    def test_one_that_shares_the_back_end_may_wake(self, stage):
        # type: (Stage) -> None
        """In whatever the back-end is shared by: a wait for greenlets lets other ones run."""
        backend, waker = _sharing(stage)
        stage.side_by_side([
            lambda: _expect_end(stage, backend, [], waker, "was woken side by side"),
            _later(waker.wake)])

    @rule("sharing")
    def test_a_wake_before_a_wait_ends_it(self, stage):
        # type: (Stage) -> None
        """It is not lost: whoever is about to wait has looked for work before."""
        backend, waker = _sharing(stage)
        waker.wake()
        _expect_end(stage, backend, [], waker, "was woken before it waited")

    @rule("sharing")
    def test_a_wake_is_used_up(self, stage):
        # type: (Stage) -> None
        """It ends one wait, however often ``wake()`` was called; the next one takes its time.

        Otherwise whoever waits would go round and round.
        """
        backend, waker = _sharing(stage)
        for _ in range(3):
            waker.wake()
        _expect_end(stage, backend, [], waker, "was woken three times before it waited")
        lasted = _expect_silence(stage, backend, [], SHORT, waker)
        expect(lasted > SHORT * 0.8, "wait() returned after %.3f s; three calls of wake() had "
               "ended the wait before it, and nobody had called it since", lasted)

    @rule("sharing")
    def test_wake_never_waits(self, stage):
        # type: (Stage) -> None
        """Not even where nobody waits for a long time, and some buffer is full of it."""
        backend, waker = _sharing(stage)
        with stage.rescue(lambda: backend.wait([], 0, waker)) as rescue:
            for _ in range(MANY):
                waker.wake()
                if rescue.was_needed:
                    break
        expect(not rescue.was_needed, "wake() waited until somebody called wait()")
        _expect_end(stage, backend, [], waker, "was woken many times before it waited")

    @rule("sharing")
    def test_a_waker_wakes_its_own_waits_only(self, stage):
        # type: (Stage) -> None
        """Two who wait, for two hosts, have one each."""
        backend, waker = _sharing(stage)
        other = backend.create_waker()
        waker.wake()
        lasted = _expect_silence(stage, backend, [], SHORT, other)
        expect(lasted > SHORT * 0.8, "wait() returned after %.3f s; another waker than its own was "
               "woken", lasted)
        _expect_end(stage, backend, [], waker, "was woken before another one waited")

    @rule("sharing")
    def test_a_closed_waker_may_be_woken(self, stage):
        # type: (Stage) -> None
        """``wake()`` and ``close()`` do nothing then; a finalizer may come to either that late."""
        backend, waker = _sharing(stage)
        waker.wake()
        backend.wait([], SHORT, waker)
        for name in ("close", "wake", "close"):
            error = stage.attempt(getattr(waker, name))
            expect(not isinstance(error, Exception), "%s() of a waker that was closed raised %r",
                   name, error)

    @rule("sharing", "network")
    def test_what_has_come_is_reported(self, stage):
        # type: (Stage) -> None
        """A connection is in the list when ``peek()`` has something, whoever waits."""
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        peer.send(b"frame")
        data = _wait_and_peek(stage, backend, connection, waker)
        expect(data == b"frame", "the peer sent b'frame'; peek() after wait() returned %r", data)
        sealed = peer.seal(b"later")
        sending = stage.aside(_later(lambda: peer.send_raw(sealed)))
        data = _wait_and_peek(stage, backend, connection, waker)
        sending.result()
        expect(data == b"later", "the peer sent b'later' while wait() waited; peek() after it "
               "returned %r", data)

    @rule("sharing", "network")
    def test_what_is_held_back_is_reported(self, stage):
        # type: (Stage) -> None
        """At once: what lies in the TLS library or in the back-end makes no socket readable."""
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        peer.send(b"0123456789")
        first = connection.read(4, stage.patience)
        ready = _expect_end(stage, backend, [connection], waker,
                            "had data that a read had left of a record")
        rest = connection.peek(100)
        expect(ready == [connection] and rest == b"456789", "of b'0123456789' read(4) returned %r; "
               "then wait() returned %.60r, and peek(100) %r", first, ready, rest)

    @rule("sharing", "network")
    def test_an_end_is_reported(self, stage):
        # type: (Stage) -> None
        """With a close-notify or without one, and again as long as somebody waits for it."""
        for ending, said in (("end", "with a close-notify"), ("end_rudely", "without one")):
            backend, waker = _sharing(stage)
            connection, peer = stage.open(backend=backend)
            getattr(peer, ending)()
            data = _wait_and_peek(stage, backend, connection, waker)
            expect(data == b"", "the peer ended the stream %s; peek() after wait() returned %r",
                   said, data)
            ready = _expect_end(stage, backend, [connection], waker,
                                "had a connection whose stream has ended")
            expect(ready == [connection], "wait() returned %.60r, and not the connection whose end "
                   "was seen before", ready)

    @rule("sharing", "network")
    def test_an_end_that_is_held_back_is_reported(self, stage):
        # type: (Stage) -> None
        """A close-notify that has come with the last data, and TCP goes on."""
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        peer.send_raw(peer.seal(b"last") + peer.seal_end())
        pieces = [_wait_and_peek(stage, backend, connection, waker) for _ in range(2)]
        expect(pieces == [b"last", b""], "the peer sent b'last' and a close-notify; peek() after "
               "wait() returned one after the other %r", pieces)

    @rule("sharing", "network")
    def test_a_failure_is_reported(self, stage):
        # type: (Stage) -> None
        """A connection that was reset is ready: ``peek()`` says so."""
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        peer.reset()
        data = _wait_and_peek(stage, backend, connection, waker)
        expect(data == b"" or isinstance(data, Exception), "the peer has reset the connection; "
               "peek() after wait() returned %r", data)

    @rule("sharing", "network")
    def test_a_silent_connection_is_waited_for(self, stage):
        # type: (Stage) -> None
        """For the whole time, once what TLS itself has said was read.

        To be taken for ready in vain is no fault; over and over again it is.
        """
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        peer.send_raw(peer.seal(b"never whole")[:9])
        for _ in range(FEW):
            begin = monotonic()
            with stage.rescue(waker.wake) as rescue:
                ready = backend.wait([connection], SHORT, waker)
            expect(not rescue.was_needed, "wait(%g) for a silent connection did not end", SHORT)
            if not ready:
                break
            data = connection.peek(100)
            expect(data is None, "peek() returned %r of half a record", data)
        expect(not ready, "wait() reported a connection %d times, and each time there was nothing",
               FEW)
        lasted = monotonic() - begin
        expect(lasted > SHORT * 0.8, "wait() returned nothing after %.3f s; its timeout was %g s",
               lasted, SHORT)

    @rule("sharing", "network")
    def test_each_of_several_connections_is_waited_for(self, stage):
        # type: (Stage) -> None
        """The one that has something is in the list, wherever it stands among the others."""
        backend, waker, connections, peers = _several(stage, 3)
        for connection, peer in zip(connections, peers):
            peer.send(b"frame")
            data = _wait_and_peek(stage, backend, connection, waker, connections)
            expect(data == b"frame", "one of %d peers sent b'frame'; peek() after wait() returned "
                   "%r", len(peers), data)

    @rule("sharing", "network")
    def test_all_that_are_ready_are_reported(self, stage):
        # type: (Stage) -> None
        """None has to wait until the ones before it are silent, whatever makes them ready."""
        backend, waker, connections, peers = _several(stage, 3)
        peers[0].send(b"0123456789")
        connections[0].read(4, stage.patience)
        for peer in peers[1:]:
            peer.send(b"frame")
        stage.until(
            lambda: len(backend.wait(connections, stage.patience, waker)) == len(connections),
            "all of %d connections have something, one of them in the TLS library; wait() never "
            "returned all of them" % len(connections))

    @rule("sharing", "network")
    def test_a_wake_hides_nothing(self, stage):
        # type: (Stage) -> None
        """What is ready is in the list of a wait that was woken as well.

        Otherwise callers that keep on coming keep the responses from being read.
        """
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)

        def wait():
            # type: () -> Any
            waker.wake()
            return (backend.wait([connection], stage.patience, waker)
                    and connection.peek(100))

        peer.send(b"frame")
        data = stage.until(wait, "wait() was woken each time before it waited, and never reported "
                           "that its connection had something")
        expect(data == b"frame", "peek() returned %r, the peer had sent b'frame'", data)

    @rule("sharing", "network")
    def test_another_one_may_wait_next(self, stage):
        # type: (Stage) -> None
        """With the same waker and connections: whoever waits hands over to another caller."""
        backend, waker = _sharing(stage)
        connection, peer = stage.open(backend=backend)
        found = []  # type: List[Any]
        for data in (b"first", b"second"):
            peer.send(data)
            stage.side_by_side(
                [lambda: found.append(_wait_and_peek(stage, backend, connection, waker))])
            expect(found[-1] == data, "the peer sent %r; peek() after wait() returned %r", data,
                   found[-1])
        waker.wake()
        stage.side_by_side([lambda: _expect_end(stage, backend, [connection], waker, "was woken")])

    @rule("sharing", "fork")
    def test_a_child_does_not_wake_its_parent(self, stage):
        # type: (Stage) -> None
        """Neither by what it inherited, nor by a waker of its own, which works like any other."""
        backend, waker = _sharing(stage)

        def child():
            # type: () -> None
            for _ in range(3):
                waker.wake()
            waker.close()
            own = backend.create_waker()
            own.wake()
            _expect_end(stage, backend, [], own, "was woken in the child")

        stage.in_child(child)
        lasted = _expect_silence(stage, backend, [], SHORT, waker)
        expect(lasted > SHORT * 0.8, "wait() returned after %.3f s; a forked child had woken what "
               "it inherited", lasted)
        waker.wake()
        _expect_end(stage, backend, [], waker, "was woken when a child had closed its waker")


def _sharing(stage):
    # type: (Stage) -> Tuple[Any, Any]
    """Return a new back-end and a waker."""
    backend = stage.backend()
    return backend, backend.create_waker()


def _several(stage, count):
    # type: (Stage, int) -> Tuple[Any, Any, List[Any], List[Peer]]
    """Return a back-end, a waker, connections, and their peers."""
    backend, waker = _sharing(stage)
    server = stage.server()
    opened = [stage.open(server, backend) for _ in range(count)]
    return backend, waker, [pair[0] for pair in opened], [pair[1] for pair in opened]


def _later(function):
    # type: (Callable[[], None]) -> Callable[[], None]
    """Return what calls a function when a wait beside it has long begun."""
    def call():
        # type: () -> None
        time.sleep(SHORT)
        function()

    return call


def _expect_end(stage, backend, connections, waker, why):
    # type: (Stage, Any, Sequence[Any], Any, str) -> List[Any]
    """Wait for what has to end the wait long before its time; return what wait() returns.

    :param why: what has to end it, in words.
    """
    begin = monotonic()
    ready = backend.wait(connections, stage.patience, waker)  # type: List[Any]
    expect(monotonic() - begin < stage.patience * 0.8, "wait() took all of its time, %g s, though "
           "it %s", stage.patience, why)
    return ready


def _expect_silence(stage, backend, connections, timeout, waker):
    # type: (Stage, Any, Sequence[Any], float, Any) -> float
    """Wait where nothing is ready; return how long it took in seconds."""
    begin = monotonic()
    with stage.rescue(waker.wake) as rescue:
        ready = backend.wait(connections, timeout, waker)
    expect(not rescue.was_needed, "wait() with a timeout of %g s did not end", timeout)
    expect(ready == [], "wait() returned %.60r, where no connection was ready", ready)
    return monotonic() - begin


def _wait_and_peek(stage, backend, connection, waker, connections=None):
    # type: (Stage, Any, Any, Any, Optional[List[Any]]) -> Any
    """Wait, and peek where something is ready, until it is; return what ``peek()`` did.

    That is what it returned, or the exception that it raised.

    :param connections: all connections to wait for, where there are others.
    """
    for _ in range(FEW):
        ready = _expect_end(stage, backend, connections or [connection], waker,
                            "had a connection for which something had come")
        for each in ready:
            data = stage.attempt(each.peek, 100)
            if each is connection and data is not None:
                return data
            expect(data is None, "peek() returned %r of a silent connection", data)
    raise AssertionError("wait() did not report the connection that has something, but returned "
                         "%d times" % FEW)
