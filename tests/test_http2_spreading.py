"""One call uses several connections where the way is long, and one where that is enough."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

import simulated_apple
from apnsclient.testing.simulator import ProviderScript
from effort import IS_BRIEF
from frame_peers import ACCEPTED, TOKENS, message, outcome
from interrupt_support import Interrupt, interrupt_at
from leases import lease, release
from simulated_time import Backend, Channel

#: How many requests may be in flight over a connection, and how many are sent.
_STREAMS, _COUNT = 20, 2000
_SCRIPT = ProviderScript(settings={"max_concurrent_streams": _STREAMS})
#: Where further connections are opened, how that begins, and where one of them is only returned.
_OPENING = ("open", "_use", "_go_on_opening", "_wait_for_all", "take_opening", "release")
_BEGINS = ("open", "start", "_begin")
_HANDS_OVER = ("_connect", "_open", "take_opening", "release")


class FarChannel(Channel):
    """All that the server says takes its time, also its first settings.

    :cvar trip: how long, in seconds (float).
    """

    trip = 0.1

    def send(self, data):
        self._clock.call_later(self.trip, lambda: super(FarChannel, self).send(data))


@pytest.fixture
def far(monkeypatch):
    """Connections that are opened from here on lead far away."""
    monkeypatch.setattr(simulated_apple, "Channel", FarChannel)


def send_many_tokens(apple, script=_SCRIPT, **options):
    """Send to many tokens; return how long it took, in round trips over one connection."""
    apple.script_provider(*[script] * 8)
    client, start = apple.provider_client(**options), apple.clock.now
    assert outcome(client.send(message(0, _COUNT))) == ACCEPTED
    assert sorted(apple.accepted_tokens()) == TOKENS[:_COUNT]
    return (apple.clock.now - start) / FarChannel.trip / (_COUNT // _STREAMS)


@pytest.mark.parametrize("pool_size, connections", [(1, 1), (2, 2), (5, 5)])
def test_a_call_spreads_over_as_many_connections_as_are_allowed(
        apple, far, pool_size, connections):
    """Requests wait for room about a round trip each time, and that is what others are for."""
    took = send_many_tokens(apple, pool_size=pool_size)
    assert apple.provider_connections == connections
    # Connections are opened one at a time, and each has to prove itself first.
    assert took < 1.0 / connections + 0.15


def test_a_server_that_is_busy_gets_no_further_connection(apple):
    """It takes longer over the responses than the way does: more connections are of no help."""
    send_many_tokens(apple, _SCRIPT._replace(delay=FarChannel.trip), pool_size=5)
    assert apple.provider_connections == 1


def test_few_requests_get_no_connection_that_they_do_not_need(apple, far):
    """The next round trips have room for what waits, before another connection would be ready."""
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=5)
    assert outcome(client.send(message(0, 4 * _STREAMS))) == ACCEPTED
    assert apple.provider_connections == 1


@pytest.mark.parametrize("script", [
    ProviderScript(refuse=True), ProviderScript(stall_handshake=True)], ids=["refused", "silent"])
def test_a_further_connection_that_cannot_be_had_is_done_without(apple, far, script):
    """What is sent goes on over the one that there is, and is not kept waiting for long."""
    apple.script_provider(_SCRIPT, script, script)
    client, start = apple.provider_client(pool_size=2), apple.clock.now
    assert outcome(client.send(message(0, _COUNT))) == ACCEPTED
    assert apple.provider_connections == 1
    assert apple.clock.now - start < _COUNT // _STREAMS * FarChannel.trip + 3


def backend_of(client):
    """Return the back-end of the session that a client belongs to."""
    return client._connection._shared.backend


def connections_of(client):
    """Return the connections that a client shares with all others."""
    return client._connection._host()._connections


def test_nobody_waits_while_a_further_connection_is_opened(apple, far, monkeypatch):
    """What there is goes on; before, it stood still for as long as that took."""
    monkeypatch.setattr(Backend, "connecting_time", 0.9)
    took = send_many_tokens(apple, pool_size=2)
    assert apple.provider_connections == 2
    assert took < 0.6


def test_a_connection_that_is_not_open_at_the_end_is_given_up(apple, far, monkeypatch):
    """The call has its results when they have come, and leaves nothing behind."""
    monkeypatch.setattr(Backend, "connecting_time", 0.9)
    apple.script_provider(*[_SCRIPT] * 8)
    client, start = apple.provider_client(pool_size=5), apple.clock.now
    for _ in range(2):
        assert outcome(client.send(message(0, 6 * _STREAMS))) == ACCEPTED
    assert apple.clock.now - start < 15 * FarChannel.trip
    backend = backend_of(client)
    # Nor does the next call try the same again at once.
    assert [one.is_closed for one in backend.attempts] == [True]
    assert (backend.idle_count(), backend.in_use_count()) == (1, 0)


def test_a_connection_that_lacks_the_settings_at_the_end_is_kept(apple, far, monkeypatch):
    """It is open, and whoever uses it next waits for what is missing."""
    monkeypatch.setattr(simulated_apple, "Channel", _growing_trips(FarChannel.trip, 0.9))
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2)
    assert outcome(client.send(message(0, 6 * _STREAMS))) == ACCEPTED
    backend = backend_of(client)
    assert (backend.idle_count(), backend.in_use_count()) == (2, 0)
    start = apple.clock.now
    assert outcome(client.send(message(0, _COUNT))) == ACCEPTED
    assert (backend.idle_count(), len(backend.made)) == (2, 2)
    # Both are used: the far one alone would take nine times as long.
    assert apple.clock.now - start < 1.5 * _COUNT // _STREAMS * FarChannel.trip


def test_settings_that_came_in_time_count_however_late_they_are_read(apple, far, monkeypatch):
    """The caller takes its results, and nobody leads meanwhile."""
    monkeypatch.setattr(simulated_apple, "Channel", _growing_trips(FarChannel.trip, 0.7))
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2)
    results = client.send_many([message(0, 6 * _STREAMS), message(0, 20 * _STREAMS)])
    assert outcome(next(results)) == ACCEPTED
    backend = backend_of(client)
    assert (len(backend.made), backend.idle_count()) == (2, 0)
    apple.clock.advance(30)
    assert [outcome(result) for result in results] == [ACCEPTED]
    assert (len(backend.made), backend.idle_count()) == (2, 2)


def test_who_goes_on_with_a_connection_has_all_the_time_that_it_may_take(
        apple, far, monkeypatch):
    """Also where the call that has begun with it is over before."""
    monkeypatch.setattr(simulated_apple, "Channel", _growing_trips(FarChannel.trip, 0.7))
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2)
    results = client.send_many([message(0), message(0, 30 * _STREAMS)])
    assert outcome(next(results)) == ACCEPTED
    assert client.send(message(0, 30 * _STREAMS), timeout=0.45).needs_retry()
    backend = backend_of(client)
    assert (len(backend.made), backend.idle_count()) == (2, 0)
    assert [outcome(result) for result in results] == [ACCEPTED]
    assert (len(backend.made), backend.idle_count()) == (2, 2)


def _growing_trips(*trips):
    """Return what makes channels, each of which leads as far away as is said for it."""
    left = list(trips)

    def make(*arguments):
        """Make the next one."""
        channel = FarChannel(*arguments)
        channel.trip = left.pop(0)
        return channel

    return make


def test_a_connection_that_is_lost_leaves_its_work_to_the_one_being_opened(
        apple, far, monkeypatch):
    """It is not waited for a third one, nor is anything given up."""
    monkeypatch.setattr(Backend, "connecting_time", 0.9)
    apple.script_provider(_SCRIPT._replace(goaway_after=3 * _STREAMS, goaway_stays=True),
                          _SCRIPT, _SCRIPT)
    client = apple.provider_client(pool_size=5)
    assert outcome(client.send(message(0, 7 * _STREAMS))) == ACCEPTED
    assert len(backend_of(client).made) == 2


def test_a_call_whose_time_is_over_does_not_wait_for_a_further_connection(
        apple, far, monkeypatch):
    """Its own deadline counts, not that of the connection."""
    monkeypatch.setattr(Backend, "connecting_time", 0.9)
    apple.script_provider(*[_SCRIPT] * 8)
    client, start = apple.provider_client(pool_size=5), apple.clock.now
    result = client.send(message(0, _COUNT), timeout=0.75)
    assert result.needs_retry() and apple.clock.now - start < 0.76
    assert [one.is_closed for one in backend_of(client).attempts] == [True]


def test_messages_of_their_own_spread_as_well(apple, far):
    """Only some of them wait in the sender at a time; the iterable has more."""
    apple.script_provider(*[_SCRIPT] * 8)
    client, start = apple.provider_client(pool_size=5), apple.clock.now
    results = list(client.send_many(message(index, 1) for index in range(_COUNT)))
    assert len(results) == _COUNT and not any(result.failed for result in results)
    assert apple.provider_connections == 5
    assert apple.clock.now - start < 0.4 * _COUNT // _STREAMS * FarChannel.trip


@pytest.mark.parametrize("has_others", [True, False])
def test_an_interrupt_at_any_line_leaves_nothing_of_a_further_connection(
        apple, far, monkeypatch, has_others):
    """Neither a connection that nobody has, nor one that the others stumble over."""
    def strike(frame):
        struck.append(frame.f_code.co_name)
        raise Interrupt

    def is_wanted(code):
        is_here = (code.co_filename.endswith("connections.py") and code.co_name in _OPENING
                   or code.co_filename.endswith("opening.py"))
        return is_here and bool(backend.attempts or sender.connections
                                and code.co_name in _BEGINS)

    monkeypatch.setattr(Backend, "connecting_time", 0.05)
    for number in range(1, 5000, (1 if has_others else 3) * (4 if IS_BRIEF else 1)):
        apple.script_provider(*[ProviderScript(settings={"max_concurrent_streams": 2})] * 8)
        client, struck = apple.provider_client(pool_size=2), []
        backend, connections = backend_of(client), connections_of(client)
        sender, others = connections._sender, client.send_many([message(16), message(17, 5)])
        assert not has_others or outcome(next(others)) == ACCEPTED
        interrupt_at(number, strike, is_wanted, lambda: client.send(message(0, 12)))
        where = number, struck
        opening = connections._opening
        assert opening is None or (opening.connection is not None and opening.lease
                                   not in connections._leases.values()), where
        assert has_others or backend.in_use_count() == 0, where
        assert all(outcome(one) == ACCEPTED for one in others), where
        assert backend.in_use_count() == 0, where
        assert all(one.is_closed or one.is_open for one in backend.attempts), where
        left = len([one for one in backend.made if not one.closed()]) - backend.idle_count()
        # What belongs to nobody for the moment of a line ends with the exception.
        assert not left or struck[0] in _HANDS_OVER, where
        client._connection.session.shutdown()
        if not struck:
            break
    assert backend.attempts and number > 100


def test_a_back_end_that_cannot_wait_for_an_attempt_loses_nothing(apple, far, monkeypatch):
    """The attempt is given up; before, what was under way was lost, and it was tried for ever."""
    def wait_for_connections(self, connections, timeout, waker):
        if set(connections) & set(self.attempts):
            raise OSError("this is no socket")
        return wait(self, connections, timeout, waker)

    wait = Backend.wait
    monkeypatch.setattr(Backend, "wait", wait_for_connections)
    monkeypatch.setattr(Backend, "connecting_time", 0.5)
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2)
    assert outcome(client.send(message(0, 10 * _STREAMS))) == ACCEPTED
    backend = backend_of(client)
    assert [one.is_closed for one in backend.attempts] == [True]
    assert (backend.idle_count(), backend.in_use_count()) == (1, 0)


def test_an_idle_connection_that_gave_no_sign_of_life_is_not_kept(apple, far, monkeypatch):
    """It was to be a further one, and the call was over before its PING had a response.

    The pool would take it for one that was used just now, and the next call would not ask it.
    """
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2, ping_after=60)
    backend = backend_of(client)
    release(client._connection, *[lease(client._connection) for _ in range(2)])
    assert backend.idle_count() == 2
    # The one that is taken last leads nowhere.
    monkeypatch.setattr(backend.made[0], "peek", lambda size: None)
    monkeypatch.setattr(backend.made[0], "is_ready", lambda: False)
    apple.clock.advance(100)
    assert outcome(client.send(message(0, 6 * _STREAMS))) == ACCEPTED
    assert (backend.idle_count(), backend.in_use_count()) == (1, 0)
    assert [one.closed() for one in backend.made] == [True, False]


@pytest.mark.parametrize("place", ["class", "instance"])
def test_a_back_end_that_leads_its_connections_elsewhere_is_not_bypassed(apple, far, place):
    """Whoever overrides get_new_connection() alone may know of no other way to connect."""
    def get_new_connection(*arguments, **options):
        opened.append(1)
        return get(*arguments, **options)

    opened = []
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2)
    backend = backend_of(client)
    get = backend.get_new_connection
    if place == "class":
        backend.__class__ = type(str("Led"), (Backend,), {
            "get_new_connection": staticmethod(get_new_connection)})
    else:
        backend.get_new_connection = get_new_connection
    assert outcome(client.send(message(0, 10 * _STREAMS))) == ACCEPTED
    assert (len(opened), backend.attempts) == (2, [])


def test_a_back_end_that_connects_only_by_waiting_keeps_to_the_time_of_a_call(
        apple, far, monkeypatch):
    """It stops everything meanwhile, and so it stops when the call has to be over."""
    monkeypatch.setattr(Backend, "start_connecting", lambda *arguments, **options: None)
    silent = ProviderScript(stall_handshake=True)
    apple.script_provider(_SCRIPT, silent, silent)
    client, start = apple.provider_client(pool_size=2), apple.clock.now
    result = client.send(message(0, _COUNT), timeout=0.75)
    assert result.needs_retry() and apple.clock.now - start < 0.86


def test_a_connection_that_never_gets_settings_fails_no_later_call(apple, far, monkeypatch):
    """It was kept, as it was open; those that have proved themselves are used before it."""
    monkeypatch.setattr(simulated_apple, "Channel", _growing_trips(FarChannel.trip, 1e6, 0.1))
    apple.script_provider(*[_SCRIPT] * 8)
    client, start = apple.provider_client(pool_size=2), apple.clock.now
    for _ in range(2):
        assert outcome(client.send(message(0, 6 * _STREAMS))) == ACCEPTED
    assert apple.clock.now - start < 20 * FarChannel.trip
    backend = backend_of(client)
    backend.made[0].close()
    # Neither does it where there is no other one: it is replaced then.
    assert outcome(client.send(message())) == ACCEPTED
    assert len(backend.made) == 3


def test_a_connection_that_got_its_settings_while_idle_has_to_give_a_sign_of_life(
        apple, far, monkeypatch):
    """They may have come an hour ago, and the connection may be gone since."""
    monkeypatch.setattr(simulated_apple, "Channel", _growing_trips(FarChannel.trip, 0.9, 0.1))
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=2, ping_after=60)
    assert outcome(client.send(message(0, 6 * _STREAMS))) == ACCEPTED
    backend = backend_of(client)
    assert backend.idle_count() == 2
    apple.clock.advance(100)
    backend.made[0].close()
    # Whatever is written to it from here on never arrives.
    monkeypatch.setattr(backend.made[1], "write", lambda data, timeout: None)
    assert outcome(client.send(message())) == ACCEPTED
    assert len(backend.made) == 3
