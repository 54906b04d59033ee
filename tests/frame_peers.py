"""Servers of HTTP/2 for what the simulator cannot play: functions of a connection, run in threads.

A peer greets, and then does what the test wants, frame by frame. And what sends to them, and to the
simulator: sessions, clients, messages.
"""

from __future__ import absolute_import, division, print_function

from apnsclient import APNs, Message, ProviderToken, Session
from apnsclient.feedback_store import MemoryStore
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.frames import FrameReader
from http2_support import OK, headers
from net_support import make_tokens
from stdio_support import AUTHORITY, CLIENT, SSL, Server, over_tls, server_context

TOPIC = "com.example.app"
TOKENS = make_tokens(3000)


class Peer(object):
    """The server's side of one connection.

    :ivar seen: frames that have come: ``(type, flags, stream, payload)``.
    """

    def __init__(self, tls):
        self.tls = tls
        self.seen = []
        self._reader = FrameReader()

    def greet(self, settings=()):
        """Read the client's preface and send settings."""
        preface = b""
        while len(preface) < len(frames.PREFACE):
            preface += self.tls.recv(len(frames.PREFACE) - len(preface))
        assert preface == frames.PREFACE
        self.say(frames.settings_frame(settings) + frames.SETTINGS_ACK)

    def say(self, *pieces):
        """Send bytes."""
        self.tls.sendall(b"".join(pieces))

    def read(self):
        """Read once; return the frames that came, None at the end of the stream."""
        try:
            found = list(self._reader.feed(self.tls.recv(65536)))
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return None
        self.seen += found
        return found

    def requests(self, count):
        """Wait until so many requests are complete in all; return their streams."""
        while True:
            streams = [stream for kind, flags, stream, _ in self.seen
                       if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM]
            if len(streams) >= count:
                return streams
            if not self._read_on():
                raise EOFError("the client has left after %d requests" % len(streams))

    def parts(self):
        """Return the streams of the parts of requests that have come, without waiting (list)."""
        return [stream for kind, flags, stream, _ in self.seen
                if kind == frames.DATA and not flags & frames.END_STREAM]

    def await_frame(self, frame):
        """Read until a frame has come."""
        while frame not in self.seen:
            if not self._read_on():
                raise EOFError("the client has left without %r" % (frame,))

    def _read_on(self):
        """Read once, and give a sign of life if it is asked for; False at the end of the stream.

        A client that has heard nothing for long asks, and a machine may be held up for long.
        """
        found = self.read()
        pings = [] if found is None else answers_to_pings(found)
        if pings:
            self.say(*pings)
        return found is not None

    def read_to_end(self):
        """Read until the client ends the stream."""
        while self.read() is not None:
            pass


def answers_to_pings(found):
    """Return the frames that respond to the PINGs among others."""
    return [frames.ping(payload, True) for kind, flags, _, payload in found
            if kind == frames.PING and not flags & frames.ACK]


def serve(function, protocol=b"h2", **options):
    """Return a ``Server`` that calls ``function(peer)`` for each connection.

    :param protocol: what is chosen with ALPN; None does not take part in it.
    """
    context = server_context(**options)
    if protocol is not None:
        context.set_alpn_select_callback(lambda tls, offered: protocol)
    return Server(over_tls(lambda tls: function(Peer(tls)), context), ignore=EOFError)


def accept_all(peer):
    """Greet, and accept whatever comes until the client leaves."""
    peer.greet()
    accept(peer)


def accept(peer):
    """Accept whatever comes until the client leaves."""
    while True:
        found = peer.read()
        if found is None:
            return
        responses = answers_to_pings(found)
        for kind, flags, stream, _ in found:
            if kind in (frames.DATA, frames.HEADERS) and flags & frames.END_STREAM:
                responses.append(headers(stream, OK))
        if responses:
            peer.say(*responses)


def new_session(**options):
    """Return a session for HTTP/2 that trusts the peers."""
    options.setdefault("ca_string", AUTHORITY.ca_string)
    # What a process shares would come out in another test.
    options.setdefault("feedback_store", MemoryStore())
    return Session(protocol="http2", **options)


def client_of(session, server):
    """Return an ``APNs`` for a server."""
    return APNs(session.get_connection(server.address, cert_string=CLIENT.pem))


def client_for(session, apns, is_token=False, **credential):
    """Return an ``APNs`` for the simulator."""
    if is_token:
        credential = {"certificate": ProviderToken(**apns.token_parameters)}
    elif not credential:
        credential = {"cert_string": apns.cert_string}
    return APNs(session.get_connection(apns.provider_address, **credential))


def message(number=0, count=1, **options):
    """Return a message to so many of the tokens."""
    options.setdefault("alert", "hello")
    options.setdefault("apns_topic", TOPIC)
    return Message(TOKENS[number:number + count], **options)


def outcome(result):
    """Return what a result says, but for the message: failed, errors, tokens to retry, rest."""
    retry = result.retry()
    return (result.failed, result.errors, [] if retry is None else retry.tokens,
            result.undelivered)


#: What :func:`outcome` says of a message that was accepted.
ACCEPTED = ({}, [], [], [])
