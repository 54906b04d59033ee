"""TLS with pyOpenSSL: which servers are trusted, the handshake, and the meaning of errors.

The server is verified before anything is sent to it, including our certificate: both chain and host
name are checked in OpenSSL's verification callback. A resumed handshake does not call it, because
the session is from a handshake that did, with the same host, identity and trust.
"""

from __future__ import absolute_import, division, print_function

import socket
import sys
from collections import namedtuple

import six
from OpenSSL import SSL, crypto

from .._compat import MYPY
from .._files import plain_path, read_source, to_bytes
from .._formats import describe_instead
from .._interrupts import is_interrupt
from .._pem import certificates_in, der_of
from ..errors import (
    CertificateError,
    CertificateRefused,
    ConnectError,
    ConnectionLost,
    PeerVerificationError,
)
from . import _engine, _sockets
from ._identity import Identity, reasons
from ._names import ascii_host, display, mismatch, parse_ip

if MYPY:
    from typing import Any, List, Optional, Tuple

__all__ = ["Handshake", "TransportFailure", "Trust", "failure_of", "load_authorities"]

#: Alerts by which a server refuses a client's certificate (RFC 8446 6.2, RFC 5246 7.2.2).
_REFUSALS = frozenset([
    "access denied", "bad certificate", "bad certificate hash value",
    "bad certificate status response", "certificate expired", "certificate required",
    "certificate revoked", "certificate unknown", "certificate unobtainable", "handshake failure",
    "no certificate", "unknown ca", "unsupported certificate",
])

#: Texts for the verification errors of OpenSSL (x509_vfy.h) that occur in practice, and have the
#: same number in all versions; for others its own texts are used.
_VERIFICATION_ERRORS = {
    2: "the issuer's certificate is missing",
    7: "a signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed and not among the trusted ones",
    19: "the root of its chain is not among the trusted ones",
    20: "its issuer is not among the trusted ones",
    21: "its issuer is missing from the chain",
    23: "it has been revoked",
    25: "its chain is too long",
    26: "it is not for servers",
    66: "its key is too weak",
    67: "the key of its issuer is too weak",
    68: "a digest in its chain is too weak",
}

#: Remedies (:data:`apnsclient.errors.REMEDIES`) for errors that other authorities would not cure.
_REMEDIES = {
    7: "other server certificate",
    9: "dates",
    10: "dates",
    23: "other server certificate",
    26: "other server certificate",
    66: "other server certificate",
    67: "other server certificate",
    68: "other server certificate",
}

#: A certificate with the purposes that it is trusted for: a format that only OpenSSL has.
_TRUSTED = b"-----BEGIN TRUSTED CERTIFICATE-----"
#: X509_V_FLAG_PARTIAL_CHAIN; the oldest pyOpenSSL that we support has no name for it.
_PARTIAL_CHAIN = 0x80000
#: SSL_MODE_ENABLE_PARTIAL_WRITE and SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, nameless there as well.
_MODES = 0x1 | 0x2


class TransportFailure(Exception):
    """TCP failed during a handshake: another address of the same host may work."""


_Trust = namedtuple("_Trust", "ca_file ca_string verify")


