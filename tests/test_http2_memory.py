"""Nothing of the client grows with the number of notifications that went out.

The server is one that responds before anybody waits for it, so that the client never rests.
"""

from __future__ import absolute_import, division, print_function

import gc
import threading
import weakref

from apnsclient import APNs, Message, Session
from apnsclient.backends import BaseBackend, BaseConnection
from apnsclient.backends.dummy import Certificate
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.streams import Batch
from apnsclient.sending import work
from http2_support import headers
from simulated_time import serve


class Prompt(BaseConnection):
    """A server that has accepted each notification by the time it is written."""

    alpn_protocol = "h2"

    def __init__(self, address, certificate):
        super(Prompt, self).__init__(address, certificate)
        self.reader = frames.FrameReader()
        self.said = [frames.settings_frame([]), frames.SETTINGS_ACK]
        self.is_greeted = False

    def write(self, data, timeout):
        if not self.is_greeted:
            data, self.is_greeted = data[len(frames.PREFACE):], True
        size = 0
        for kind, _, stream, payload in self.reader.feed(data):
            if kind == frames.DATA:
                size += len(payload)
                self.said.append(frames.frame(
                    frames.HEADERS, frames.END_STREAM | frames.END_HEADERS, stream, b"\x88"))
        if size:
            self.said.append(frames.window_update(0, size))

    def peek(self, size):
        said, self.said = b"".join(self.said), []
        return said or None

    def read(self, size, timeout):
        return self.peek(size)

    def reset(self):
        pass

    def close(self):
        pass

    def closed(self):
        return False


class Backend(BaseBackend):
    """Opens connections to it."""

    can_detect_close = has_alpn = True

    def get_certificate(self, cert_params):
        return Certificate(**cert_params)

    def create_lock(self):
        return threading.RLock()

    def get_new_connection(self, address, certificate, timeout=None, alpn=()):
        return Prompt(address, certificate)


def count_batches():
    """Return how many batches are in memory."""
    gc.collect()
    return sum(1 for one in gc.get_objects() if type(one) is Batch)


def test_what_has_a_response_is_forgotten_while_more_is_sent():
    """However long the sending goes on without a rest."""
    client = APNs(Session(Backend(), protocol="http2").get_connection(cert_string="any"))
    most = []
    messages = (Message("%064x" % number, alert="hi") for number in range(20000))
    for number, result in enumerate(client.send_many(messages)):
        assert not result.errors
        if number % 5000 == 4999:
            most.append(count_batches())
    # As many as are written at once; it takes three hundred to send them all.
    assert max(most) <= 50


def test_what_has_a_response_is_forgotten_behind_what_is_not(monkeypatch):
    """A server that leaves one request for later does not make the connection keep all others."""
    monkeypatch.setattr(work, "_MANY_BATCHES", 20)
    most = []

    def play(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 2)])
        for count in range(2, 201):
            streams = yield peer.requests(count)
            peer.say(headers(streams[-1]))
            if count % 50 == 0:
                most.append(count_batches() - before)
        peer.say(headers(streams[0]))
        yield peer.end()

    before = count_batches()
    with serve(play) as server:
        messages = [Message("%064x" % number, alert="hi") for number in range(200)]
        assert not any(result.errors for result in server.client().send_many(messages))
    assert len(most) == 4 and max(most) <= 30


def test_what_has_a_response_is_forgotten_when_all_is_sent():
    """A connection in the pool keeps no message."""
    before = count_batches()  # Of tests whose tracebacks are not gone yet.
    client = APNs(Session(Backend(), protocol="http2").get_connection(cert_string="any"))
    assert not client.send(Message(["%064x" % number for number in range(20000)])).errors
    assert count_batches() <= before


def test_a_connection_in_the_pool_keeps_no_message():
    """What has a response is forgotten when the connection goes back."""
    client = APNs(Session(Backend(), protocol="http2").get_connection(cert_string="any"))
    sent = Message(["%064x" % number for number in range(100)], alert="hi")
    kept = weakref.ref(sent)
    assert not client.send(sent).errors
    del sent
    gc.collect()
    assert kept() is None
