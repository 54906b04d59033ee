"""TLS that ends at the proxy: a server towards clients, a client towards the backend.

What lies between is clear text, so that handlers can count frames and change them. The protocol
that is agreed upon (ALPN) is the one that the backend chooses of those that the client offers: the
backend is connected to in the middle of the client's handshake.
"""

from __future__ import absolute_import, division, print_function

import errno
import socket

import six
from OpenSSL import SSL

from ..._compat import MYPY
from ...backends import _tls
from ...backends._identity import Identity, Material, reasons
from ...errors import ConnectError
from .. import server_tls
from . import sockets

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple, Union

    from ..certs import Authority
    from .sockets import Stream

    Text = Union[str, bytes]

__all__ = ["ChaosTLS"]

#: Most bytes that TLS puts into one record.
_RECORD = 16384


class ChaosTLS(object):
    """Certificates and trust of a proxy that is one end of TLS on either side.

    Clients must trust the authority of ``server``, which has to be for ``localhost`` or whatever
    they call the proxy. A client's certificate is asked for and checked, but what the backend gets
    to see is the proxy's own.

    :param server: certificate, chain and key that clients see: PEM text.
    :param ca_string: authorities that certificates of clients must come from, PEM text; None asks
        for none.
    :param client: certificate and key for the backend, PEM text; None presents none.
    :param backend_ca_string: authorities that the backend's certificate must come from; None is
        the system's store.
    :param backend_name: host name or address that the backend's certificate has to be for; None is
        what is connected to.
    :param verify: False switches the verification of the backend off.
    :param names: what messages call the texts, by parameter (dict of str): for the names of the
        files that they come from. A text that is not in it is called by its parameter.
    :raises ~apnsclient.errors.CertificateError: if a certificate or key, or an authority, cannot
        be used.
    """

    #: What is raised when TLS fails.
    errors = (SSL.Error, ConnectError, _tls.TransportFailure)  # type: Tuple[Any, ...]

    def __init__(self, server, ca_string=None, client=None, backend_ca_string=None,
                 backend_name=None, verify=True, names=None):
        # type: (Text, Optional[Text], Optional[Text], Optional[Text], Optional[str], bool, Optional[Dict[str, str]]) -> None  # noqa: E501
        called = dict(((name, name) for name in ("server", "ca_string", "client",
                                                 "backend_ca_string")), **(names or {}))
        self._context = server_tls.new_context(server, b"apnsclient-chaos", called["server"])
        self._context.set_alpn_select_callback(_choose_protocol)
        if ca_string is not None:
            server_tls.ask_for_certificates(
                self._context, ca_string, False, name=called["ca_string"])
        self._identity = None if client is None else Identity(
            Material.of_text(client, called["client"]))
        self._trust = _tls.Trust(None, backend_ca_string, verify)
        self._trust.check(called["backend_ca_string"])
        self._backend_name = backend_name

    @classmethod
    def from_authority(cls, authority, **options):
        # type: (Authority, **Any) -> ChaosTLS
        """Have one authority issue all that is needed, for loopback; it is trusted both ways.

        :param authority: :class:`apnsclient.testing.certs.Authority`, for example that of a
            simulator.
        :param options: arguments of its ``issue()`` for the client's certificate.
        """
        server = authority.issue("apnsclient chaos proxy", dns=["localhost"],
                                 addresses=["127.0.0.1", "::1"], usage="server")
        client = authority.issue("apnsclient chaos proxy", **options)
        return cls(server.pem, authority.ca_string, client.pem, authority.ca_string)

    def open(self, client, address, connect):
        # type: (Stream, Any, Callable[[], Stream]) -> Tuple[Stream, Stream]
        """Do both handshakes; return the streams of clear text that take the place of the others.

        :param client: stream to the client.
        :param address: address of the backend.
        :param connect: makes a stream to the backend.
        :raises SSL.Error: or another one of :attr:`errors`, if one of them fails.
        """
        opening = _Opening(self, address, connect)
        try:
            tls = SSL.Connection(self._context, None)
            tls.set_app_data(opening)
            tls.set_accept_state()
            _shake_hands(tls, client)
            if opening.tls is None:
                opening.choose([])
        except BaseException:
            opening.abandon()
            raise
        return TLSStream(client, tls), TLSStream(opening.backend, opening.tls)

    def connect(self, backend, address, alpn):
        # type: (Stream, Any, Tuple[str, ...]) -> Any
        """Do the handshake with the backend; return OpenSSL's end of it."""
        context = self._trust.new_context(self._identity, alpn)
        handshake = _tls.Handshake(
            context, self._trust, (self._backend_name or address[0], address[1]), backend.socket,
            None, self._identity)
        while True:
            wanted = handshake.step()
            if wanted is None:
                return handshake.engine.tls
            backend.wait(wanted == "write")


