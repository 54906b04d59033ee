"""Makes clients, which send notifications to Apple from an event loop.

::

    async with create_client("push.pem", Production) as client:
        await client.send_notification(token, Notification(alert="Hello"))
"""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Tuple, Union

from .._timing import Timing, check_ping_after, check_timeout, check_timing
from ..addresses import resolve_address
from ..backends._proxy import Proxy
from ..backends._tls import Trust
from ..backends._tls_certificate import TlsCertificate
from ..events import Event
from ..feedback_store import FeedbackStore, default_store, source_of
from ..provider_token import ProviderToken
from . import config
from ._feedback import Feedback
from ._stream import Endpoint
from .client import Client
from .pool import QUEUE_SIZE, Pool
from .targets import APNSBaseClient, Creation, Simulator, Target

__all__ = ["APNS", "APNSBaseClient", "Client", "Server", "Simulator", "Target", "create_client"]

if TYPE_CHECKING:
    PathLike = os.PathLike[str]
else:
    # It has no parameter on Python 3.8, where types can be read all the same.
    PathLike = os.PathLike

Text = Union[str, bytes]
Credential = Union[str, bytes, PathLike, TlsCertificate, ProviderToken]

Address = Union[config.Server, Tuple[str, int]]

#: The name of the class in aapns.
APNS = Client


def create_client(credential: Credential, server: Address = config.Production, *,
                  cafile: Optional[str] = None, ca_string: Optional[Text] = None,
                  verify: bool = True, key: Optional[Credential] = None,
                  passphrase: Optional[Text] = None, topic: Optional[str] = None,
                  pool_size: int = 2, proxy: Optional[Text] = None,
                  timeout: Optional[float] = 10.0, connect_timeout: Optional[float] = 10.0,
                  read_timeout: Optional[float] = 20.0, ping_after: Optional[float] = 60.0,
                  queue_size: int = QUEUE_SIZE,
                  feedback_store: Optional[FeedbackStore] = None,
                  observer: Optional[Callable[[Event], Any]] = None) -> Creation[Client]:
    """Make a client, and open its first connection.

    Await it, or use it as an asynchronous context manager, which closes the client.

    :param credential: the certificate with its key: name of a file in PEM format, or its text (str
        or bytes), or a loaded one; or a :class:`~apnsclient.provider_token.ProviderToken`.
    :param server: :data:`~apnsclient.aio.config.Production`, ``Sandbox`` and others of
        :mod:`apnsclient.aio.config`, or ``(host, port)``.
    :param cafile: name of a file with the certificates of the authorities to trust, in PEM format,
        instead of the system's store.
    :param ca_string: the same as text (str or bytes).
    :param verify: False switches off the verification of the server (bool): for tests only.
    :param key: the private key, if it is not with the certificate: name of a file, or its text.
    :param passphrase: passphrase of the private key (str or bytes).
    :param topic: bundle identifier for notifications that are sent without one (str). The suffix
        of the push type is added. None takes it from a certificate that is for one topic.
    :param pool_size: most connections (int, from 1).
    :param proxy: ``http://host:port`` or ``http://user:password@host:port`` of an HTTP proxy.
    :param timeout: seconds for each notification (float), or None for no limit.
    :param connect_timeout: seconds for a connect (float), or None.
    :param read_timeout: seconds that the server has for a response (float), or None.
    :param ping_after: idle seconds after which a connection is pinged before use (float), or None.
    :param queue_size: most notifications that wait for room (int); who has more waits for a place.
        Half of it is left to others by ``send_many()``.
    :param feedback_store: keeps dead tokens until :meth:`.Client.feedback` reads them; None means
        what it does for :class:`~apnsclient.transport.Session`.
    :param observer: called with each :class:`~apnsclient.events.Event`, in the event loop, which
        waits for it; see :mod:`apnsclient.events`.
    :raises ~apnsclient.errors.CertificateError: if certificate, key or passphrase cannot be used.
    :raises ~apnsclient.errors.ConnectError: if there is no connection.
    :raises ValueError, TypeError: if another argument cannot be used.
    """
    return Creation(lambda: _create(
        _load(credential, key, passphrase), resolve_address(tuple(server), {}),
        Trust(cafile, ca_string, verify), None if proxy is None else Proxy(proxy), topic, timeout,
        feedback_store, dict(size=pool_size, queue_size=queue_size, ping_after=ping_after,
                             observer=observer, timing=_timing_of(connect_timeout, read_timeout))))


