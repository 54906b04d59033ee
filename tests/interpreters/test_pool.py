"""The pool of the base class: which connection is kept, handed out, closed, and where."""

from __future__ import absolute_import, division, print_function

import datetime
import threading

import pytest

from apnsclient._compat import monotonic
from apnsclient.backends import BaseBackend, BaseConnection
from apnsclient.backends.dummy import Certificate
from pool_support import SOON, FakeConnection, until
from simulated_time import Clock
from tables import each
from threads_support import held_elsewhere, run_threads

HERE = ("here", 1)


class FakeBackend(BaseBackend):
    """Makes such connections, in a time that stands still until it is set."""

    def __init__(self, **options):
        super(FakeBackend, self).__init__(**options)
        self.clock = Clock()
        self.opened = []
        self.locks = []

    def create_lock(self):
        self.locks.append(threading.Lock())
        return self.locks[-1]

    def get_new_connection(self, address, certificate, timeout=None):
        self.opened.append(FakeConnection(address, certificate, self.clock))
        return self.opened[-1]

    def get(self, address=HERE, certificate="a"):
        return self.get_cached_connection(address, Certificate(cert_string=certificate), 5)

    def fill(self, count, **where):
        """Put that many connections into the pool, in the order in which they are returned."""
        connections = [self.get(**where) for _ in range(count)]
        for connection in connections:
            self.release(connection)
        return connections


@pytest.mark.parametrize("pool_size, kept", [(None, 20), (0, 0), (1, 1), (5, 5)])
def test_the_pool_keeps_so_many_of_each_pair(pool_size, kept):
    """None is unlimited, 0 is no pool; the oldest go first. Each address and certificate counts."""
    backend = FakeBackend(pool_size=pool_size)
    for where in ({}, {"address": ("there", 1)}, {"certificate": "b"}):
        connections = backend.fill(20, **where)
        assert [one.is_closed for one in connections] == [True] * (20 - kept) + [False] * kept
    assert len(backend.opened) == 60


def test_the_default_is_five():
    """As documented."""
    assert BaseBackend().pool_size == 5
    assert BaseBackend().use_cache_for_reconnects is True


@each("pool_size", [-1, -100, "5", u"", 2.5, True, False, [5]])
def test_a_size_that_is_none_is_refused(pool_size):
    """With the value in the text, and the same on every interpreter."""
    with pytest.raises(ValueError) as caught:
        BaseBackend(pool_size=pool_size)
    assert str(caught.value) == (
        "pool_size is %r, expected None or a whole number from 0 up" % (pool_size,))


def test_the_connection_that_was_used_last_comes_first():
    """It is the one that is most likely alive."""
    backend = FakeBackend()
    first, second, third = backend.fill(3)
    assert [backend.get() for _ in range(3)] == [third, second, first]
    assert backend.get() is backend.opened[3]


def test_certificates_of_one_content_share_connections():
    """Two loads of the same text; another text, or another address, does not."""
    backend = FakeBackend()
    connection, = backend.fill(1)
    assert backend.get(certificate="b") is not connection
    assert backend.get(address=("here", 2)) is not connection
    assert backend.get() is connection


def test_a_connection_belongs_to_one_user_at_a_time():
    """What was taken is not in the pool."""
    backend = FakeBackend()
    backend.fill(1)
    assert backend.get() is not backend.get()


def test_a_connection_that_was_hung_up_is_dropped():
    """When it is taken, and when it is given back; it is closed either way."""
    backend = FakeBackend()
    good, bad = backend.fill(2)
    bad.is_hung_up = True
    assert backend.get() is good
    assert bad.is_closed and not good.is_closed
    good.is_hung_up = True
    backend.release(good)
    assert good.is_closed
    assert backend.get() is backend.opened[2]


