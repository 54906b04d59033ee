"""An HTTP/2 client for the tests of the simulator: h2 over blocking TLS.

It shares no code with the client that the package ships: what is wrong in both must not cancel out.
"""

from __future__ import absolute_import, division, print_function

import json
import socket
import time
from collections import namedtuple

import pytest
from OpenSSL import SSL

from simulator_client import client_context, reset

config = pytest.importorskip("h2.config")
connection = pytest.importorskip("h2.connection")
events = pytest.importorskip("h2.events")
jwt = pytest.importorskip("jwt")

TOKEN = "ab" * 32
BODY = b'{"aps":{"alert":"Hi"}}'

#: What came back: status, fields (dict), and what the body says (None if there is none).
Response = namedtuple("Response", "status fields said")


class ProviderClient(object):
    """A connection to a service of HTTP/2.

    :param address: ``(host, port)``.
    :param pem: client certificate with its key; None presents none.
    :param protocols: what is offered with ALPN.
    :param bearer: provider token to send with each request (str).
    :param settings: settings to send after the first ones (dict by number).
    """

    def __init__(self, address, pem=None, protocols=(b"h2",), bearer=None, settings=None,
                 context=None, session=None):
        self.bearer = bearer
        self.events = []
        self.next_stream = 1
        self.context = context or new_context(pem, protocols)
        self.socket = socket.create_connection(address)
        self.tls = SSL.Connection(self.context, self.socket)
        self.tls.set_connect_state()
        if session is not None:
            self.tls.set_session(session)
        self.h2 = connection.H2Connection(config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        if settings:
            self.h2.update_settings(settings)
        try:
            self.tls.do_handshake()
            self.flush()
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    # Sending.

    def request(self, path, fields=(), body=BODY, method="POST", is_last=True):
        """Send a request, with those before it that were not the last ones; return its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        head = [(":method", method), (":scheme", "https"), (":authority", "localhost"),
                (":path", path)]
        if self.bearer is not None:
            head.append(("authorization", "bearer " + self.bearer))
        self.h2.send_headers(stream, head + list(fields), end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        if is_last:
            self.flush()
        return stream

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.tls.sendall(data)

    # Reading.

    def receive(self):
        """Read once; return True if the stream goes on."""
        try:
            data = self.tls.recv(65536)
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return False
        self.events += self.h2.receive_data(data)
        self.flush()
        return True

    def wait(self, condition):
        """Read until a function returns something true, and return it."""
        while True:
            found = condition()
            if found:
                return found
            assert self.receive(), "the connection has ended"

    def of(self, kind, stream=None):
        return [event for event in self.events if isinstance(event, kind)
                and (stream is None or event.stream_id == stream)]

    def response(self, stream):
        """Wait for the response on a stream, and return it."""
        self.wait(lambda: self.of(events.StreamEnded, stream))
        fields = dict(self.of(events.ResponseReceived, stream)[0].headers)
        body = b"".join(event.data for event in self.of(events.DataReceived, stream))
        return Response(int(fields.pop(":status")), fields,
                     json.loads(body.decode("utf-8")) if body else None)

    def push(self, token=TOKEN, body=BODY, **fields):
        """Push to a device, and return the response; underscores in names stand for hyphens."""
        named = [(name.replace("_", "-"), value) for name, value in sorted(fields.items())]
        return self.response(self.request("/3/device/" + token, named, body))

    def read_to_end(self):
        """Read until the stream ends."""
        while self.receive():
            pass

    def was_refused(self, stream):
        """Wait for RST_STREAM on a stream, and return its code."""
        return int(self.wait(lambda: self.of(events.StreamReset, stream))[0].error_code)

    def has_been_reset(self):
        """Wait for the end; return True if it is a reset of the TCP connection."""
        try:
            while True:
                self.events += self.h2.receive_data(self.tls.recv(65536))
        except SSL.SysCallError as error:
            return error.args[0] > 0
        except SSL.ZeroReturnError:
            return False

    def reset(self):
        reset(self.socket)


def new_context(pem=None, protocols=(b"h2",)):
    """Return a TLS context for clients; who the server is does not matter here."""
    context = client_context(pem)
    if protocols:
        context.set_alpn_protos(list(protocols))
    return context


def with_certificate(apns, **options):
    """Connect to the provider API with the simulator's own client certificate."""
    return ProviderClient(apns.provider_address, apns.cert_string, **options)


def with_token(apns, **options):
    """Connect to the provider API with a provider token."""
    return ProviderClient(apns.provider_address, bearer=new_token(apns), **options)


def new_token(apns, age=0, key_id=None, team_id=None, key_string=None, now=None, **claims):
    """Return a provider token that is so many seconds old."""
    payload = {"iss": team_id or apns.team_id, "iat": int(now or time.time()) - age}
    payload.update(claims)
    token = jwt.encode(payload, key_string or apns.key_string, algorithm="ES256",
                       headers={"kid": key_id or apns.key_id})
    return token if isinstance(token, str) else token.decode("ascii")
