"""Rules of ``start_connecting()``: a further connection is opened while others are in use.

Whoever waits for the others waits for the attempt as well, and takes it a step further whenever it
can go on. So no step may take longer than the processor needs for it. A back-end that does not
promise this, as ``start_connecting()`` returns None, leaves all of these rules out.
"""

from __future__ import absolute_import, division, print_function

import socket
import time

from ..._compat import MYPY, monotonic
from ...backends import BaseConnectionAttempt
from ...errors import ConnectError, ConnectTimeout, PeerVerificationError, Timeout
from ._peer import HOST
from ._places import silent_host, unused_address
from ._rule import NO_ATTEMPTS, Rules, rule, skip
from ._stage import SHORT, Resolver, credentials, expect

if MYPY:
    from typing import Any, Iterator, List, Optional, Sequence, Tuple

    from ._peer import Peer, Server
    from ._stage import Stage

    Address = Tuple[str, int]

__all__ = ["ConnectingRules"]

#: A name that nobody has.
_SLOW = "slow.apnsclient.invalid"

#: How often an attempt may be taken for ready in vain, and how many steps it takes at most.
FEW = 20


class ConnectingRules(Rules):
    """What ``start_connecting()`` returns, and what ``wait()`` does with it."""

    @rule("sharing", "network", "attempts")
    def test_an_attempt_ends_in_a_connection(self, stage):
        # type: (Stage) -> None
        """Which is like one from ``get_new_connection()``, and works in both directions."""
        server, backend = stage.server(), stage.backend()
        attempt = _start(stage, server.address, backend)
        expect(isinstance(attempt, BaseConnectionAttempt), "start_connecting() returned a %s, "
               "which does not extend BaseConnectionAttempt", type(attempt).__name__)
        connection = _finish(stage, backend, attempt)
        expect(connection.address == server.address and connection.closed() is False,
               "the connection was opened to %r; it says %r, and closed() is %r", server.address,
               connection.address, connection.closed())
        _expect_usable(stage, connection, server)

    @rule("sharing", "network", "attempts", "alpn")
    def test_an_attempt_offers_protocols(self, stage):
        # type: (Stage) -> None
        """HTTP/2 is what further connections are for, and it is agreed to with ALPN."""
        server, backend = stage.server(alpn=("h2",)), stage.backend()
        connection = _finish(stage, backend, _start(stage, server.address, backend, alpn=("h2",)))
        expect(connection.alpn_protocol == "h2", "h2 was offered, and the server chose it; "
               "alpn_protocol is %r", connection.alpn_protocol)

    # Nothing waits but wait().

    @rule("sharing", "network", "attempts")
    def test_an_attempt_waits_for_no_connect(self, stage):
        # type: (Stage) -> None
        """Neither ``start_connecting()`` nor ``advance()`` does, where TCP does not respond.

        Over the other connections nothing is read or written meanwhile.
        """
        (address, free), backend = silent_host(), stage.backend()
        with stage.rescue(free) as rescue:
            _go_on_in_vain(backend, _start(stage, address, backend))
        free()
        expect(not rescue.was_needed, "start_connecting() or advance() waited for a silent host")

    @rule("sharing", "network", "attempts")
    def test_an_attempt_waits_for_no_handshake(self, stage):
        # type: (Stage) -> None
        """Nor do they where TCP responds, and TLS does not."""
        server, backend = stage.plain_server(), stage.backend()
        with stage.rescue(stage.hang_up) as rescue:
            attempt = _start(stage, server.address, backend)
            _go_on_until_accepted(stage, backend, attempt, server)
            _go_on_in_vain(backend, attempt)
        expect(not rescue.was_needed, "start_connecting() or advance() waited for a silent server")

    @rule("sharing", "network", "attempts")
    def test_an_attempt_waits_for_no_resolver(self, stage):
        # type: (Stage) -> None
        """A name lookup may take half a minute; it goes on by itself, and ``wait()`` knows.

        Does not apply where the name is looked up by anything but ``getaddrinfo()``.
        """
        credential = credentials().authority.issue(_SLOW, dns=[_SLOW], usage="server")
        server, backend = stage.server(credential), stage.backend()
        with Resolver(_SLOW, True) as resolver:
            with stage.rescue(resolver.respond) as rescue:
                attempt = _start(stage, (_SLOW, server.address[1]), backend)
                result = stage.attempt(attempt.advance)
                if isinstance(result, ConnectError) and not resolver.asked:
                    skip("the back-end does not look names up with getaddrinfo()")
                lasted = _wait_in_vain(stage, backend, attempt)
            expect(not rescue.was_needed, "start_connecting() or advance() waited for the resolver")
            expect(lasted > SHORT * 0.8, "wait() returned nothing after %.3f s, where the resolver "
                   "was silent; its timeout was %g s", lasted, SHORT)
            resolver.respond()
            connection = _finish(stage, backend, attempt)
        _expect_usable(stage, connection, server)

    @rule("sharing", "network", "attempts")
    def test_a_silent_attempt_is_waited_for(self, stage):
        # type: (Stage) -> None
        """For the whole time; to be taken for ready in vain over and over again is a fault."""
        server, backend = stage.plain_server(), stage.backend()
        lasted = _wait_in_vain(stage, backend, _start(stage, server.address, backend))
        expect(lasted > SHORT * 0.8, "wait() returned nothing after %.3f s, where the server was "
               "silent; its timeout was %g s", lasted, SHORT)

    @rule("sharing", "network", "attempts")
    def test_an_attempt_goes_on_beside_a_silent_connection(self, stage):
        # type: (Stage) -> None
        """``wait()`` returns what can go on, whichever of them is silent, and in any order."""
        for is_first in (True, False):
            backend, server = stage.backend(), stage.server()
            silent, _ = stage.open(backend=backend)
            server.hold_back()
            attempt = _start(stage, server.address, backend)
            _go_on_until_accepted(stage, backend, attempt, server)
            server.respond()
            # From here on there is something to do only after a wait.
            connection = _wait_until_open(stage, backend, attempt, [silent], is_first)
            _expect_usable(stage, connection, server)

    @rule("sharing", "network", "attempts")
    def test_a_connection_is_read_beside_a_silent_attempt(self, stage):
        # type: (Stage) -> None
        """What comes over it is reported as if there were no attempt, in any order."""
        for is_first in (True, False):
            server, backend = stage.plain_server(), stage.backend()
            connection, peer = stage.open(backend=backend)
            attempt = _start(stage, server.address, backend)
            _go_on_until_accepted(stage, backend, attempt, server)
            peer.send(b"frame")
            data = _read(stage, backend, attempt, connection, is_first)
            expect(data == b"frame", "peek() returned %r, the peer had sent b'frame'", data)

    @rule("sharing", "network", "attempts")
    def test_an_attempt_goes_on_beside_a_busy_connection(self, stage):
        # type: (Stage) -> None
        """However often ``wait()`` ends because of the others, the attempt has its turn as well.

        Here a connection always has something, as in the middle of a campaign. Whatever the attempt
        waits for must not begin anew with each ``wait()``.
        """
        server, backend = stage.server(), stage.backend()
        busy, peer = stage.open(backend=backend)
        peer.send(b"0123456789")
        busy.read(4, stage.patience)
        attempt, waker = _start(stage, server.address, backend), backend.create_waker()

        def go_on():
            # type: () -> Any
            ready = backend.wait([busy, attempt], stage.patience, waker)
            return attempt.advance() if attempt in ready else None

        connection = stage.until(go_on, "a connection always had something to read; wait() did not "
                                 "return the attempt beside it")
        _expect_usable(stage, stage.keep(connection), server)

    # The time, and other failures.

    @rule("sharing", "network", "attempts")
    def test_an_attempt_is_given_up_in_time(self, stage):
        # type: (Stage) -> None
        """``wait()`` returns it when its time is over, and ``advance()`` raises ConnectTimeout."""
        for where, action in _silent_places(stage):
            backend, begin = stage.backend(), monotonic()
            with stage.rescue(action) as rescue:
                error = _failure(stage, backend, where, SHORT)
            lasted = monotonic() - begin
            expect(not rescue.was_needed, "the attempt did not end when its timeout of %g s was "
                   "over", SHORT)
            expect(isinstance(error, ConnectTimeout), "advance() raised %s: %s; expected "
                   "ConnectTimeout", type(error).__name__, error)
            expect(lasted > SHORT * 0.8, "ConnectTimeout after %.3f s; the timeout was %g s",
                   lasted, SHORT)

    @rule("sharing", "network", "attempts")
    def test_the_time_of_an_attempt_runs_from_its_start(self, stage):
        # type: (Stage) -> None
        """Also while nobody waits for it: those who share the connections may be busy."""
        server, backend = stage.plain_server(), stage.backend()
        with stage.rescue(stage.hang_up) as rescue:
            attempt = _start(stage, server.address, backend, SHORT)
            time.sleep(SHORT * 1.1)
            stage.raises(ConnectTimeout, "advance() of an attempt whose time is over",
                         attempt.advance)
        expect(not rescue.was_needed, "advance() waited for a server that is silent")

    @rule("sharing", "network", "attempts")
    def test_an_attempt_verifies_the_server(self, stage):
        # type: (Stage) -> None
        """Authority and host name, as ``get_new_connection()`` does, before a byte is written."""
        authority, stranger = credentials().authority, credentials().stranger
        for what, credential in [
                ("of an unknown authority", stranger.issue(HOST, dns=[HOST], usage="server")),
                ("of another name", authority.issue("x", dns=["other.example"], usage="server"))]:
            server = stage.server(credential)
            error = _failure(stage, stage.backend(), server.address)
            expect(isinstance(error, PeerVerificationError), "an attempt at a server %s raised %s: "
                   "%s; expected PeerVerificationError", what, type(error).__name__, error)
            peer, problem = server.outcome()
            data = peer.receive_all() if problem is None else b""
            expect(not data, "%d bytes were written to a server %s", len(data), what)

    @rule("sharing", "network", "attempts")
    def test_an_attempt_that_is_refused_is_a_connect_error(self, stage):
        # type: (Stage) -> None
        """Nobody listens there: ``ConnectError``, from whichever of the two methods."""
        error = _failure(stage, stage.backend(), unused_address())
        expect(isinstance(error, ConnectError) and not isinstance(error, Timeout), "an attempt at "
               "a port where nobody listens raised %s: %s; expected ConnectError",
               type(error).__name__, error)

    # The end.

    @rule("sharing", "network", "attempts")
    def test_a_failed_attempt_to_connect_leaves_no_socket_open(self, stage):
        # type: (Stage) -> None
        """When ``advance()`` has raised, the server sees the end without a ``close()``."""
        server, backend = stage.plain_server(), stage.backend()

        def respond():
            # type: () -> Peer
            peer = server.peer()
            peer.receive_raw(1)
            peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return peer

        responding, attempt = stage.aside(respond), _start(stage, server.address, backend)
        stage.raises(ConnectError, "an attempt at a server that speaks no TLS", _finish, stage,
                     backend, attempt)
        _expect_gone(responding.result(), "an attempt that failed")

    @rule("sharing", "network", "attempts")
    def test_an_attempt_may_be_closed_at_any_time(self, stage):
        # type: (Stage) -> None
        """Twice, and nothing is left open; ``close()`` raises nothing.

        Before the first step, in the middle, and after a failure.
        """
        server, backend = stage.plain_server(), stage.backend()
        _close_twice(stage, _start(stage, server.address, backend))
        attempt = _start(stage, server.address, backend)
        _go_on_until_accepted(stage, backend, attempt, server)
        _close_twice(stage, attempt)
        _expect_gone(server.peer(), "an attempt that was closed")
        attempt = _start(stage, server.address, backend, SHORT)
        time.sleep(SHORT * 1.1)
        stage.attempt(attempt.advance)
        _close_twice(stage, attempt)

    @rule("sharing", "network", "attempts")
    def test_an_attempt_that_is_over_leaves_its_connection_alone(self, stage):
        # type: (Stage) -> None
        """``close()`` gives up what is being opened; the connection belongs to whoever has it."""
        server, backend = stage.server(), stage.backend()
        attempt = _start(stage, server.address, backend)
        connection = _finish(stage, backend, attempt)
        attempt.close()
        _expect_usable(stage, connection, server)

    # Who goes on with it.

    @rule("sharing", "network", "attempts")
    def test_another_one_may_go_on_with_an_attempt(self, stage):
        # type: (Stage) -> None
        """Each step is that of another one, in whatever the back-end is shared by."""
        server, backend = stage.server(), stage.backend()
        attempt, waker = _start(stage, server.address, backend), backend.create_waker()
        found = []  # type: List[Any]

        def go_on():
            # type: () -> None
            if attempt in _expect_end(stage, backend, [attempt], waker):
                found.append(attempt.advance())

        for _ in range(FEW):
            stage.side_by_side([go_on])
            if found and found[-1] is not None:
                break
        expect(found and found[-1] is not None, "an attempt that each time another one went on "
               "with has no connection after %d steps", FEW)
        _expect_usable(stage, stage.keep(found[-1]), server)

    @rule("sharing", "network", "attempts", "fork")
    def test_a_child_leaves_an_attempt_to_its_parent(self, stage):
        # type: (Stage) -> None
        """``advance()`` raises there, ``close()`` writes nothing, and the parent goes on."""
        server, backend = stage.server(), stage.backend()
        server.hold_back()
        attempt = _start(stage, server.address, backend)
        _go_on_until_accepted(stage, backend, attempt, server)

        def child():
            # type: () -> None
            stage.raises(Exception, "advance() of an inherited attempt", attempt.advance)
            attempt.close()

        stage.in_child(child)
        server.respond()
        _expect_usable(stage, _finish(stage, backend, attempt), server)