def test_outdate_closes_what_has_been_idle_for_so_long():
    """From the last use on, not from the opening."""
    backend = FakeBackend()
    old, young = backend.fill(2)
    other, = backend.fill(1, address=("there", 1))
    backend.clock.advance(50)
    assert backend.get() is young
    backend.release(young)
    backend.clock.advance(10)
    backend.outdate(datetime.timedelta(seconds=60))
    assert old.is_closed and other.is_closed and not young.is_closed
    backend.clock.advance(49.9)
    backend.outdate(datetime.timedelta(seconds=60))
    assert not young.is_closed
    backend.clock.advance(0.1)
    backend.outdate(datetime.timedelta(seconds=60))
    assert young.is_closed


def test_the_time_is_the_systems_unless_a_back_end_has_its_own():
    """Back-end and connection have the same, which never goes back."""
    for clock in (BaseBackend().clock, BaseConnection(HERE, None).clock):
        before = monotonic()
        assert before <= clock() <= monotonic()


def test_a_connection_in_use_is_not_outdated():
    """It is not in the pool; and when it comes back, it was used just now."""
    backend = FakeBackend()
    connection = backend.get()
    backend.clock.advance(1000)
    backend.outdate(datetime.timedelta(0))
    assert not connection.is_closed
    backend.release(connection)
    backend.outdate(datetime.timedelta(seconds=1))
    assert not connection.is_closed
    backend.outdate(datetime.timedelta(0))
    assert connection.is_closed


def test_is_outdated_counts_from_the_last_touch():
    """The limit itself is too long."""
    clock = Clock()
    connection = FakeConnection(HERE, None, clock)
    minute = datetime.timedelta(minutes=1)
    clock.advance(59.9)
    assert not connection.is_outdated(minute)
    clock.advance(0.1)
    assert connection.is_outdated(minute)
    connection.touch()
    assert not connection.is_outdated(minute)
    assert connection.is_outdated(datetime.timedelta(0))


def test_an_empty_pool_has_nothing_to_close():
    """Neither before nor after its first use."""
    backend = FakeBackend()
    backend.outdate(datetime.timedelta(0))
    backend.close_idle()
    connection, = backend.fill(1)
    backend.outdate(datetime.timedelta(0))
    backend.outdate(datetime.timedelta(0))
    assert connection.calls.count("close") == 1


def test_what_pop_outdated_returns_belongs_to_the_caller():
    """It is open, and no longer in the pool."""
    backend = FakeBackend()
    connections = backend.fill(2)
    assert backend.pop_outdated(datetime.timedelta(0)) == connections
    assert not any(one.is_closed for one in connections)
    assert backend.get() is backend.opened[2]


def test_a_finalizer_does_not_wait_for_the_lock():
    """It may run in the very thread that holds it."""
    backend = FakeBackend()
    connection, = backend.fill(1)
    with backend.locks[0]:
        backend.close_idle()
    assert not connection.is_closed
    backend.close_idle()
    assert connection.is_closed
    assert backend.get() is not connection


def test_connections_are_opened_closed_and_asked_without_the_lock():
    """All of these may take their time, and others shall not wait for it."""
    states = []

    class Watching(FakeConnection):
        def close(self):
            states.append(backend.locks[0].locked())
            super(Watching, self).close()

        def closed(self):
            states.append(backend.locks[0].locked())
            return super(Watching, self).closed()

    class WatchingBackend(FakeBackend):
        def get_new_connection(self, address, certificate, timeout=None):
            states.append(self.locks[0].locked())
            return Watching(address, certificate)

    backend = WatchingBackend(pool_size=2)
    connections = backend.fill(4)
    connections[3].is_hung_up = True
    backend.get()
    backend.outdate(datetime.timedelta(0))
    backend.fill(1)
    backend.close_idle()
    assert acquire(backend).release(backend.get()) == []
    assert len(acquire(backend, 1, True).surplus) == 1
    assert len(states) > 10 and not any(states)