class Trust(_Trust):
    """Which servers are trusted. Immutable, and compared by value.

    With neither file nor string the system's store is used.

    :param ca_file: name of a file with certificates of authorities in PEM format.
    :param ca_string: the same as text (str or bytes).
    :param verify: False switches the verification of chain and host name off (bool).
    """

    __slots__ = ()

    def __new__(cls, ca_file=None, ca_string=None, verify=True):
        # type: (Any, Optional[str], Any, bool) -> Trust
        if isinstance(ca_string, six.text_type):
            ca_string = to_bytes("ca_string", ca_string)
        return super(Trust, cls).__new__(cls, ca_file, ca_string, bool(verify))

    def check(self, name="ca_string"):
        # type: (str) -> None
        """Read file and string, if they are given.

        :param name: name of the string in messages (str).
        :raises ~apnsclient.errors.CertificateError: if one of them cannot be used.
        """
        self._load_authorities(SSL.Context(SSL.TLS_CLIENT_METHOD), name)

    def new_context(self, identity, alpn=()):
        # type: (Optional[Identity], Tuple[str, ...]) -> SSL.Context
        """Return a context with this trust.

        :param identity: the Identity to present; None presents no certificate.
        :param alpn: names of the protocols to offer (tuple of str), the preferred one first.
        """
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_mode(_MODES)
        if identity is not None:
            identity.install(context)
        context.set_app_data(alpn)
        if alpn:
            context.set_alpn_protos([six.ensure_binary(name) for name in alpn])
        if self.verify:
            if self.ca_file is None and self.ca_string is None:
                context.set_default_verify_paths()
            self._load_authorities(context)
        # Without verification the callback still distinguishes a full handshake from a resumed one.
        context.set_verify(SSL.VERIFY_PEER if self.verify else SSL.VERIFY_NONE, _judge)
        return context

    def _load_authorities(self, context, name="ca_string"):
        # type: (SSL.Context, str) -> None
        if self.ca_file is None and self.ca_string is None:
            return
        store = context.get_cert_store()  # type: Any
        if self.ca_file is not None:
            pem, source = read_source("ca", None, self.ca_file)
            if _TRUSTED in pem:
                self._load_trusted(context, source)
            else:
                _add_authorities(store, pem, source)
        if self.ca_string is not None:
            _add_authorities(store, to_bytes(name, self.ca_string), name)
        # A certificate that is given by the user need not be a root.
        store.set_flags(_PARTIAL_CHAIN)

    def _load_trusted(self, context, source):
        # type: (SSL.Context, str) -> None
        """Have OpenSSL read a file with certificates in its TRUSTED format.

        Nothing else supports that format, and OpenSSL reads it only from files.
        """
        try:
            context.load_verify_locations(plain_path(self.ca_file))
            return
        except SSL.Error:
            pass  # Raised below, so that no exception is chained to it.
        raise CertificateError("%s cannot be used: one of its certificates is garbage" % source)


def load_authorities(pem, source):
    # type: (bytes, str) -> List[crypto.X509]
    """Return the certificates of authorities.

    OpenSSL reads them, which is less strict than ``cryptography`` with old certificates.

    :param pem: PEM text (bytes).
    :param source: its name in messages (str).
    :raises ~apnsclient.errors.CertificateError: if one cannot be used, or if there is none.
    """
    authorities, problem = [], None  # type: Tuple[List[crypto.X509], Optional[str]]
    try:
        authorities = [crypto.load_certificate(crypto.FILETYPE_ASN1, der_of(block))
                       for block in certificates_in(pem)]
    except (TypeError, ValueError, crypto.Error):
        problem = "one of its certificates is garbage"
    if not authorities:
        problem = problem or "it holds no certificate in PEM format" + describe_instead(pem, source)
        raise CertificateError("%s cannot be used: %s" % (source, problem))
    return authorities


def _add_authorities(store, pem, source):
    # type: (Any, bytes, str) -> None
    for authority in load_authorities(pem, source):
        store.add_cert(authority)


class _Verdict(object):
    """The result of verification in one handshake; OpenSSL's callback has access to it.

    It is separate from the handshake, so that a failed one leaves no reference cycle.
    """

    def __init__(self, trust, host):
        # type: (Trust, str) -> None
        self._trust = trust
        self._host = host
        #: What is wrong with the peer's certificate (str), or None.
        self.problem = None  # type: Optional[str]
        #: Name of the remedy.
        self.remedy = "trust"
        #: Whether the peer's own certificate has been verified.
        self.has_passed = False
        #: An exception that was raised in OpenSSL's callback (``sys.exc_info()``), or None.
        self.interrupt = None  # type: Any

    def judge(self, certificate, code, depth, is_ok):
        # type: (crypto.X509, int, int, bool) -> bool
        """Decide on one certificate of the peer's chain."""
        if not self._trust.verify:
            self.has_passed = True
            return True
        if not is_ok:
            self.problem = "%s certificate does not verify: %s" % (
                "its" if depth == 0 else "the issuing",
                _VERIFICATION_ERRORS.get(code) or _verification_error(code))
            self.remedy = _REMEDIES.get(code, "trust")
            return False
        if depth > 0:
            return True
        try:
            found = mismatch(certificate.to_cryptography(), self._host)
        except Exception as error:
            if is_interrupt():
                raise
            found = "it cannot be understood (%s)" % type(error).__name__
        if found is not None:
            self.problem = "its certificate is not for this host: " + found
            self.remedy = "host"
        self.has_passed = found is None
        return self.has_passed

    def raise_interrupt(self):
        # type: () -> None
        """Raise the exception that was raised in the callback, if there was one."""
        interrupt, self.interrupt = self.interrupt, None
        try:
            if interrupt is not None:
                six.reraise(*interrupt)
        finally:
            del interrupt