def _start(stage, address, backend, timeout=None, alpn=()):
    # type: (Stage, Address, Any, Optional[float], Tuple[str, ...]) -> Any
    """Begin to connect to an address; return the attempt, which is closed in the end.

    By default it has more time than any rescue waits.
    """
    options = {"alpn": alpn} if alpn else {}
    attempt = backend.start_connecting(
        address, stage.certificate(backend), stage.patience * 2 if timeout is None else timeout,
        **options)
    if attempt is None:
        skip(NO_ATTEMPTS)
    return stage.keep(attempt)


def _silent_places(stage):
    # type: (Stage) -> Iterator[Tuple[Any, Any]]
    """Yield addresses where TLS is silent, or TCP, each with a function that ends that."""
    yield stage.plain_server().address, stage.hang_up
    address, free = silent_host()
    try:
        yield address, free
    finally:
        free()


def _in_order(attempt, connections, is_first):
    # type: (Any, Sequence[Any], bool) -> List[Any]
    return [attempt] + list(connections) if is_first else list(connections) + [attempt]


def _expect_nothing(attempt):
    # type: (Any) -> None
    found = attempt.advance()
    expect(found is None, "advance() returned %.60r before the peer has said anything", found)


def _expect_end(stage, backend, waited, waker):
    # type: (Stage, Any, Sequence[Any], Any) -> Any
    """Wait for what has something to do long before the time is up; return what wait() does."""
    begin = monotonic()
    ready = backend.wait(waited, stage.patience, waker)
    expect(monotonic() - begin < stage.patience * 0.8, "wait() took all of its time, %g s, though "
           "something could go on", stage.patience)
    return ready


