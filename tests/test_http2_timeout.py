"""``timeout`` over HTTP/2: the whole call ends by then, with ordinary results."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.errors import ConnectTimeout
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, message, outcome
from leases import lease, release
from simulated_time import serve
from tables import each

pytestmark = pytest.mark.timeout(240)


def summary(result):
    """Return what is unknown, and what is to be sent again, of a result without other outcomes."""
    assert not result.failed and not result.undelivered
    retry = result.retry()
    return result.unknown, [] if retry is None else retry.tokens


def send(client, count, timeout, is_many):
    """Send to so many tokens, in one message or in as many; return the results."""
    if not is_many:
        return [client.send(message(0, count), timeout)]
    return list(client.send_many([message(number) for number in range(count)], timeout))


@each("is_many", [False, True])
@each("settings, begun", [
    ({"max_concurrent_streams": 0}, 0),
    # Each request waits for its payload to be taken.
    ({"initial_window_size": 0}, 20),
    ({"initial_window_size": 10}, 20),
])
def test_where_there_is_no_room_until_the_time_is_over_nothing_was_sent(settings, begun, is_many):
    """All of it is the caller's to send again, and none is unknown."""
    named = [(getattr(frames, name.upper()), value) for name, value in settings.items()]

    def play(peer):
        peer.greet(named)
        yield peer.end()
        assert len([kind for kind, _, _, _ in peer.seen if kind == frames.HEADERS]) == begun

    with serve(play) as server:
        client, start = server.client(read_timeout=64), server.clock.now
        results = send(client, 20, 16, is_many)
        assert server.clock.now - start == 16
        assert [token for one in results for token in summary(one)[1]] == TOKENS[:20]
        assert [one.unknown for one in results] == [[]] * len(results)
        assert all(one.errors for one in results)
        assert len(server.accepted) == 1


def test_room_that_comes_before_the_time_is_over_is_used(apple):
    """As if there had been no limit."""
    client = apple.provider_client(read_timeout=64)
    apple.script_provider(ProviderScript(settings_at={1: {"max_concurrent_streams": 0}}, delay=8))
    start = apple.clock.now
    assert outcome(client.send(message(), 9)) == ACCEPTED
    assert apple.clock.now - start == 8
    # Now there is none, and then there is again.
    assert summary(client.send(message(1), 16)) == ([], TOKENS[1:2])
    assert apple.clock.now - start == 24
    assert apple.provider_connections == 1


def test_short_calls_do_not_wait_for_a_silent_server_for_ever(apple):
    """After one without a response the connection is pinged, and if need be replaced.

    Each call ends long before the session would give the connection up by itself.
    """
    client = apple.provider_client(read_timeout=64)
    apple.script_provider(ProviderScript(silent_after=2), ProviderScript(delay=4))
    assert outcome(client.send(message(), 2)) == ACCEPTED
    assert summary(client.send(message(1, 2), 2)) == (TOKENS[2:3], TOKENS[2:3])
    # Its time is over when there has been no response to the PING.
    assert summary(client.send(message(2), 2)) == ([], TOKENS[2:3])
    assert outcome(client.send(message(2), 8)) == ACCEPTED
    # One that only takes its time is alive.
    for _ in range(3):
        assert summary(client.send(message(3), 2)) == (TOKENS[3:4], TOKENS[3:4])
    assert outcome(client.send(message(3), 8)) == ACCEPTED
    assert apple.provider_connections == 2


def test_nobody_waits_longer_for_a_slot_than_the_call_may_take(apple):
    """All connections are in use elsewhere."""
    client = apple.provider_client(pool_size=1, connect_timeout=10)
    held, start = lease(client._connection), apple.clock.now
    assert summary(client.send(message(), 4)) == ([], TOKENS[:1])
    assert apple.clock.now - start == 4
    release(client._connection, held)
    assert outcome(client.send(message(), 4)) == ACCEPTED


@pytest.mark.parametrize("step", ["TLS", "settings"])
def test_the_time_is_that_of_all_steps_to_a_connection(monkeypatch, step):
    """An idle one that is dead takes a part of it, and the new one has the rest."""
    def play(peer):
        if len(server.accepted) == 1:
            peer.greet()
            streams = yield peer.requests(1)
            peer.say(frames.header_frames(streams[0], b"\x88", True))
        yield peer.end()

    def connect(address, certificate, timeout, protocol):
        if server.accepted and step == "TLS":
            assert not server.clock.wait(lambda: False, timeout)
            raise ConnectTimeout("it is not connected in time")
        return open_channel(address, certificate, timeout, protocol)

    with serve(play) as server:
        open_channel = server.open_channel
        monkeypatch.setattr(server, "open_channel", connect)
        client = server.client(ping_after=1, connect_timeout=10)
        assert outcome(client.send(message())) == ACCEPTED
        server.clock.advance(60)
        start = server.clock.now
        assert summary(client.send(message(1), 16)) == ([], TOKENS[1:2])
        assert server.clock.now - start == 16