def _verification_error(code):
    # type: (int) -> str
    """Return OpenSSL's text for a verification error, and where to find more about it."""
    try:
        # pyOpenSSL does not document these names; they have not changed since 2014.
        openssl = crypto  # type: Any
        text = openssl._ffi.string(openssl._lib.X509_verify_cert_error_string(code))
        said = six.ensure_str(text, "latin-1")
    except AttributeError:
        said = "no text"
    return "%s (OpenSSL's verification error %d, X509_V_ERR_... in x509_vfy.h)" % (said, code)


def _judge(tls, certificate, code, depth, is_ok):
    # type: (SSL.Connection, crypto.X509, int, int, int) -> bool
    """OpenSSL's verification callback; runs once or more for each certificate of the chain."""
    verdict = tls.get_app_data()
    try:
        return bool(verdict.judge(certificate, code, depth, bool(is_ok)))
    except BaseException:
        # The caller is C code, which would print it and continue.
        verdict.interrupt = sys.exc_info()
        return False


class Handshake(object):
    """One TLS handshake over a connected socket, driven by :meth:`step`.

    :param context: SSL.Context with our identity and trust.
    :param trust: the Trust of the context.
    :param address: ``(host, port)``; the host is verified.
    :param connected: non-blocking socket.
    :param session: session to resume (SSL.Session), or None.
    :param identity: the Identity that the context presents, or None.
    :param where: name of the server in messages (str); by default it is that of ``address``.

    :ivar identity: see above.
    """

    #: How far it has come, for messages.
    progress = "accepted, but did not complete the TLS handshake"

    def __init__(self, context, trust, address, connected, session, identity, where=None):
        # type: (SSL.Context, Trust, Any, Any, Optional[SSL.Session], Optional[Identity], Optional[str]) -> None  # noqa: E501
        self.engine = _engine.best_engine(context)
        self._socket = connected
        self._where = where or display(address)
        self.identity = identity
        self._verdict = _Verdict(trust, address[0])
        self._can_resume = session is not None
        self._is_complete = False
        self._outgoing = b""
        tls = self.engine.tls
        if parse_ip(address[0]) is None:
            tls.set_tlsext_host_name(ascii_host(address[0]).encode("ascii"))
        if session is not None:
            tls.set_session(session)
        tls.set_app_data(self._verdict)

    @property
    def is_resumed(self):
        # type: () -> bool
        """True if an earlier session was resumed; meaningful once the handshake is complete."""
        return self._can_resume and not self._verdict.has_passed

    @property
    def handshake(self):
        # type: () -> Handshake
        """The handshake itself; a Tunnel has the same attribute."""
        return self

    @property
    def alpn_protocol(self):
        # type: () -> Optional[str]
        """Name of the protocol that the server has chosen, or None if it has chosen none."""
        return six.ensure_str(self.engine.tls.get_alpn_proto_negotiated()) or None

    def step(self):
        # type: () -> Optional[str]
        """Continue as far as possible.

        :return: ``"read"`` or ``"write"``, whichever has to become possible first; None when the
            handshake is complete and the peer is verified.
        :raises TransportFailure: if TCP failed.
        :raises ~apnsclient.errors.ConnectError: if TLS failed.
        """
        has_received = False
        while True:
            self._outgoing += self.engine.output()
            if self._outgoing and not self._send():
                return "write"
            if self._is_complete:
                return None
            try:
                self.engine.tls.do_handshake()
                self._complete()
            except SSL.WantReadError:
                # Send the output of OpenSSL before waiting for data.
                self._outgoing += self.engine.output()
                if self._outgoing:
                    continue
                # Only once: a peer may send useless data for ever.
                if has_received or not self._receive():
                    return "read"
                has_received = True
            except SSL.Error as error:
                self._verdict.raise_interrupt()
                self._send_alert()
                six.raise_from(self._failure(error), None)

    def _complete(self):
        # type: () -> None
        # The callback and this check ensure that nothing is written to an unverified server.
        if not (self._verdict.has_passed or self._can_resume):
            raise PeerVerificationError("%s was not verified" % self._where)
        self._is_complete = True

    def _send(self):
        # type: () -> bool
        """Send the output of OpenSSL; return True if all of it has been sent."""
        sent = _sockets.try_send(self._socket, self._outgoing)
        self._outgoing = self._outgoing[sent:]
        return not self._outgoing

    def _receive(self):
        # type: () -> bool
        """Receive data and pass it to OpenSSL; return True if there was any."""
        data = _sockets.try_receive(self._socket)
        if data is None:
            return False
        if not data:
            raise TransportFailure("hung up during the TLS handshake")
        self.engine.feed(data)
        return True

    def _send_alert(self):
        # type: () -> None
        """Send the alert of a failed handshake, if that is possible at once."""
        try:
            self._outgoing += self.engine.output()
            self._send()
        except socket.error:
            pass

    def _failure(self, error):
        # type: (SSL.Error) -> Exception
        if self._verdict.problem is not None:
            return PeerVerificationError(
                "%s is not trusted: %s" % (self._where, self._verdict.problem),
                self._verdict.remedy)
        # Our certificate is sent only after the server's has been received.
        if self._verdict.has_passed or self._can_resume:
            refusal = _refusal(error, self._where, self.identity)
            if refusal is not None:
                return refusal
        text = _text(error)
        hint = ""
        if "wrong version number" in text or "packet length too long" in text:
            hint = ". The server does not seem to speak TLS"
        elif "protocol version" in text or "unsupported protocol" in text:
            hint = ". The server must speak TLS 1.2 or newer"
        elif "no application protocol" in text or not reasons(error):
            # Older versions of OpenSSL have no text for this alert.
            offered = self.engine.tls.get_context().get_app_data()
            if offered:
                hint = ". The server seems to speak none of the protocols that were offered: %s" % (
                    ", ".join(offered))
        return ConnectError("TLS handshake with %s failed: %s%s" % (self._where, text, hint))