def _finish(stage, backend, attempt):
    # type: (Stage, Any, Any) -> Any
    """Go on until there is a connection; return it."""
    found = attempt.advance()
    return _wait_until_open(stage, backend, attempt) if found is None else stage.keep(found)


def _wait_until_open(stage, backend, attempt, connections=(), is_first=True):
    # type: (Stage, Any, Any, Sequence[Any], bool) -> Any
    """Go on whenever ``wait()`` says so; return the connection. The others are silent."""
    waker, waited = backend.create_waker(), _in_order(attempt, connections, is_first)
    return stage.keep(stage.until(
        lambda: _go_on(stage, backend, attempt, waited, waker)[0],
        "wait() has returned time and again, and there is no connection yet"))


def _read(stage, backend, attempt, connection, is_first):
    # type: (Stage, Any, Any, Any, bool) -> Any
    """Go on until something has come over a connection; return it. The attempt is silent."""
    waker, waited = backend.create_waker(), _in_order(attempt, [connection], is_first)
    return stage.until(
        lambda: _go_on(stage, backend, attempt, waited, waker)[1],
        "the peer of a connection has sent something while an attempt was silent; peek() after "
        "wait() never returned it")


def _go_on(stage, backend, attempt, waited, waker):
    # type: (Stage, Any, Any, Sequence[Any], Any) -> Tuple[Any, Any]
    """Wait once, and take what is ready further.

    :return: the new connection, or None, and what has come over one of the others, or None.
    """
    found = data = None  # type: Any
    for each in _expect_end(stage, backend, waited, waker):
        if each is attempt:
            found = attempt.advance()
        else:
            data = data or each.peek(100)
    return found, data


