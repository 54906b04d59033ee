"""Connects through an HTTP proxy by opening a tunnel (CONNECT: RFC 9110, 9.3.6).

TLS begins after the proxy's response and ends at the server: the proxy sees host, port and the
number of bytes, and the server is verified as it is without a proxy. The proxy looks up the name of
the server.

User and password are sent only to the proxy, in the Basic scheme (RFC 7617). They are in no
message, no ``repr`` and no log, and neither is any text from the proxy, which may repeat them.
"""

from __future__ import absolute_import, division, print_function

import base64
import re

import six
from six.moves.urllib import parse

from .._compat import MYPY, PY2
from ..errors import ConnectError
from . import _sockets
from ._names import ascii_host, display, parse_ip
from ._tls import TransportFailure

if MYPY:
    from typing import Any, Callable, Optional, Tuple, Union

    from ._tls import Handshake

    Address = Tuple[str, int]
    Text = Union[str, bytes]

__all__ = ["Proxy", "Tunnel"]

#: Largest header of the proxy's response, in bytes.
HEADER_LIMIT = 16384

_EXPECTED = "expected \"http://host:port\" or \"http://user:password@host:port\""
#: Schemes that other programs support, and that a message may repeat.
_UNSUPPORTED = ("https", "socks", "socks4", "socks4a", "socks5", "socks5h")
_HOST_AND_PORT = re.compile(u"(?:\\[([0-9A-Fa-f:.]+)\\]|([^\\[\\]:/?#@\\s]+)):([0-9]{1,5})/?\\Z")
#: Characters that have to be percent-encoded in user and password (RFC 3986, 3.2.1).
_UNENCODED = re.compile(u"[\\x00-\\x20\\x7f/?#]")
_HOST = re.compile("[A-Za-z0-9._-]+\\Z")

_END_OF_HEADER = re.compile(br"\r?\n\r?\n")
_STATUS_LINE = re.compile(br"HTTP/1\.[0-9] +([0-9]{3})(?![0-9])")
_CHALLENGE = re.compile(br"(?im)^proxy-authenticate:[ \t]*([a-z0-9-]+)")

_PROBLEMS = {
    400: "check that it is an HTTP proxy that knows CONNECT",
    403: "it forbids this host or port, and would have to allow it",
    404: "check that it is an HTTP proxy that knows CONNECT",
    405: "check that it is an HTTP proxy that knows CONNECT",
    501: "check that it is an HTTP proxy that knows CONNECT",
    502: "it cannot reach this host and port",
    503: "it cannot reach this host and port, or not now",
    504: "it did not reach this host and port in time",
}

if PY2:
    _unquote = parse.unquote
else:
    _unquote = parse.unquote_to_bytes


class Proxy(object):
    """An HTTP proxy. Immutable.

    :param url: ``http://host:port`` or ``http://user:password@host:port`` (str or bytes), with the
        special characters of user and password percent-encoded, and an IPv6 address in brackets.
    :raises ValueError: if it is invalid. The message does not repeat it.

    :ivar address: ``(host, port)`` of the proxy.
    """

    def __init__(self, url):
        # type: (Text) -> None
        userinfo, self.address = _split(_to_text(url))
        self._authorization = None if userinfo is None else _basic(userinfo)

    def request(self, address):
        # type: (Address) -> bytes
        """Return the request for a tunnel to ``address``.

        :raises ~apnsclient.errors.ConnectError: if the host is not a valid name.
        """
        target = _authority(address)
        lines = ["CONNECT %s HTTP/1.1" % target, "Host: %s" % target]
        if self._authorization is not None:
            lines.append("Proxy-Authorization: Basic %s" % self._authorization)
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def failure(self, address, status, header):
        # type: (Address, int, bytes) -> ConnectError
        """Return the exception for a response that opens no tunnel.

        :param status: its status (int).
        :param header: its header (bytes).
        """
        problem, remedy = _PROBLEMS.get(status, "expected 200"), None  # type: str, Optional[str]
        if status == 407:
            problem, remedy = self._login_problem(header)
        return ConnectError("the proxy %s responded with status %d to CONNECT %s: %s"
                            % (self, status, display(address), problem), remedy)

    def _login_problem(self, header):
        # type: (bytes) -> Tuple[str, Optional[str]]
        """Return what is wrong with user and password, and the name of the remedy."""
        schemes = {scheme.lower() for scheme in _CHALLENGE.findall(header)}
        if schemes and b"basic" not in schemes:
            return "its authentication schemes are not supported here; only Basic is", None
        if self._authorization is None:
            return "it requires user and password", "proxy's password"
        return "it rejects user or password", "proxy's special characters"

    def __str__(self):
        # type: () -> str
        return _authority(self.address)

    def __repr__(self):
        # type: () -> str
        return "<Proxy %s>" % self


