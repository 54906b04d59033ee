"""The default back-end: sockets, ``select()`` and pyOpenSSL.

The one back-end that imports OpenSSL, and the only module of it that is public. Sockets stay
non-blocking; an operation is tried first and waited for only if it has to be. Timeouts are absolute
for their call, so a peer that moves one byte at a time cannot stretch them.
"""

from __future__ import absolute_import, division, print_function

import hashlib
import logging
import os
import socket
import threading

import six
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from .._compat import MYPY
from ..certificate import BaseCertificate
from ..errors import APNsError, ConnectError, ConnectionLost, Timeout
from . import BaseBackend, BaseConnection, _closing, _connect, _sockets, _tls
from ._cache import Cache
from ._engine import CHUNK
from ._identity import Identity, Material
from ._names import display

if MYPY:
    from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Tuple, Union

    Address = Tuple[str, int]
    Text = Union[str, bytes]

__all__ = ["Backend", "Certificate", "Connection"]

_logger = logging.getLogger(__name__)

#: Most bytes that TLS puts into one record; no read returns more.
_RECORD = 16384

#: Most bytes that a write reads ahead, where TLS has it read first.
_STASH = 1 << 20

#: Most times that something is received for one attempt to read: a peer may go on for ever with
#: what is no data, and whoever reads has a deadline to look at.
_PATIENCE = 16

_CERTIFICATE_ARGUMENTS = frozenset(
    ["cert_file", "cert_string", "key_file", "key_string", "passphrase"])

_DEFAULT_TRUST = _tls.Trust()


class _Generation(object):
    """Which process this is, for less than a system call where Python can tell (3.7 and newer)."""

    def __init__(self):
        # type: () -> None
        self.current = object()
        self.is_known = hasattr(os, "register_at_fork")
        if self.is_known:
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self):
        # type: () -> None
        self.current = object()


_generation = _Generation()


class Certificate(BaseCertificate):
    """A provider's certificate, loaded with pyOpenSSL; never from the terminal.

    The PEM text may hold intermediate certificates, which are sent to the server, in any order, and
    the private key. Where a string and a file are given for the same thing, the string is used. An
    expired or not yet valid certificate loads, with a warning in the log.

    :raises ~apnsclient.errors.CertificateError: if certificate, key or passphrase cannot be used.
    """

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> Tuple[Any, Any]
        """Load certificate and key; see the base class."""
        material = Material(cert_string, cert_file, key_string, key_file, passphrase)
        identity = Identity(material)
        identity.install(SSL.Context(SSL.TLS_CLIENT_METHOD))  # Raises here rather than later.
        problem = identity.validity_problem()
        if problem is not None:
            _logger.warning("The certificate of %s %s; the server will refuse it.",
                            identity.certificate.subject.rfc4514_string(), problem)
        #: Digest of everything that it was loaded from.
        self.content_digest = material.digest()
        self._contexts = Cache(8)
        return identity, identity.certificate

    @property
    def identity(self):
        # type: () -> Identity
        """Certificate, chain and key as objects of ``cryptography``."""
        identity = self._context  # type: Identity
        return identity

    def dump_certificate(self, raw):
        # type: (Any) -> bytes
        """Return the certificate, without its key, in PEM format."""
        return bytes(raw.public_bytes(serialization.Encoding.PEM))

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return the digest of the certificate's DER encoding; see the base class."""
        return hashlib.new(digest, raw.public_bytes(serialization.Encoding.DER)).digest()

    def get_context(self, trust=None):
        # type: (Optional[_tls.Trust]) -> SSL.Context
        """Return an ``OpenSSL.SSL.Context`` that presents this certificate.

        It is built once for each trust, because that takes milliseconds.

        :param trust: whom to trust; by default the authorities in the system's store.
        """
        trust = _DEFAULT_TRUST if trust is None else trust
        return self._contexts.get_or_make(trust, lambda: trust.new_context(self.identity))