def _go_on_in_vain(backend, attempt):
    # type: (Any, Any) -> None
    """Take a few steps where the peer is silent."""
    waker = backend.create_waker()
    for _ in range(4):
        _expect_nothing(attempt)
        backend.wait([attempt], SHORT / 5, waker)


def _go_on_until_accepted(stage, backend, attempt, server):
    # type: (Stage, Any, Any, Server) -> None
    """Go on until TCP has connected to a server that says nothing."""
    waker = backend.create_waker()

    def go_on():
        # type: () -> bool
        _expect_nothing(attempt)
        backend.wait([attempt], SHORT / 10, waker)
        return server.has_accepted

    stage.until(go_on, "the attempt has not come to the server")


def _failure(stage, backend, address, timeout=None):
    # type: (Stage, Any, Address, Optional[float]) -> Exception
    """Return what an attempt to connect raises in the end, from whichever method."""
    try:
        attempt = _start(stage, address, backend, timeout)
    except ConnectError as error:
        failed = error  # type: Exception
        return failed
    result = stage.attempt(_finish, stage, backend, attempt)
    expect(isinstance(result, Exception), "an attempt that has to fail returned %.60r", result)
    expect(not isinstance(result, AssertionError), "%s", result)
    failure = result  # type: Exception
    return failure


