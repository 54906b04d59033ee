"""The common part of the back-ends that use pyOpenSSL: everything except how to wait.

A back-end consists of :class:`TlsBackend`, a ``Waiting``, a reentrant lock and, if the one for
threads is not suitable, an event: that is all there is in ``stdio`` and ``gevent``.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..errors import ConnectError
from . import BaseBackend, BaseConnectionAttempt, _connect, _tls
from ._cache import Cache
from ._connection import Connection
from ._identity import Material
from ._names import display
from ._proxy import Proxy, Tunnel
from ._steps import Steps
from ._tls_certificate import TlsCertificate

if MYPY:
    from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

    from OpenSSL import SSL

    from ..certificate import BaseCertificate
    from . import BaseConnection
    from ._identity import Identity
    from ._sockets import Interest
    from ._waiting import Waker

    Address = Tuple[str, int]
    Text = Union[str, bytes]

__all__ = ["TlsBackend"]

_CERTIFICATE_ARGUMENTS = frozenset(
    ["cert_file", "cert_string", "key_file", "key_string", "passphrase"])


class ConnectionAttempt(BaseConnectionAttempt):
    """A connection that is being opened.

    :param connecting: the way to a socket and a handshake (:class:`~._connect.Connecting`).
    :param finish: called with both; returns the connection.
    :param fail: called without arguments if there is none.
    """

    def __init__(self, connecting, finish, fail):
        # type: (_connect.Connecting, Callable[[Any, Any], Connection], Callable[[], None]) -> None
        super(ConnectionAttempt, self).__init__()
        self._connecting = connecting
        self._finish = finish
        self._fail = fail

    def run(self):
        # type: () -> Connection
        """Wait until it is open; raise what :meth:`advance` does."""
        try:
            return self._finish(*self._connecting.run())
        except ConnectError:
            self._fail()
            raise

    def advance(self):
        # type: () -> Optional[Connection]
        """Go on without waiting; see the base class."""
        self.check_process()
        try:
            reached = self._connecting.advance()
            return None if reached is None else self._finish(*reached)
        except BaseException as error:
            if isinstance(error, ConnectError):
                self._fail()
            self.close()
            raise

    def close(self):
        # type: () -> None
        """Give it up; see the base class."""
        self._connecting.close()

    def interests(self):
        # type: () -> List[Interest]
        """Return what has to be waited for until :meth:`advance` may get further."""
        return self._connecting.interests()

    def time_to_wait(self):
        # type: () -> Optional[float]
        """Return the seconds (float) after which to ask again; see :class:`~._connect.Connecting`.
        """
        return self._connecting.time_to_wait()

    @property
    def is_due(self):
        # type: () -> bool
        """True if :meth:`advance` has something to do although nothing is ready."""
        return self.time_to_wait() == 0


class TlsBackend(BaseBackend):
    """Opens connections with non-blocking sockets and pyOpenSSL.

    A subclass sets the two attributes that are None here, and implements ``create_lock()``. For the
    options see :class:`apnsclient.backends.stdio.Backend`.
    """

    #: Class of the certificates that are loaded, a subclass of :class:`TlsCertificate`.
    #: Certificates of all such classes are accepted.
    certificate_class = None  # type: Any
    #: How to wait (``Waiting``).
    waiting = None  # type: Any

    can_detect_close = True
    can_share = True
    has_alpn = True

    #: How many certificates are kept loaded.
    certificate_cache_size = 64
    #: How many TLS sessions are kept for resumption, one for each address and certificate.
    session_cache_size = 64

    def __init__(self, ca_file=None, ca_string=None, verify=True, proxy=None, **options):
        # type: (Optional[str], Optional[Text], bool, Optional[Text], **Any) -> None
        super(TlsBackend, self).__init__(**options)
        self._trust = _tls.Trust(ca_file, ca_string, verify)
        self._trust.check()
        self._proxy = None if proxy is None else Proxy(proxy)
        self._certificates = Cache(self.certificate_cache_size)
        self._sessions = Cache(self.session_cache_size)
        self._contexts = Cache(8)

    @property
    def verify(self):
        # type: () -> bool
        """Whether servers are verified."""
        return self._trust.verify

    @property
    def ca_file(self):
        # type: () -> Optional[str]
        """Value of the argument."""
        return self._trust.ca_file

    @property
    def proxy(self):
        # type: () -> Optional[str]
        """``host:port`` of the proxy (str), without user and password, or None."""
        return None if self._proxy is None else str(self._proxy)

    def get_certificate(self, cert_params):
        # type: (Mapping[str, Any]) -> TlsCertificate
        """Load a certificate, or return one that was loaded before from the same content.

        Files are read again each time, so that a renewed certificate is used.

        :raises TypeError: if ``cert_params`` has a name that is not an argument of a certificate.
        """
        unknown = set(cert_params) - _CERTIFICATE_ARGUMENTS
        if unknown:
            raise TypeError("a certificate has no argument %s, expected %s" % (
                ", ".join(sorted(unknown)), ", ".join(sorted(_CERTIFICATE_ARGUMENTS))))
        content = Material(**cert_params).digest()
        certificate = self._certificates.get(content)
        if certificate is None:
            certificate = self.certificate_class(**cert_params)
            self._certificates.put(certificate.content_digest, certificate)
        return certificate

    def close_all(self, connections):
        # type: (Sequence[BaseConnection]) -> None
        """Close connections that are not in use, concurrently."""
        Connection.close_together(
            [one for one in connections if isinstance(one, Connection)], self.waiting)
        super(TlsBackend, self).close_all(
            [one for one in connections if not isinstance(one, Connection)])

    def get_new_connection(self, address, certificate, timeout=None, alpn=()):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> Connection
        """Open a connection; see the base class.

        ``timeout`` is for everything together: the name lookup, TCP and TLS, with all addresses of
        the host, or of the proxy if there is one.

        :raises ~apnsclient.errors.ConnectTimeout: if there is no connection in time.
        :raises ~apnsclient.errors.PeerVerificationError: if the server's certificate does not
            verify; nothing has been written to it then.
        :raises ~apnsclient.errors.CertificateRefused: if the server refuses our certificate (with
            TLS 1.3 the first read raises it, not this method).
        :raises ~apnsclient.errors.ConnectError: if no connection can be opened for another reason.
        :raises TypeError: if the certificate is neither one of this back-end nor a provider token.
        """
        return self._begin(address, certificate, timeout, alpn).run()

    def start_connecting(self, address, certificate, timeout=None, alpn=()):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> ConnectionAttempt
        """Begin to open a connection; see the base class, and :meth:`get_new_connection`."""
        return self._begin(address, certificate, timeout, alpn)

    def steps(self, address):
        # type: (Address) -> Steps
        """Return the steps before TLS, to take them one by one; for diagnosis."""
        return Steps(address, self._describe(address), self._proxy, self.waiting)

    def _begin(self, address, certificate, timeout, alpn):
        # type: (Address, BaseCertificate, Optional[float], Tuple[str, ...]) -> ConnectionAttempt
        context, identity = self._credentials(certificate, alpn)
        key = (address, context)
        where = self._describe(address)

        def keep_session(session):
            # type: (Any) -> None
            if session is not None:
                self._sessions.put(key, session)

        def new_handshake(connected):
            # type: (Any) -> _tls.Handshake
            return _tls.Handshake(context, self._trust, address, connected,
                                  self._sessions.get(key), identity, where)

        def finish(connected, reached):
            # type: (Any, Any) -> Connection
            connection = Connection(address, certificate, connected, reached.handshake,
                                    keep_session, self.waiting)
            connection.logger = self.certificate_class.logger.getChild("connection")
            return connection

        def fail():
            # type: () -> None
            self._sessions.discard(key)  # It may have been the reason.

        target, role, new_attempt = self._route(address, new_handshake)
        return ConnectionAttempt(
            _connect.Connecting(where, target, role, new_attempt, self.waiting.deadline(timeout),
                                self.waiting), finish, fail)

    def create_waker(self):
        # type: () -> Waker
        """Return a new waker for :meth:`wait`; see the base class.

        :raises socket.error: if there are no descriptors left.
        """
        made = self.waiting.create_waker()  # type: Waker
        return made

    def wait(self, connections, timeout, waker):
        # type: (Sequence[Any], Optional[float], Any) -> List[Any]
        """Wait for several connections at once; see the base class.

        A connection for which TLS itself has something to say counts as ready when that can be
        sent: :meth:`peek() <apnsclient.backends.BaseConnection.peek>` does so.
        """
        ready, attempts, interests = [], [], []  # type: List[Any], List[Any], List[Interest]
        owners = {}  # type: Dict[Any, Any]
        for connection in connections:
            wanted = connection.interests()
            if isinstance(connection, ConnectionAttempt):
                attempts.append(connection)
            elif not wanted:
                ready.append(connection)
            interests += wanted
            for waited, _ in wanted:
                owners[waited] = connection
        if interests or attempts or not ready:
            for waited in self._wait(interests, attempts, 0.0 if ready else timeout, waker):
                if waited is not waker and owners[waited] not in ready:
                    ready.append(owners[waited])
        # However often others end the wait, what is due has its turn.
        return ready + [one for one in attempts if one.is_due and one not in ready]

    def _wait(self, interests, attempts, timeout, waker):
        # type: (List[Interest], List[ConnectionAttempt], Optional[float], Any) -> List[Any]
        """Wait for sockets, the waker, or an attempt that is due; return which sockets are ready.

        The waker is returned with them.
        """
        end = None if timeout is None else self.waiting.clock() + timeout
        left = timeout
        while True:
            for attempt in attempts:
                pause = attempt.time_to_wait()
                if pause is not None and (left is None or pause < left):
                    left = pause
            found = self.waiting.wait(interests, left, waker)  # type: List[Any]
            if found or any([one.is_due for one in attempts]):
                return found
            # A signal may end it early, or something that was meant for a wait before this one.
            left = None if end is None else end - self.waiting.clock()
            if left is not None and left <= 0:
                return found

    def clock(self):
        # type: () -> float
        """Return the time of the clock that this back-end waits by; see the base class."""
        now = self.waiting.clock()  # type: float
        return now

    def _route(self, address, new_handshake):
        # type: (Address, Callable[[Any], _tls.Handshake]) -> Tuple[Any, str, Callable[[Any], Any]]
        """Return where to connect to, its role in messages, and what begins TLS there.

        :return: the last is called with a connected socket, and returns a Handshake or a Tunnel.
        """
        proxy = self._proxy
        if proxy is None:
            return address, "", new_handshake

        def new_tunnel(connected):
            # type: (Any) -> Tunnel
            return Tunnel(connected, proxy, address, request, new_handshake)

        request = proxy.request(address)
        return proxy.address, "the proxy ", new_tunnel

    def _describe(self, address):
        # type: (Address) -> str
        """Return the name of a server for messages."""
        if self._proxy is None:
            return display(address)
        return "%s through the proxy %s" % (display(address), self._proxy)

    def _credentials(self, certificate, alpn):
        # type: (Any, Tuple[str, ...]) -> Tuple[SSL.Context, Optional[Identity]]
        """Return the context to connect with, and the identity that it presents, or None."""
        if isinstance(certificate, TlsCertificate):
            # The argument is left out for subclasses that do not have it.
            options = {"alpn": alpn} if alpn else {}
            return certificate.get_context(self._trust, **options), certificate.identity
        if not hasattr(certificate, "bearer") or certificate.get_context() is not None:
            raise TypeError("certificate is of type %s; expected %s.Certificate or a ProviderToken"
                            % (type(certificate).__name__, type(self).__module__))
        return self._contexts.get_or_make(
            alpn, lambda: self._trust.new_context(None, alpn)), None