class Connection(BaseConnection):
    """An established TLS connection; made by :meth:`Backend.get_new_connection`.

    :param address: ``(host, port)`` that it leads to.
    :param certificate: Certificate that it was opened with.
    :param connected: non-blocking socket; the connection owns it.
    :param handshake: completed Handshake over that socket.
    :param keep_session: called with the TLS session when there is one worth keeping.
    """

    #: Longest time in seconds that :meth:`close` takes to see everything delivered.
    close_timeout = 1.0

    def __init__(self, address, certificate, connected, handshake, keep_session):
        # type: (Address, Certificate, Any, _tls.Handshake, Callable[[Any], None]) -> None
        super(Connection, self).__init__(address, certificate)
        self._where = display(address)
        self._provider = certificate.identity
        self._socket = connected
        self._engine = handshake.engine
        self._generation = _generation.current
        self._keep_session = keep_session
        self._has_kept = False
        #: Whether the handshake resumed an earlier TLS session (bool).
        self.session_reused = handshake.is_resumed
        self._stash = b""
        self._unsent = b""
        self._must_read = False  # Before writing: TLS had something to say.
        self._is_fed = True  # OpenSSL may hold input that came with the handshake.
        self._has_written = False
        self._has_ended = False
        self._is_closed = False
        self._is_problem_known = False  # To whoever uses the connection.
        self._read_problem = None  # type: Optional[Tuple[type, str]]
        self._write_problem = None  # type: Optional[str]

    def reset(self):
        # type: () -> None
        """Forget what was received and not yet read."""
        self._stash = b""

    def unacknowledged(self):
        # type: () -> int
        """Return what the system knows; see the base class."""
        return _sockets.unacknowledged(self._socket)

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Read what has arrived; see the base class.

        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        :raises ~apnsclient.errors.CertificateRefused: if the server has refused our certificate.
        """
        if self._stash:
            data, self._stash = self._stash[:size], self._stash[size:]
            return data
        return self._receive(size)

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Read, waiting for at least one byte; see the base class.

        :raises ~apnsclient.errors.Timeout: if nothing came in time.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        :raises ~apnsclient.errors.CertificateRefused: if the server has refused our certificate.
        """
        data = self.peek(size)
        if data is None:
            deadline = _sockets.Deadline(timeout)
            while data is None:
                if not _sockets.wait_for(self._socket, bool(self._unsent), deadline):
                    raise Timeout("nothing came from %s within %s s" % (self._where, timeout))
                data = self._receive(size)
        return data or None

    def _receive(self, size):
        # type: (int) -> Optional[bytes]
        """Do what :meth:`peek` does, without the stash."""
        if self._read_problem is not None:
            self._is_problem_known = True
            kind, text = self._read_problem
            raise kind(text)
        if self._is_closed or self.is_inherited:
            raise ConnectionLost(self._unusable())
        if self._has_ended:
            return b""
        try:
            return self._open(size)
        except SSL.ZeroReturnError:
            self._end_stream()
            return b""
        except (SSL.Error, socket.error) as error:
            failure = _tls.failure_of(error, self._where, self._provider)
            self._read_problem = type(failure), str(failure)
            self._is_problem_known = True
            self._stop_writes(str(failure))
            six.raise_from(failure, None)

    def _open(self, size):
        # type: (int) -> Optional[bytes]
        """Receive and decrypt; raise what OpenSSL and the socket raise."""
        size = min(size, _RECORD)
        data = None  # type: Optional[bytes]
        for left in range(_PATIENCE, -1, -1):
            if self._is_fed:
                data = None
                try:
                    data = self._engine.open(size)
                except SSL.WantReadError:
                    self._is_fed = False
                self._answer()
                if data is not None:
                    return data
            elif self._unsent:
                self._answer()  # What did not fit the last time.
            data = _sockets.try_receive(self._socket) if left else None
            if data is None:
                break
            if not data:
                self._end_stream()
                return b""
            self._engine.feed(data)
            self._is_fed = True
        return None

    def _answer(self):
        # type: () -> None
        """Send what TLS itself has to say, such as the reply to a new key, as far as it goes."""
        self._unsent += self._engine.output()
        if not self._unsent or self._write_problem is not None:
            return
        self._must_read = True
        try:
            self._unsent = self._unsent[_sockets.try_send(self._socket, self._unsent):]
        except socket.error as error:
            # No reason to lose what is being read.
            self._stop_writes(str(_tls.failure_of(error, self._where, self._provider)))

    def _end_stream(self):
        # type: () -> None
        self._has_ended = True
        self._stop_writes("%s has ended the connection" % self._where)

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Write all of it, or raise; see the base class.

        :raises ~apnsclient.errors.Timeout: if the peer did not take all in time.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        """
        # Each chunk of a batch comes through here, so nothing is asked before it is tried.
        if self._generation is not _generation.current:
            raise ConnectionLost(self._unusable())
        self._has_written = True
        deadline = None
        try:
            if len(data) > CHUNK:
                self._write_long(data, _sockets.Deadline(timeout))
                return
            try:
                sealed = self._seal(data)
            except SSL.WantReadError:
                deadline = _sockets.Deadline(timeout)
                sealed = self._seal_later(data, deadline)
            sent = _sockets.try_send(self._socket, sealed)
            if sent != len(sealed):
                self._send(sealed[sent:], deadline or _sockets.Deadline(timeout))
        except BaseException as error:
            self._fail_write(error)
            raise

    def _write_long(self, data, deadline):
        # type: (bytes, _sockets.Deadline) -> None
        """Write more than OpenSSL is given at once."""
        view = memoryview(data)
        for begin in range(0, len(data), CHUNK):
            chunk = view[begin:begin + CHUNK]
            try:
                sealed = self._seal(chunk)
            except SSL.WantReadError:
                sealed = self._seal_later(chunk, deadline)
            self._send(sealed, deadline)

    def _seal_later(self, data, deadline):
        # type: (Any, _sockets.Deadline) -> Any
        """Encrypt when OpenSSL has to read first, because the peer renegotiates."""
        while True:
            received = self._receive(_RECORD)
            if received:
                self._stash += received
            try:
                return self._seal(data)
            except SSL.WantReadError:
                if deadline.is_over() or not received and not _sockets.wait_for(
                        self._socket, bool(self._unsent), deadline):
                    raise self._too_late(deadline)

    def _send(self, sealed, deadline):
        # type: (Any, _sockets.Deadline) -> None
        """Send all of what is encrypted already."""
        while True:
            sealed = sealed[_sockets.try_send(self._socket, sealed):]
            if not sealed:
                return
            if not _sockets.wait_for(self._socket, True, deadline):
                raise self._too_late(deadline)

    def _too_late(self, deadline):
        # type: (_sockets.Deadline) -> Timeout
        return Timeout("%s did not take what was written within %s s"
                       % (self._where, deadline.timeout))

    def _fail_write(self, error):
        # type: (BaseException) -> None
        """Stop writes after ``error``; raise the exception of ours that stands for it, if any."""
        if isinstance(error, (SSL.Error, socket.error)) and not isinstance(error, APNsError):
            failure = _tls.failure_of(error, self._where, self._provider)
            self._stop_writes(str(failure))
            six.raise_from(failure, None)
        self._stop_writes("an earlier write to %s did not finish" % self._where)

    def _stop_writes(self, problem):
        # type: (str) -> None
        """Let every further write raise; what has arrived can still be read."""
        if self._write_problem is None:
            self._write_problem = problem

    def _seal(self, data):
        # type: (Any) -> Any
        """Encrypt, if the connection can still be written to."""
        if self._write_problem is not None or (not _generation.is_known and self.is_inherited):
            raise ConnectionLost(self._unusable())
        if self._must_read:
            return self._seal_after_reading(data)
        return self._engine.seal(data)

    def _seal_after_reading(self, data):
        # type: (Any) -> Any
        """Encrypt after TLS had something to say: when it is sent, and what has come is read.

        It may be a new handshake, which OpenSSL lets fail if data of the peer's are in its way.
        """
        for _ in range(_STASH // _RECORD):
            received = self._receive(_RECORD) if len(self._stash) < _STASH else None
            if self._has_ended:
                raise ConnectionLost(self._unusable())
            if received is None:
                break
            self._stash += received
        sealed = self._engine.seal(data)
        sealed, self._unsent = self._unsent + bytes(bytearray(sealed)), b""
        self._must_read = False
        return sealed

    def _unusable(self):
        # type: () -> str
        """Say why the connection cannot be used."""
        if self.is_inherited:
            return ("the connection to %s belongs to the parent process; open another one after "
                    "fork()" % self._where)
        return self._write_problem or "the connection to %s is closed" % self._where

    def closed(self):
        # type: () -> bool
        """Tell whether the connection is of no more use.

        Not if the server never let us in and nobody has been told yet: the next :meth:`peek` does.
        Otherwise see the base class.
        """
        is_known = self._is_problem_known
        try:
            if self._is_closed or self.is_inherited:
                return True
            if not self._stash:
                self._stash = self._receive(_RECORD) or b""
                self._keep_session_once()
            return not self._stash and self._write_problem is not None
        except ConnectError:
            self._is_problem_known = is_known
            return is_known
        except Exception:
            return True

    def _keep_session_once(self):
        # type: () -> None
        """Keep the session while the connection lives on, for those opened beside it.

        Not right after the handshake: with TLS 1.3 the server's tickets come later.
        """
        if not self._has_kept:
            self._has_kept = True
            self._keep_session(self._engine.tls.get_session())

    def close(self):
        # type: () -> None
        """Close the connection; see the base class.

        An intact connection over which something was written is closed gracefully, within
        :attr:`close_timeout`. One over which nothing was written, and which was not read to its
        end, is reset: anything else would tell a server that sends unasked, as the feedback service
        does, that all of it has been taken.
        """
        self.close_together([self])

    @staticmethod
    def close_together(connections):
        # type: (Iterable[Connection]) -> None
        """Do what :meth:`close` does to several connections, in the time that one takes."""
        closing = [one for one in connections if one._begin_close()]
        try:
            farewells = [one._farewell() for one in closing]
            _closing.say_goodbye([one for one in farewells if one is not None])
        except Exception:
            pass  # Nothing to be done, and at the interpreter's exit nothing to be said.
        finally:
            for one in closing:
                one._finish()

    def _begin_close(self):
        # type: () -> bool
        """Return whether this is the first that is heard of closing."""
        is_first = not self._is_closed
        self._is_closed = True
        return is_first

    def _farewell(self):
        # type: () -> Optional[_closing.Farewell]
        """Return what has to be done before the socket may be closed, if anything."""
        if self._write_problem is not None or not self._has_written or self.is_inherited:
            return None
        return _closing.Farewell(self._socket, self._engine, self._unsent, self.close_timeout)

    def _finish(self):
        # type: () -> None
        """Keep the session and close the socket."""
        try:
            if not self.is_inherited:
                if not self._has_written and not self._has_ended:
                    _sockets.abandon(self._socket)
                self._keep_last_session()
        except Exception:
            pass  # As above.
        finally:
            self._stop_writes("the connection to %s is closed" % self._where)
            self._socket.close()

    def _keep_last_session(self):
        # type: () -> None
        # OpenSSL takes a session for spoiled when its connection ends without a close-notify.
        self._engine.tls.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        if self._read_problem is None:
            self._keep_session(self._engine.tls.get_session())


class Backend(BaseBackend):
    """Opens connections with sockets and pyOpenSSL.

    :param ca_file: name of a file with the certificates of the authorities to trust, in PEM format,
        instead of the system's store.
    :param ca_string: the same as text (str or bytes). With both, both count.
    :param verify: False switches off the verification of the server's certificate chain and host
        name (bool): for tests only.
    :param pool_size: see :class:`~apnsclient.backends.BaseBackend`.
    :param use_cache_for_reconnects: see :class:`~apnsclient.backends.BaseBackend`.
    :raises ValueError: if ``ca_file`` or ``ca_string`` cannot be used.
    """

    can_detect_close = True

    #: How many certificates are kept loaded.
    certificate_cache_size = 64
    #: How many TLS sessions are kept for resumption, one for each address and certificate.
    session_cache_size = 64

    def __init__(self, ca_file=None, ca_string=None, verify=True, **options):
        # type: (Optional[str], Optional[Text], bool, **Any) -> None
        super(Backend, self).__init__(**options)
        self._trust = _tls.Trust(ca_file, ca_string, verify)
        self._trust.check()
        self._certificates = Cache(self.certificate_cache_size)
        self._sessions = Cache(self.session_cache_size)

    def get_certificate(self, cert_params):
        # type: (Mapping[str, Any]) -> Certificate
        """Load a certificate, or return the one that was loaded before from the same content.

        Files are read again each time, so that a renewed certificate is noticed.

        :raises TypeError: if ``cert_params`` has a name that no argument of a certificate has.
        """
        unknown = set(cert_params) - _CERTIFICATE_ARGUMENTS
        if unknown:
            raise TypeError("a certificate has no argument %s, expected %s" % (
                ", ".join(sorted(unknown)), ", ".join(sorted(_CERTIFICATE_ARGUMENTS))))
        content = Material(**cert_params).digest()
        certificate = self._certificates.get(content)
        if certificate is None:
            certificate = Certificate(**cert_params)
            self._certificates.put(certificate.content_digest, certificate)
        return certificate

    def create_lock(self):
        # type: () -> Any
        """Return a new ``threading.RLock``."""
        return threading.RLock()

    def close_all(self, connections):
        # type: (Sequence[BaseConnection]) -> None
        """Close connections that nobody uses, in the time that one of them takes."""
        Connection.close_together([one for one in connections if isinstance(one, Connection)])
        super(Backend, self).close_all(
            [one for one in connections if not isinstance(one, Connection)])

    def get_new_connection(self, address, certificate, timeout=None):
        # type: (Address, BaseCertificate, Optional[float]) -> Connection
        """Open a connection; see the base class.

        All addresses of the host have their turn within ``timeout``, which begins after the name
        lookup and ends with the TLS handshake.

        :raises ~apnsclient.errors.ConnectTimeout: if there is no connection in time.
        :raises ~apnsclient.errors.PeerVerificationError: if the server's certificate does not
            verify; nothing has been written to it then.
        :raises ~apnsclient.errors.CertificateRefused: if the server refuses our certificate (with
            TLS 1.3 the first read tells, not this method).
        :raises ~apnsclient.errors.ConnectError: if no connection can be had for another reason.
        :raises TypeError: if the certificate is not one of this back-end.
        """
        if not isinstance(certificate, Certificate):
            raise TypeError("certificate is of type %s; expected %s.Certificate"
                            % (type(certificate).__name__, __name__))
        context = certificate.get_context(self._trust)
        key = (address, context)

        def keep_session(session):
            # type: (Any) -> None
            if session is not None:
                self._sessions.put(key, session)

        def new_handshake(connected):
            # type: (Any) -> _tls.Handshake
            return _tls.Handshake(context, self._trust, address, connected,
                                  self._sessions.get(key), certificate.identity)

        candidates = _connect.look_up(address)
        try:
            connected, handshake = _connect.connect(
                address, candidates, new_handshake, _sockets.Deadline(timeout))
        except ConnectError:
            self._sessions.discard(key)  # It may have been the reason.
            raise
        return Connection(address, certificate, connected, handshake, keep_session)