def _wait_in_vain(stage, backend, attempt):
    # type: (Stage, Any, Any) -> float
    """Wait for an attempt whose peer is silent; return how long the last wait took in seconds."""
    waker, lasted, ready = backend.create_waker(), 0.0, None
    for _ in range(FEW):
        begin = monotonic()
        with stage.rescue(waker.wake) as rescue:
            ready = backend.wait([attempt], SHORT, waker)
        lasted = monotonic() - begin
        expect(not rescue.was_needed, "wait(%g) for a silent attempt did not end", SHORT)
        if not ready:
            break
        _expect_nothing(attempt)
    expect(not ready, "wait() returned an attempt %d times, and each time it could not go on", FEW)
    return lasted


def _expect_usable(stage, connection, server):
    # type: (Stage, Any, Server) -> None
    """Use a connection in both directions."""
    peer = server.peer()
    connection.write(b"request", stage.patience)
    received = peer.receive(7)
    expect(received == b"request", "b'request' was written; %r arrived", received)
    peer.send(b"response")
    data = connection.read(100, stage.patience)
    expect(data == b"response", "the peer sent b'response'; read() returned %r", data)


def _expect_gone(peer, who):
    # type: (Peer, str) -> None
    """See that the client has ended the stream."""
    try:
        while peer.receive_raw(65536):
            pass
    except socket.timeout:
        raise AssertionError("%s has left its socket open" % who)


def _close_twice(stage, attempt):
    # type: (Stage, Any) -> None
    for which in ("", ", the second time,"):
        error = stage.attempt(attempt.close)
        expect(not isinstance(error, Exception), "close()%s raised %r", which, error)
