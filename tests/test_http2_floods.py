"""Servers that send without end: sending ends in time, and what we owe them stays small.

Time passes here while something is read, as it does on a machine that has to look at all of it.
"""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.client import ClientConnection
from frame_peers import ACCEPTED, TOKENS, message, outcome
from http2_support import OK, headers, status_block
from simulated_time import CLOSE_TIMEOUT, Channel, Server, accept_all
from stdio_support import GONE, Gate, open_connection, over_tls
from stdio_support import Server as RealServer

pytestmark = pytest.mark.timeout(240)

READ_TIMEOUT = 10
#: Seconds that it takes to read once, and to look at what was read.
PER_READ = 0.02

PING = frames.ping(b"whatever")
SETTINGS = frames.settings_frame([])
FLOODS = {
    "ping": PING, "settings": SETTINGS, "empty data": frames.data_frames(1, b"", False),
    "window": frames.window_update(1, 1), "interim": headers(3, status_block(103), False),
    "unknown": frames.frame(0xFA, 0, 0, b"x"),
}


class Tap(Channel):
    """A channel with more to read, whenever it is looked at, once the flood was let loose.

    :ivar flood: what comes again and again (bytes), or None.
    """

    flood = None

    @property
    def output(self):
        if self.flood is not None and not self._output and not self.is_ended:
            self._output += self.flood
            self._clock.now += PER_READ
        return self._output

    @output.setter
    def output(self, value):
        self._output = value


class FloodingServer(Server):
    """A server that floods its first connection once it has so many requests.

    :param flood: what it sends again and again (bytes).
    :param prelude: what it sends before.
    :param is_deaf: whether it reads nothing more by then.
    """

    def __init__(self, flood, prelude=b"", is_deaf=False):
        self.flood, self.prelude, self.is_deaf = flood, prelude, is_deaf
        self.taps = []
        super(FloodingServer, self).__init__(self.play_one)

    def play_one(self, peer):
        if len(self.accepted) > 1:
            yield accept_all(peer)
            return
        peer.greet()
        yield peer.requests(2)
        peer.say(self.prelude)
        if self.is_deaf:
            peer.stop_reading()
        self.taps[0].flood = self.flood
        yield peer.end()

    def open_channel(self, address, certificate, timeout, protocol):
        peer = self._new_peer(self._play, self.clock)
        self.accepted.append(peer)
        self.taps.append(Tap(self.clock, peer, None, self._protocol))
        peer.opened(self.taps[-1])
        return self.taps[-1]

    def send(self):
        """Send to two tokens; return the result, and how long it took."""
        client = self.client(read_timeout=READ_TIMEOUT)
        begin = self.clock()
        result = client.send(message(count=2))
        took = self.clock() - begin
        assert outcome(client.send(message(5))) == ACCEPTED
        return result, took


@pytest.mark.parametrize("is_deaf", [False, True], ids=["reads", "deaf"])
@pytest.mark.parametrize("name", sorted(FLOODS))
def test_a_trickle_that_never_ends_ends_with_the_time_of_the_request(name, is_deaf):
    """Not so many at a time that they are a flood; within a second of ``read_timeout``."""
    prelude = headers(1, OK, False)
    with FloodingServer(FLOODS[name] * 90, prelude, is_deaf) as server:
        result, took = server.send()
        assert READ_TIMEOUT <= took <= READ_TIMEOUT + 1
        # Whoever says 200 has accepted the first of them, whatever was to follow.
        assert result.retry().tokens == TOKENS[1:2]


@pytest.mark.parametrize("name", sorted(set(FLOODS) - {"empty data"}))
def test_a_server_that_responds_to_nothing_is_not_waited_for(name):
    """The end comes with the time of the request, without a second for the leave."""
    with FloodingServer(FLOODS[name] * 20, is_deaf=True) as server:
        result, took = server.send()
        assert took < READ_TIMEOUT + CLOSE_TIMEOUT
        assert result.retry().tokens == TOKENS[:2]


@pytest.mark.parametrize("name", sorted(FLOODS))
def test_a_flood_ends_the_connection_at_once(name, caplog):
    """It says what it was; what was on the connection is unknown."""
    flood = FLOODS[name] * (65536 // len(FLOODS[name]))
    with FloodingServer(flood, headers(1, OK, False)) as server:
        result, took = server.send()
        assert took < 2
        assert result.retry().tokens == TOKENS[1:2]
        assert "frames without a response among them" in str(result.errors)
        assert [(code, debug) for kind, _, _, debug in server.accepted[0].seen
                if kind == frames.GOAWAY for code in [bytearray(debug)[7]]] == [
                    (frames.ENHANCE_YOUR_CALM, b"\0\0\0\0\0\0\0\x0b")]


def test_what_is_owed_to_a_flood_is_bounded():
    """However much comes before anything is written."""
    client = ClientConnection(b"host")
    client.receive(SETTINGS)
    data = PING * 3855
    for _ in range(100):
        client.receive(data)
    assert client.error.code == frames.ENHANCE_YOUR_CALM
    assert len(client.output()) < 20000 * len(PING)


def test_chatter_between_responses_is_no_flood():
    """As much as servers send beside what was asked for, however long it goes on."""
    client = ClientConnection(b"host")
    client.receive(SETTINGS + frames.SETTINGS_ACK)
    for _ in range(30):
        batch, _ = client.request([(b":method", b"GET", False)], b"", None)
        client.receive(PING * 3000)
        client.receive(headers(batch.first))
    for _ in range(400):
        client.receive(PING * 100)
    assert client.error is None


def test_aborting_waits_for_nobody():
    """stdio: neither for what was written to be taken, nor for the peer's end."""
    gate = Gate()
    with RealServer(over_tls(lambda tls: gate.wait()), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection.close_timeout = 1000.0
        connection.write(b"x" * 1000, 10)
        connection.abort()
        assert connection.closed()
        connection.close()
        gate.open()