class _Opening(object):
    """What becomes of the backend while a client's handshake goes on."""

    def __init__(self, credentials, address, connect):
        # type: (ChaosTLS, Any, Callable[[], Stream]) -> None
        self._credentials = credentials
        self._address = address
        self._connect = connect
        self.backend = None  # type: Any
        self.tls = None  # type: Any

    def choose(self, offered):
        # type: (List[bytes]) -> bytes
        """Connect to the backend; return the protocol that it chooses, b"" if it does not."""
        self.backend = self._connect()
        self.tls = self._credentials.connect(
            self.backend, self._address, tuple(six.ensure_str(name) for name in offered))
        return bytes(self.tls.get_alpn_proto_negotiated())

    def abandon(self):
        # type: () -> None
        """Close what has been opened."""
        if self.backend is not None:
            self.backend.reset()


class TLSStream(sockets.Stream):
    """A stream of clear text over one that is encrypted; it takes over the latter's socket.

    :param stream: the encrypted one.
    :param tls: OpenSSL's end of it, after the handshake.
    """

    def __init__(self, stream, tls):
        # type: (Stream, SSL.Connection) -> None
        self._tls = tls  # type: Any
        self._plain = b""
        self._is_at_end = False
        self._is_fed = True  # OpenSSL may hold input that came with the handshake.
        self._problem = None  # type: Optional[Exception]
        super(TLSStream, self).__init__(*stream.release())

    def is_ready(self):
        # type: () -> bool
        """Read ahead, and return True if there is something; see the base class."""
        if self._plain or self._is_at_end or self._problem is not None:
            return True
        try:
            self._fill()
        except socket.error as error:
            self._problem = error
        return bool(self._plain or self._is_at_end or self._problem is not None)

    def has_pending(self):
        # type: () -> bool
        """Return True if OpenSSL may have something; see the base class."""
        return bool(self._plain or self._is_at_end or self._is_fed or self._problem is not None)

    def _take(self, size):
        # type: (int) -> Optional[bytes]
        if not self.is_ready():
            return None
        if self._plain:
            data, self._plain = self._plain[:size], self._plain[size:]
            return data
        if self._problem is not None:
            raise self._problem
        return b""

    def _fill(self):
        # type: () -> None
        """Decrypt one record, if one has come."""
        while True:
            if self._is_fed:
                try:
                    self._plain = self._tls.recv(_RECORD)
                    return
                except SSL.ZeroReturnError:
                    self._is_at_end = True
                    return
                except SSL.WantReadError:
                    self._is_fed = False
                except SSL.Error as error:
                    six.raise_from(socket.error(errno.EPROTO, _text(error)), None)
                finally:
                    self._unsent += _output(self._tls)
                    self.flush()
            received = sockets.receive(self.socket, sockets.CHUNK)
            if not received:
                self._is_at_end = received is not None
                return
            self._tls.bio_write(received)
            self._is_fed = True

    def _seal(self, data):
        # type: (bytes) -> bytes
        pieces = []
        try:
            for begin in range(0, len(data), _RECORD):
                view = data[begin:begin + _RECORD]
                while view:
                    view = view[self._tls.send(view):]
                pieces.append(_output(self._tls))
        except SSL.Error as error:
            six.raise_from(socket.error(errno.EPROTO, _text(error)), None)
        return b"".join(pieces)

    def _closing_bytes(self):
        # type: () -> bytes
        try:
            self._tls.shutdown()
        except SSL.Error:
            pass  # It has failed already.
        return _output(self._tls)

    def _finish(self):
        # type: () -> None
        super(TLSStream, self)._finish()
        # What OpenSSL has for it, some 100 kB, would wait for the garbage collector, which counts
        # objects: the connection and its protocol know of one another.
        self._tls = None


def _choose_protocol(tls, offered):
    # type: (SSL.Connection, List[bytes]) -> Any
    return tls.get_app_data().choose(offered) or SSL.NO_OVERLAPPING_PROTOCOLS


def _shake_hands(tls, stream):
    # type: (SSL.Connection, Stream) -> None
    """Do the handshake with a client."""
    while True:
        try:
            tls.do_handshake()
            stream.sendall(_output(tls))
            return
        except SSL.WantReadError:
            stream.sendall(_output(tls))
        except SSL.Error:
            # The alert that says why.
            stream.sendall(_output(tls))
            stream.close()
            raise
        data = stream.recv()
        if not data:
            raise ConnectError("the client hung up during the TLS handshake")
        tls.bio_write(data)


def _output(tls):
    # type: (SSL.Connection) -> bytes
    """Return what has to go to the peer."""
    pieces = []
    try:
        while True:
            pieces.append(tls.bio_read(sockets.CHUNK))
    except SSL.WantReadError:
        return b"".join(pieces)


def _text(error):
    # type: (SSL.Error) -> str
    return "TLS failed: %s" % ("; ".join(reasons(error)) or type(error).__name__)
