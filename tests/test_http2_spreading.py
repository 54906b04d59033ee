"""One call uses several connections where the way is long, and one where that is enough."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

import simulated_apple
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, message, outcome
from simulated_time import Channel

#: How many requests may be in flight over a connection, and how many are sent.
_STREAMS, _COUNT = 20, 2000
_SCRIPT = ProviderScript(settings={"max_concurrent_streams": _STREAMS})


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
    """The next round trip has room for what waits."""
    apple.script_provider(*[_SCRIPT] * 8)
    client = apple.provider_client(pool_size=5)
    assert outcome(client.send(message(0, 2 * _STREAMS))) == ACCEPTED
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
