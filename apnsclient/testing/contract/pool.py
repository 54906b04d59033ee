"""Rules of the pool, which the base class has: also for back-ends that override it."""

from __future__ import absolute_import, division, print_function

import datetime
import time

from ..._compat import MYPY
from ._rule import Rules, rule
from ._stage import credentials, expect

if MYPY:
    from typing import Any, Callable, List, Set

    from ._stage import Stage

__all__ = ["PoolRules"]

_HOUR = datetime.timedelta(hours=1)


class PoolRules(Rules):
    """What is kept, what is found again, and what is closed."""

    @rule()
    def test_a_connection_that_was_given_back_is_used_again(self, stage):
        # type: (Stage) -> None
        """For the same address and an equal certificate; while it is in use, another is opened."""
        pool = _Pool(stage)
        first, second = pool.take(), pool.take()
        expect(first is not second, "a connection that is in use was handed out again")
        pool.backend.release(second)
        expect(pool.take() is second, "a connection that was given back was not used again")

    @rule()
    def test_the_connection_used_last_is_taken_first(self, stage):
        # type: (Stage) -> None
        """It is the one most likely to be alive, and the others may grow old and be closed."""
        pool = _Pool(stage)
        first, second = pool.take(), pool.take()
        pool.backend.release(first)
        pool.backend.release(second)
        taken = [pool.take(), pool.take()]
        expect(taken[0] is second and taken[1] is first, "of two idle connections the one that was "
               "given back first was taken first")

    @rule()
    def test_connections_are_told_apart_by_address_and_certificate(self, stage):
        # type: (Stage) -> None
        """Another address or another certificate is never served by this connection."""
        pool = _Pool(stage)
        pool.backend.release(pool.take())
        other = stage.certificate(pool.backend, credentials().other_client)
        pool.take(certificate=other)
        pool.take(address=_other_address(stage, pool))
        expect(pool.backend.idle_count() == 1, "the idle connection was taken for another address "
               "or another certificate: %d are left, expected 1", pool.backend.idle_count())

    @rule()
    def test_a_pool_of_none_keeps_any_number(self, stage):
        # type: (Stage) -> None
        """``pool_size=None`` is unlimited."""
        pool = _Pool(stage, pool_size=None)
        taken = [pool.take() for _ in range(8)]
        for connection in taken:
            pool.backend.release(connection)
        expect(pool.backend.idle_count() == 8 and not any(one.closed() for one in taken),
               "of 8 connections the pool keeps %d with pool_size=None", pool.backend.idle_count())

    @rule()
    def test_a_pool_of_0_keeps_none(self, stage):
        # type: (Stage) -> None
        """``pool_size=0`` closes each connection when it is given back."""
        pool = _Pool(stage, pool_size=0)
        connection = pool.take()
        pool.backend.release(connection)
        expect(connection.closed() and pool.backend.idle_count() == 0,
               "with pool_size=0 a connection is kept after it was given back")

    @rule()
    def test_a_pool_of_1_closes_the_oldest(self, stage):
        # type: (Stage) -> None
        """Where there are too many, the one that has been idle longest is closed."""
        pool = _Pool(stage, pool_size=1)
        first, second = pool.take(), pool.take()
        pool.backend.release(first)
        pool.backend.release(second)
        expect(first.closed() and not second.closed() and pool.backend.idle_count() == 1,
               "with pool_size=1, of two connections that were given back the older one is not the "
               "one that was closed")

    @rule()
    def test_outdate_closes_what_has_been_idle(self, stage):
        # type: (Stage) -> None
        """For as long as it says, and never what is in use."""
        pool = _Pool(stage)
        idle, used = pool.take(), pool.take()
        pool.backend.release(idle)
        pool.backend.outdate(_HOUR)
        expect(not idle.closed(), "outdate(1 hour) closed a connection that was used just now")
        pool.backend.outdate(datetime.timedelta(0))
        expect(idle.closed() and pool.backend.idle_count() == 0,
               "outdate(0) did not close an idle connection")
        expect(not used.closed(), "outdate(0) closed a connection that is in use")

    @rule()
    def test_a_closed_connection_is_not_kept(self, stage):
        # type: (Stage) -> None
        """One that is of no more use is not given to the next who asks."""
        pool = _Pool(stage)
        connection = pool.take()
        connection.close()
        pool.backend.release(connection)
        expect(pool.backend.idle_count() == 0 and pool.take() is not connection,
               "a closed connection went back to the pool")

    @rule("network", "detection")
    def test_a_connection_that_died_in_the_pool_is_not_handed_out(self, stage):
        # type: (Stage) -> None
        """It is closed, and another one is opened."""
        backend, server = stage.backend(), stage.server()
        certificate = stage.certificate(backend)
        connection = stage.keep(backend.get_cached_connection(
            server.address, certificate, stage.patience))
        backend.release(connection)
        server.peer().end()
        stage.until(connection.closed, "closed() did not tell that the peer had hung up")
        another = stage.keep(backend.get_cached_connection(
            server.address, certificate, stage.patience))
        expect(another is not connection, "a dead connection was handed out")

    @rule()
    def test_a_connection_is_used_by_one_at_a_time(self, stage):
        # type: (Stage) -> None
        """However many take and give back at once."""
        pool = _Pool(stage, pool_size=3)
        twice = []  # type: List[Any]
        used = set()  # type: Set[int]

        def work():
            # type: () -> None
            for _ in range(10):
                connection = pool.take()
                if id(connection) in used:
                    twice.append(connection)
                used.add(id(connection))
                time.sleep(0.001)
                used.discard(id(connection))
                pool.backend.release(connection)

        stage.side_by_side([work] * 5)
        expect(not twice, "a connection was handed out to two at the same time")
        expect(pool.backend.idle_count() <= 3, "the pool keeps %d connections with pool_size=3",
               pool.backend.idle_count())

    @rule("network")
    def test_many_may_connect_and_talk_at_once(self, stage):
        # type: (Stage) -> None
        """Back-end and certificate are shared; each connection has bytes of its own."""
        backend, server = stage.backend(), stage.server()
        certificate = stage.certificate(backend)

        def talk(name):
            # type: (bytes) -> Callable[[], None]
            def work():
                # type: () -> None
                connection = stage.keep(backend.get_new_connection(
                    server.address, certificate, stage.patience))
                connection.write(name * 100, stage.patience)
                result = connection.read(100, stage.patience)
                expect(result == name * 100, "the response to %r was %r", name * 100, result)
            return work

        def echo():
            # type: () -> None
            for _ in range(5):
                peer = server.peer()
                peer.send(peer.receive(100))

        echoing = stage.aside(echo)
        stage.side_by_side([talk(b"%d" % number) for number in range(5)])
        echoing.result()

    @rule("network")
    def test_a_connection_may_be_used_by_another_thread(self, stage):
        # type: (Stage) -> None
        """By one at a time, and by another one than the one that opened it: it was in the pool."""
        connection, peer = stage.open()

        def talk():
            # type: () -> None
            connection.write(b"question", stage.patience)
            expect(connection.read(100, stage.patience) == b"response",
                   "what came over a connection that another thread had opened was not returned")

        def respond():
            # type: () -> None
            peer.receive(8)
            peer.send(b"response")

        responding = stage.aside(respond)
        stage.side_by_side([talk])
        responding.result()


class _Pool(object):
    """Takes connections of one address and certificate out of a back-end's pool."""

    def __init__(self, stage, **options):
        # type: (Stage, **Any) -> None
        self._stage = stage
        self.backend = stage.backend(**options)
        self._address = stage.address()

    def take(self, address=None, certificate=None):
        # type: (Any, Any) -> Any
        """Take one out of the pool, or open one; the certificate is loaded anew each time."""
        if certificate is None:
            certificate = self._stage.certificate(self.backend)
        return self._stage.keep(self.backend.get_cached_connection(
            self._address if address is None else address, certificate, self._stage.patience))


def _other_address(stage, pool):
    # type: (Stage, _Pool) -> Any
    address = stage.address()
    return address if address != pool._address else (address[0], address[1] + 1)