def test_idle_connections_are_counted():
    """All of them, or those of one address, of one certificate, or of both."""
    backend = FakeBackend()
    assert backend.idle_count() == 0
    backend.fill(3)
    backend.fill(2, certificate="b")
    backend.fill(1, address=("there", 1))
    backend.get()
    a, b = Certificate(cert_string="a"), Certificate(cert_string="b")
    assert backend.idle_count() == 5
    assert backend.idle_count(address=HERE) == 4
    assert backend.idle_count(certificate=a) == 3
    assert backend.idle_count(HERE, a) == backend.idle_count(HERE, b) == 2
    assert backend.idle_count(("there", 1), b) == 0
    backend.outdate(datetime.timedelta(0))
    assert backend.idle_count() == 0


class SpeakingBackend(FakeBackend):
    """Makes connections that speak the first protocol that is offered."""

    has_alpn = True

    def get_new_connection(self, address, certificate, timeout=None, alpn=()):
        connection = super(SpeakingBackend, self).get_new_connection(address, certificate, timeout)
        connection.alpn_protocol = alpn[0] if alpn else None
        return connection


def test_protocols_are_kept_apart():
    """Who asks for one of several gets any of them; who asks for none gets none of them."""
    backend = SpeakingBackend()
    certificate = Certificate(cert_string="a")

    def get(*alpn):
        return backend.get_cached_connection(HERE, certificate, 5, alpn)

    plain, h2, h3 = backend.get(), get("h2"), get("h3")
    for connection in (plain, h2, h3):
        backend.release(connection)
    assert get("h1", "h3", "h2") is h3
    assert backend.get() is plain
    assert get("h3", "h2") is h2
    assert get("h2").alpn_protocol == "h2" and len(backend.opened) == 4


def test_a_pool_that_is_made_smaller_keeps_no_more_than_that():
    """From the next connection on that is given back."""
    backend = FakeBackend()
    connections = backend.fill(5)
    backend.pool_size = 2
    backend.release(backend.get())
    assert [one.is_closed for one in connections] == [True] * 3 + [False] * 2


def test_keys_do_not_pile_up():
    """Nothing is left of an address or certificate whose connections are all gone."""
    backend = FakeBackend()
    for number in range(100):
        backend.fill(1, address=("here", number), certificate=str(number))
        backend.get(address=("here", number), certificate=str(number))
    backend.fill(3)
    backend.outdate(datetime.timedelta(0))
    assert backend._BaseBackend__pool()._groups == {}


def test_many_threads_never_share_a_connection():
    """Each connection has one user at a time; none is lost; one pool for all."""
    backend = FakeBackend(pool_size=None)
    users, violations = {}, []

    def use():
        for _ in range(100):
            connection = backend.get()
            if users.setdefault(id(connection), threading.current_thread()) \
                    is not threading.current_thread():
                violations.append("shared")
            users.pop(id(connection), None)
            backend.release(connection)

    run_threads([use] * 20)
    assert not violations
    assert len(backend.opened) <= 20
    idle = backend.pop_outdated(datetime.timedelta(0))
    assert sorted(map(id, idle)) == sorted(map(id, backend.opened))
    assert not any(one.is_closed for one in idle)


# Slots, which come with connections; see test_slots.py for how they are waited for.


def acquire(backend, limit=2, is_new=False, timeout=0, alpn=()):
    return backend.acquire_slot(
        HERE, Certificate(cert_string="a"), alpn, limit, timeout, is_new)


def test_a_slot_comes_with_the_connection_that_was_used_last():
    """It is not in the pool any more; where there is none, whoever has the slot opens one."""
    backend = FakeBackend()
    first, second = backend.fill(2)
    backend.fill(1, certificate="b")
    slots = [acquire(backend, 3) for _ in range(3)]
    assert [slot.connection for slot in slots] == [second, first, None]
    assert [slot.surplus for slot in slots] == [[]] * 3
    assert acquire(backend, 3) is None
    assert backend.idle_count() == 1
    # It may be dead, which the pool does not ask: whoever gets it looks.
    first.is_hung_up, before = True, list(first.calls)
    slots.pop().release(first)
    assert acquire(backend, 3).connection is first
    assert first.calls == before