def _timing_of(connect_timeout: Optional[float], read_timeout: Optional[float]) -> Timing:
    """Return timeouts, and buffer sizes; the others do not count here."""
    timing: Timing = check_timing(Timing(
        connect_timeout=connect_timeout, write_buffer_size=16384, write_timeout=None,
        read_buffer_size=65536, read_timeout=read_timeout, read_tail_timeout=0))
    return timing


async def _create(credential: Union[TlsCertificate, ProviderToken], address: Tuple[str, int],
                  trust: Trust, proxy: Optional[Proxy], topic: Optional[str],
                  timeout: Optional[float], store: Optional[FeedbackStore],
                  options: Dict[str, Any]) -> Client:
    """Return a client whose first connection is open."""
    check_ping_after(options["ping_after"])
    check_timeout(timeout)
    trust.check()
    feedback = Feedback(default_store() if store is None else store,
                        source_of(address, credential))
    pool = Pool(Endpoint(address, credential, trust, proxy), **options)
    await pool.start()
    return Client(pool, topic or credential.default_topic, timeout, feedback)


def _load(credential: Any, key: Any, passphrase: Any) -> Union[TlsCertificate, ProviderToken]:
    """Return a credential."""
    if isinstance(credential, (TlsCertificate, ProviderToken)):
        return credential
    values = {"passphrase": passphrase}
    for name, value in (("cert", credential), ("key", key)):
        is_text = isinstance(value, bytes) or isinstance(value, str) and "-----BEGIN" in value
        values[name + ("_string" if is_text else "_file")] = (
            value if value is None or is_text else os.fspath(value))
    return TlsCertificate(**values)


class Server(Target):
    """A server and the certificate for it, as an object that makes the client.

    :param client_cert_path: see ``credential`` of :func:`create_client`.
    :param host: name or IP address (str).
    :param port: port (int).
    :param ca_file: see ``cafile`` of :func:`create_client`.
    :param pool_size: see :func:`create_client`.
    :param options: further arguments of :func:`create_client`, such as ``topic``.
    :ivar host: see above.
    :ivar port: see above.
    """

    def __init__(self, client_cert_path: Credential, host: str, port: int = config.DEFAULT_PORT,
                 ca_file: Optional[str] = None, pool_size: int = 2, **options: Any) -> None:
        self.host = host
        self.port = port
        self._credential = client_cert_path
        self._options = dict(options, cafile=ca_file, pool_size=pool_size)

    @classmethod
    def production(cls, client_cert_path: Credential, **options: Any) -> "Server":
        """Return Apple's server for applications from the App Store."""
        return cls(client_cert_path, *config.Production, **options)

    @classmethod
    def production_alt_port(cls, client_cert_path: Credential, **options: Any) -> "Server":
        """Return the same server at its other port, 2197."""
        return cls(client_cert_path, *config.ProductionAltPort, **options)

    @classmethod
    def development(cls, client_cert_path: Credential, **options: Any) -> "Server":
        """Return Apple's server for applications that were installed from Xcode."""
        return cls(client_cert_path, *config.Development, **options)

    @classmethod
    def development_alt_port(cls, client_cert_path: Credential, **options: Any) -> "Server":
        """Return the same server at its other port, 2197."""
        return cls(client_cert_path, *config.DevelopmentAltPort, **options)

    def create_client(self) -> Creation[Client]:
        """Make a client, and open its first connection: await it, or use it with ``async with``.

        :raises: see :func:`create_client`.
        """
        return create_client(self._credential, (self.host, self.port), **self._options)

    def __repr__(self) -> str:
        return "<%s.%s %s:%s>" % (__name__, type(self).__name__, self.host, self.port)
