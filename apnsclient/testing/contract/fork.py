"""Rules of ``fork()``: what a child inherits belongs to its parent."""

from __future__ import absolute_import, division, print_function

import datetime

from ..._compat import MYPY
from ...errors import is_timeout
from ._rule import Rules, rule
from ._stage import expect

if MYPY:
    from typing import Any

    from ._stage import Stage

__all__ = ["ForkRules"]


class ForkRules(Rules):
    """What a forked child may do, and must not."""

    @rule("fork")
    def test_a_child_starts_with_an_empty_pool(self, stage):
        # type: (Stage) -> None
        """Two processes that write to one connection would corrupt it; the parent's pool stays."""
        backend, address = stage.backend(), stage.address()
        certificate = stage.certificate(backend)
        connection = stage.keep(backend.get_cached_connection(address, certificate, stage.patience))
        backend.release(connection)

        def child():
            # type: () -> None
            expect(backend.idle_count() == 0, "%d idle connections are in the child's pool",
                   backend.idle_count())

        stage.in_child(child)
        expect(backend.idle_count() == 1 and not connection.closed(),
               "the parent's pool has changed when a child came to use its own")

    @rule("fork", "network")
    def test_a_child_writes_nothing_when_it_closes(self, stage):
        # type: (Stage) -> None
        """Not even a close-notify: the connection is the parent's, and goes on there."""
        connection, peer = stage.open()
        connection.write(b"before", stage.patience)

        def child():
            # type: () -> None
            connection.close()
            expect(connection.closed() is True, "closed() is not True after close()")

        stage.in_child(child)
        _expect_alive(stage, connection, peer, b"before")

    @rule("fork", "network")
    def test_a_child_leaves_the_parents_pool_alone(self, stage):
        # type: (Stage) -> None
        """Its own use of the pool, and its end, write nothing to what was idle there."""
        backend, server = stage.backend(), stage.server()
        connection = stage.keep(backend.get_cached_connection(
            server.address, stage.certificate(backend), stage.patience))
        connection.write(b"before", stage.patience)
        backend.release(connection)
        peer = server.peer()

        def child():
            # type: () -> None
            backend.outdate(datetime.timedelta(0))
            backend.close_idle()

        stage.in_child(child)
        _expect_alive(stage, connection, peer, b"before")

    @rule("fork", "network")
    def test_a_child_cannot_use_what_it_inherited(self, stage):
        # type: (Stage) -> None
        """``read()``, ``peek()`` and ``write()`` raise there, and take nothing away.

        They are reached by a generator that the parent had begun and the child goes on with.
        """
        connection, peer = stage.open()
        peer.send(b"for the parent")

        def child():
            # type: () -> None
            for name, arguments in [("write", (b"from the child", 1.0)), ("peek", (100,)),
                                    ("read", (100, 1.0))]:
                error = stage.raises(Exception, "%s() of an inherited connection" % name,
                                     getattr(connection, name), *arguments)
                expect(not is_timeout(error), "%s() of an inherited connection raised a timeout, "
                       "which would count as silence", name)

        stage.in_child(child)
        data = connection.read(100, stage.patience)
        expect(data == b"for the parent", "what had come for the parent was read as %r after its "
               "child had tried to", data)
        _expect_alive(stage, connection, peer, b"")

    @rule("fork", "network")
    def test_a_child_opens_connections_of_its_own(self, stage):
        # type: (Stage) -> None
        """With the back-end and the certificate that it inherited, and beside the parent's."""
        backend, server = stage.backend(), stage.server()
        certificate = stage.certificate(backend)
        connection, peer = stage.open(server, backend)

        def child():
            # type: () -> None
            own = backend.get_cached_connection(server.address, certificate, stage.patience)
            own.write(b"child", stage.patience)
            expect(own.read(100, stage.patience) == b"response", "no response came to the child")

        def respond():
            # type: () -> Any
            other = server.peer()
            received = other.receive(5)
            other.send(b"response")
            return received

        responding = stage.aside(respond)
        stage.in_child(child)
        expect(responding.result() == b"child", "what the child wrote did not arrive")
        _expect_alive(stage, connection, peer, b"")


def _expect_alive(stage, connection, peer, before):
    # type: (Stage, Any, Any, bytes) -> None
    """Use the parent's connection in both directions."""
    connection.write(b"after", stage.patience)
    received = peer.receive(len(before) + 5)
    expect(received == before + b"after", "the peer got %r over the parent's connection, expected "
           "%r: the child has written to it or closed it", received, before + b"after")
    peer.send(b"response")
    result = connection.read(100, stage.patience)
    expect(result == b"response", "the parent read %r, expected b'response'", result)