def test_a_slot_of_several_protocols_takes_any():
    """The first that there is an idle connection of; the limit is that of the first of all."""
    backend = SpeakingBackend()
    certificate = Certificate(cert_string="a")
    h2 = backend.get_cached_connection(HERE, certificate, 5, ("h2",))
    backend.fill(1)
    backend.release(h2)
    slot = acquire(backend, 1, alpn=("h3", "h2"))
    assert slot.connection is h2
    assert acquire(backend, 1, alpn=("h3",)) is None
    assert acquire(backend, 1, alpn=("h2",)).connection is None
    slot.release(h2)
    assert acquire(backend, 1, True, alpn=("h3",)).surplus == []
    assert backend.idle_count() == 2


def test_a_new_connection_makes_room():
    """What would be one too many has to go, and that is what has been idle longest."""
    backend = FakeBackend()
    first, second, third = backend.fill(3)
    backend.fill(2, address=("there", 1))
    kept = [acquire(backend, 4, True)]
    assert (kept[0].connection, kept[0].surplus) == (None, [])
    kept.append(acquire(backend, 4, True))
    assert (kept[1].connection, kept[1].surplus) == (None, [first])
    kept.append(acquire(backend, 2, True))
    assert kept.pop() is None
    assert acquire(backend, 3, True).surplus == [second, third]
    assert backend.idle_count() == 2
    backend.fill(3)
    assert acquire(backend, None, True).surplus == []
    assert not any(one.is_closed for one in backend.opened)


def test_a_slot_is_released_with_the_connection_that_is_idle_next():
    """Both at once; whoever releases it closes what does not go into the pool."""
    backend = FakeBackend(pool_size=2)
    connections = backend.fill(2)
    backend.clock.advance(50)
    third = backend.get_new_connection(HERE, connections[0].certificate)
    backend.clock.advance(50)
    slot = acquire(backend, 5, True)
    assert slot.release(third) == [connections[0]]
    assert backend.in_use_count() == 0
    assert backend.pop_outdated(datetime.timedelta(seconds=1)) == [connections[1]]
    assert acquire(backend, 5, True).release() == []
    assert backend.idle_count() == 1
    # A second time is once too often: it may be somebody else's by now.
    assert acquire(backend).connection is third
    assert slot.release(third) == []
    assert backend.idle_count() == 0
    backend.pool_size = 0
    assert acquire(backend).release(third) == [third]


def test_whoever_waits_gets_the_connection_that_is_released():
    """It need not be opened anew, and the limit is kept all the time."""
    backend = FakeBackend()
    first, second = acquire(backend, 2), acquire(backend, 2)
    connection = backend.get_new_connection(HERE, Certificate(cert_string="a"))
    found = []

    def wait():
        slot = acquire(backend, 2, timeout=SOON)
        found.append(slot.connection)
        slot.release(slot.connection)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: backend.waiting_count() == 1)
    first.release(connection)
    thread.join(SOON)
    assert found == [connection]
    assert (backend.in_use_count(), backend.idle_count()) == (1, 1)
    assert second.release() == []


# A forked child.

def test_a_forked_child_starts_with_an_empty_pool(in_forked_child):
    """What it inherited is closed, once, and nothing is written to it."""
    backend = FakeBackend()
    inherited = backend.fill(2) + backend.fill(1, certificate="b")
    for connection in inherited:
        del connection.calls[:]

    def child():
        assert all(one.is_inherited for one in inherited)
        connection = backend.get()
        assert connection not in inherited and not connection.is_inherited
        assert [one.calls for one in inherited] == [["close"]] * 3
        backend.release(connection)
        assert backend.get() is connection
        backend.outdate(datetime.timedelta(0))
        assert [one.calls for one in inherited] == [["close"]] * 3

    in_forked_child(child)
    assert not any(one.is_inherited for one in inherited)
    assert backend.get() is inherited[1]


