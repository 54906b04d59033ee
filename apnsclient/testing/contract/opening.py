"""Rules of opening connections: in time, or with an exception that says why not."""

from __future__ import absolute_import, division, print_function

import socket
import time

from ..._compat import MYPY
from ...backends import BaseConnection
from ...errors import ConnectError, ConnectTimeout, Timeout
from ._drip import Drip, try_longer
from ._places import silent_host, unused_address
from ._rule import Rules, rule, skip
from ._stage import SHORT, Resolver, credentials, expect

if MYPY:
    from typing import Any, List

    from ._peer import Peer
    from ._stage import Stage

__all__ = ["OpeningRules"]

#: A name that nobody has.
_MOVING = "moving.apnsclient.invalid"


class OpeningRules(Rules):
    """What ``get_new_connection()`` returns, and raises."""

    @rule()
    def test_a_connection_knows_where_it_leads(self, stage):
        # type: (Stage) -> None
        """It has the address and the certificate that it was opened with, and is not closed.

        The pool puts it by those; the constructor of ``BaseConnection`` keeps them.
        """
        backend, address = stage.backend(), stage.address()
        certificate = stage.certificate(backend)
        connection = stage.keep(backend.get_new_connection(address, certificate, stage.patience))
        expect(isinstance(connection, BaseConnection),
               "get_new_connection() returned a %s, which does not extend BaseConnection",
               type(connection).__name__)
        expect(connection.address == address and connection.certificate is certificate,
               "the connection was opened to %r with %r, and says %r and %r", address, certificate,
               connection.address, connection.certificate)
        expect(connection.closed() is False, "closed() of a new connection is not False")

    @rule()
    def test_each_connection_is_a_new_one(self, stage):
        # type: (Stage) -> None
        """``get_new_connection()`` leaves the pool to the base class, and opens one each time."""
        backend, address = stage.backend(), stage.address()
        certificate = stage.certificate(backend)
        opened = [stage.keep(backend.get_new_connection(address, certificate, timeout))
                  for timeout in (stage.patience, None)]  # None is as long as it takes.
        expect(opened[0] is not opened[1], "get_new_connection() returned one connection twice")

    @rule("network")
    def test_a_refused_connection_is_a_connect_error(self, stage):
        # type: (Stage) -> None
        """Nobody listens there: ``ConnectError``, and no timeout, at once."""
        error = stage.raises(ConnectError, "connecting to a port where nobody listens",
                             stage.connect, unused_address())
        expect(not isinstance(error, Timeout), "a refused connection is no timeout")

    @rule("network")
    def test_a_name_that_cannot_be_looked_up_is_a_connect_error(self, stage):
        # type: (Stage) -> None
        """Whatever the resolver raises, a program has ``ConnectError`` to catch."""
        # Too long a label for a name server: it is refused without one.
        stage.raises(ConnectError, "connecting to a host whose name cannot be looked up",
                     stage.connect, ("x" * 70, 443))

    @rule("network")
    def test_the_name_is_looked_up_for_each_connection(self, stage):
        # type: (Stage) -> None
        """Apple's addresses change: a program that runs for weeks must not go by old ones.

        Does not apply where the name is looked up by anything but ``getaddrinfo()``.
        """
        credential = credentials().authority.issue(_MOVING, dns=[_MOVING], usage="server")
        server, backend = stage.server(credential), stage.backend()
        counts = []
        with Resolver(_MOVING) as resolver:
            for _ in range(2):
                result = stage.attempt(stage.connect, (_MOVING, server.address[1]), backend)
                if isinstance(result, ConnectError) and not resolver.asked:
                    skip("the back-end does not look names up with getaddrinfo()")
                expect(not isinstance(result, Exception), "connecting to a host with one address "
                       "raised %s: %s", type(result).__name__, result)
                counts.append(resolver.asked)
        expect(counts[1] > counts[0], "two connections were opened to one host, and its name was "
               "looked up for the first of them only")

    @rule("network")
    def test_a_host_that_does_not_respond_is_given_up_in_time(self, stage):
        # type: (Stage) -> None
        """Not even TCP responds: ``ConnectTimeout`` when ``timeout`` is over, not minutes later."""
        address, freed = silent_host()
        with stage.rescue(freed) as rescue:
            _expect_connect_timeout(stage, rescue, address)
        freed()

    @rule("network")
    def test_a_server_that_is_silent_is_given_up_in_time(self, stage):
        # type: (Stage) -> None
        """TCP responds and TLS does not: ``timeout`` holds for the handshake as well."""
        server = stage.plain_server()
        with stage.rescue(stage.hang_up) as rescue:
            _expect_connect_timeout(stage, rescue, server.address)

    @rule("network")
    def test_a_server_that_drips_is_given_up_in_time(self, stage):
        # type: (Stage) -> None
        """``timeout`` holds for the whole call: a byte now and then does not prolong it."""
        def attempt(timeout):
            # type: (float) -> bool
            server = stage.plain_server()
            peers = []  # type: List[Peer]

            def drip():
                # type: () -> bool
                if not server.has_accepted:
                    return False  # A slow machine may need all of the time to look the name up.
                if not peers:
                    peers.append(server.peer())
                    # The beginning of a record whose end never comes.
                    peers[0].send_raw(b"\x16\x03\x03\x3f\xff")
                peers[0].send_raw(b"\0")
                return True

            with Drip(stage, drip, timeout / 8) as dripping:
                with stage.rescue(server.hang_up) as rescue:
                    _expect_connect_timeout(stage, rescue, server.address, timeout)
            return dripping.was_fast_enough(timeout)

        try_longer(stage, attempt, SHORT)

    @rule("network")
    def test_a_server_that_hangs_up_is_a_connect_error(self, stage):
        # type: (Stage) -> None
        """The end of the stream in the middle of the handshake: ``ConnectError``, no timeout."""
        server = stage.plain_server()

        def hang_up():
            # type: () -> None
            peer = server.peer()
            peer.receive_raw(1)
            peer.hang_up()

        hanging_up = stage.aside(hang_up)
        error = stage.raises(ConnectError, "connecting to a server that hangs up",
                             stage.connect, server.address)
        hanging_up.result()
        expect(not isinstance(error, Timeout), "a server that hangs up is no timeout")

    @rule("network")
    def test_a_server_without_tls_is_a_connect_error(self, stage):
        # type: (Stage) -> None
        """A response that is no TLS: ``ConnectError``, as for everything that fails here."""
        server = stage.plain_server()

        def respond():
            # type: () -> None
            peer = server.peer()
            peer.receive_raw(1)
            peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        responding = stage.aside(respond)
        error = stage.raises(ConnectError, "connecting to a server that speaks no TLS",
                             stage.connect, server.address)
        responding.result()
        expect(not isinstance(error, Timeout), "a server that speaks no TLS is no timeout")

    @rule("network")
    def test_a_failed_attempt_leaves_no_socket_open(self, stage):
        # type: (Stage) -> None
        """After ``ConnectTimeout`` the server sees the end of the stream.

        A client that tries again and again would run out of descriptors, and the server with it.
        """
        server = stage.plain_server()
        stage.attempt(lambda: stage.connect(server.address, timeout=SHORT))
        peer = server.peer()
        try:
            while peer.receive_raw(65536):
                pass
        except socket.timeout:
            raise AssertionError("an attempt that failed has left its socket open")

    @rule("network")
    def test_the_time_to_connect_ends_with_connecting(self, stage):
        # type: (Stage) -> None
        """``timeout`` of opening is over when the connection is open, also on the socket below.

        A read that is given no timeout, long after, waits until something comes.
        """
        connection, peer = stage.open(timeout=stage.patience)

        def send():
            # type: () -> None
            time.sleep(SHORT)
            peer.send(b"late")

        sending = stage.aside(send)
        with stage.rescue(peer.hang_up):
            data = connection.read(10, None)
        sending.result()
        expect(data == b"late", "read() without a timeout returned %r, expected b'late'", data)


def _expect_connect_timeout(stage, rescue, address, timeout=SHORT):
    # type: (Stage, Any, Any, float) -> None
    error = stage.raises(Exception, "connecting with a timeout of %g s" % timeout,
                         lambda: stage.connect(address, timeout=timeout))
    expect(not rescue.was_needed, "connecting did not end when its timeout of %g s was over: it "
           "holds for everything after the name lookup, the handshake included", timeout)
    expect(isinstance(error, ConnectTimeout), "connecting raised %s: %s; expected ConnectTimeout",
           type(error).__name__, error)