def failure_of(error, where, identity, tls):
    # type: (Exception, str, Optional[Identity], Any) -> Exception
    """Return the exception of this package for one that an established connection raised.

    :param tls: its TLS (``SSL.Connection``). Before TLS 1.3 the handshake includes the server's
        verification of our certificate, so a later alert does not refuse it.
    """
    if isinstance(error, SSL.Error):
        is_open = tls.get_protocol_version_name() == "TLSv1.3"
        refusal = _refusal(error, where, identity) if is_open else None
        if refusal is not None:
            return refusal
        return ConnectionLost("the connection to %s failed: %s" % (where, _text(error)))
    return ConnectionLost(
        "the connection to %s was lost: %s" % (where, _sockets.describe(error)))


def _refusal(error, where, identity):
    # type: (Exception, str, Optional[Identity]) -> Optional[Exception]
    for reason in reasons(error):
        # "sslv3 alert bad certificate", "tlsv13 alert certificate required", "ssl/tls alert ..."
        alert = reason.partition(" alert ")[2]
        if alert in _REFUSALS:
            what, hint = _explain_refusal(identity)
            return CertificateRefused(
                "%s refused %s with the TLS alert \"%s\": %s" % (where, what, alert, hint))
    return None


def _explain_refusal(identity):
    # type: (Optional[Identity]) -> Tuple[str, str]
    """Return what was refused, and a likely reason."""
    if identity is None:
        return ("a connection without a client certificate",
                "it may want one instead of a provider token")
    problem = identity.validity_problem()
    if problem is not None:
        return "our certificate", "our certificate " + problem
    return "our certificate", "check that certificate and key are the ones for this server"


def _text(error):
    # type: (Exception) -> str
    return "; ".join(reasons(error)) or "no reason given (%s)" % type(error).__name__