@pytest.mark.parametrize("act", [
    lambda backend: backend.get(),
    lambda backend: backend.outdate(datetime.timedelta(0)),
    lambda backend: backend.close_idle(),
    lambda backend: backend.release(backend.get_new_connection(HERE, Certificate())),
])
def test_a_forked_child_does_not_wait_for_a_lock_of_the_parent(in_forked_child, act):
    """Another thread may have held it during the fork, and does not exist in the child."""
    backend = FakeBackend()
    inherited = backend.fill(1)
    with held_elsewhere(backend.locks[0]):
        in_forked_child(lambda: act(backend))
    assert not inherited[0].is_closed


def test_a_connection_that_was_in_use_during_the_fork_is_not_pooled_in_the_child(in_forked_child):
    """It is closed, and nothing else: the parent goes on with it."""
    backend = FakeBackend()
    connection = backend.get()
    del connection.calls[:]

    def child():
        backend.release(connection)
        assert connection.calls == ["close"]
        assert backend.get() is not connection

    in_forked_child(child)
    backend.release(connection)
    assert backend.get() is connection


def test_a_slot_of_the_parent_is_only_forgotten_in_the_child(in_forked_child):
    """Its connection is to be closed, and nobody waits for the lock, which nobody may hold."""
    backend = FakeBackend()
    slot, connection = acquire(backend), backend.get()

    def child():
        assert slot.release(connection) == [connection]
        assert (backend.in_use_count(), backend.idle_count()) == (0, 0)

    with held_elsewhere(backend.locks[0]):
        in_forked_child(child)
    assert backend.in_use_count() == 1
    assert slot.release(connection) == []
    assert acquire(backend).connection is connection


def test_a_grandchild_inherits_nothing_either(in_forked_child):
    """Each process has a pool of its own, also if the one between never used it."""
    backend = FakeBackend()
    inherited, = backend.fill(1)

    def grandchild():
        assert backend.get() is not inherited
        assert inherited.is_closed

    in_forked_child(lambda: in_forked_child(grandchild))
    assert backend.get() is inherited


def test_many_threads_of_a_child_share_one_pool(in_forked_child):
    """Also if they ask for it at the same moment."""
    backend = FakeBackend()
    inherited = backend.fill(3)
    for connection in inherited:
        del connection.calls[:]

    def child():
        pools = []
        start = threading.Event()

        def ask():
            start.wait(SOON)
            pools.append(backend._BaseBackend__pool())

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        start.set()
        for thread in threads:
            thread.join(SOON)
        assert len(pools) == 20 and len(set(map(id, pools))) == 1
        assert [one.calls for one in inherited] == [["close"]] * 3

    in_forked_child(child)


class Reentered(FakeConnection):
    """A connection in the midst of whose inspection a finalizer runs, in the same thread."""

    finalizer = None

    def is_outdated(self, delta):
        finalizer, self.finalizer = self.finalizer, None
        if finalizer is not None:
            finalizer()
        return super(Reentered, self).is_outdated(delta)


class ReentrantBackend(FakeBackend):
    """A back-end whose lock is as the contract has it."""

    def create_lock(self):
        return threading.RLock()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("action", ["release", "outdate", "close_idle"])
def test_a_finalizer_may_use_the_pool_in_the_thread_that_holds_its_lock(action):
    """No deadlock, and no connection that is neither in the pool nor closed."""
    backend = ReentrantBackend(pool_size=None)
    others = backend.fill(3)
    late = backend.get_new_connection(HERE, Certificate(cert_string="a"))
    reentered = Reentered(HERE, Certificate(cert_string="a"))
    reentered.finalizer = {
        "release": lambda: backend.release(late),
        "outdate": lambda: backend.outdate(datetime.timedelta(0)),
        "close_idle": backend.close_idle,
    }[action]
    backend.release(reentered)
    backend.outdate(datetime.timedelta(0))
    if action == "release":
        assert not late.is_closed and backend.get() is late
    assert reentered.finalizer is None
    assert [one.calls.count("close") for one in others + [reentered]] == [1] * 4
    assert backend._BaseBackend__pool()._groups == {}