class Tunnel(object):
    """A TLS handshake through a proxy: opens the tunnel, then continues as the handshake does.

    :param connected: non-blocking socket that is connected to the proxy.
    :param proxy: the Proxy.
    :param address: ``(host, port)`` of the server, for messages.
    :param request: the request for the tunnel (bytes), from :meth:`Proxy.request`.
    :param new_handshake: called with the socket when the tunnel is open; returns a Handshake.

    :ivar handshake: the Handshake; None until the tunnel is open.
    """

    def __init__(self, connected, proxy, address, request, new_handshake):
        # type: (Any, Proxy, Address, bytes, Callable[[Any], Any]) -> None
        self._proxy = proxy
        self._address = address
        self._socket = connected
        self._new_handshake = new_handshake
        self._outgoing = request
        self._received = b""
        self.handshake = None  # type: Optional[Handshake]

    @property
    def progress(self):
        # type: () -> str
        """How far it has come, for messages."""
        if self.handshake is None:
            return "accepted, but did not respond like a proxy"
        return "opened a tunnel, but the server did not complete the TLS handshake"

    def step(self):
        # type: () -> Optional[str]
        """Continue as far as possible; see ``step()`` of the handshake.

        :raises ~apnsclient.errors.ConnectError: also if the proxy opens no tunnel, or is not a
            proxy.
        """
        if self.handshake is None:
            self._outgoing = self._outgoing[_sockets.try_send(self._socket, self._outgoing):]
            if self._outgoing:
                return "write"
            # Only once, so that the caller can check the deadline.
            if not self._receive():
                return "read"
        return self.handshake.step()  # type: ignore[union-attr]

    def _receive(self):
        # type: () -> bool
        """Receive a part of the response; return True if the tunnel is open."""
        data = _sockets.try_receive(self._socket)
        if data is None:
            return False
        if not data:
            raise TransportFailure("the proxy hung up before it responded")
        self._received += data
        while True:
            header = self._take_header()
            if header is None:
                return False
            status = self._status(header)
            if status // 100 == 2:
                break
            # An interim response is followed by the final one (RFC 9110, 15.2).
            if status // 100 != 1 or status == 101:
                raise self._proxy.failure(self._address, status, header)
        self.handshake = self._new_handshake(self._socket)
        if self._received:
            self.handshake.engine.feed(self._received)
        return True

    def _take_header(self):
        # type: () -> Optional[bytes]
        """Remove a complete header from the received data; return None if there is none yet."""
        begin = b"HTTP/1."
        if self._received[:len(begin)] != begin[:len(self._received)]:
            raise self._failure("does not speak HTTP")
        end = _END_OF_HEADER.search(self._received)
        if (len(self._received) if end is None else end.end()) > HEADER_LIMIT:
            raise self._failure("sends a header of more than %d bytes" % HEADER_LIMIT)
        if end is None:
            return None
        header = self._received[:end.start()]
        self._received = self._received[end.end():]
        return header

    def _status(self, header):
        # type: (bytes) -> int
        found = _STATUS_LINE.match(header)
        if found is None:
            raise self._failure("sends a status line that cannot be understood")
        return int(found.group(1))

    def _failure(self, problem):
        # type: (str) -> ConnectError
        return ConnectError(
            "cannot connect to %s: the peer at the proxy's address %s %s"
            % (display(self._address), self._proxy, problem), "proxy")


def _to_text(url):
    # type: (Any) -> six.text_type
    try:
        return six.ensure_text(url)
    except TypeError:
        problem = "is of type %s" % type(url).__name__
    except UnicodeDecodeError:
        problem = "is not text in UTF-8"
    raise ValueError("proxy %s; %s" % (problem, _EXPECTED))


def _split(url):
    # type: (six.text_type) -> Tuple[Optional[six.text_type], Address]
    """Return user and password, still encoded, and the address of the proxy."""
    scheme, _, rest = url.partition(u"://")
    if scheme.lower() in _UNSUPPORTED:
        raise ValueError("proxy begins with %s://, which is not supported; %s"
                         % (str(scheme.lower()), _EXPECTED))
    if scheme.lower() != u"http" or not rest:
        raise ValueError("proxy does not begin with http://; %s" % _EXPECTED)
    userinfo, at, place = rest.rpartition(u"@")
    if _UNENCODED.search(userinfo):
        raise ValueError("proxy has a user or a password with a space or one of / ? # in it; these "
                         "have to be percent-encoded")
    found = _HOST_AND_PORT.match(place)
    if found is None or not 1 <= int(found.group(3)) <= 65535:
        raise ValueError("proxy has no host and port; %s" % _EXPECTED)
    host = found.group(1) or found.group(2)
    try:
        _authority((host, 0))
    except ConnectError:
        six.raise_from(ValueError("proxy has an invalid host; %s" % _EXPECTED), None)
    return userinfo if at else None, (six.ensure_str(host), int(found.group(3)))


def _basic(userinfo):
    # type: (six.text_type) -> str
    """Return the credentials of the Basic scheme for user and password."""
    user, _, password = userinfo.partition(u":")
    user_id = _unquote(user.encode("utf-8"))
    if b":" in user_id:
        raise ValueError("proxy has a user with a colon in it, which cannot be sent")
    return base64.b64encode(
        user_id + b":" + _unquote(password.encode("utf-8"))).decode("ascii")


def _authority(address):
    # type: (Address) -> str
    """Return ``host:port`` as HTTP requires it.

    :raises ~apnsclient.errors.ConnectError: if the host is not a valid name.
    """
    parsed = parse_ip(address[0])
    try:
        host = ascii_host(address[0]) if parsed is None else str(parsed)
    except UnicodeError:
        host = ""
    if parsed is not None and parsed.version == 6:
        host = "[%s]" % host
    elif not _HOST.match(host):
        raise ConnectError("cannot connect to %s through a proxy: the host is not a valid name"
                           % display(address))
    return "%s:%d" % (host, address[1])
