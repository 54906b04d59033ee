"""The simulator's TLS contexts: version 1.2 or newer, client certificates asked for and checked.

The gateway and the feedback service require one. The services of HTTP/2 do without, since their
clients may have a provider token instead, and they speak nothing but ``h2``.
"""

from __future__ import absolute_import, division, print_function

import six
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from ..._compat import MYPY
from ..certs import ENVIRONMENT_EXTENSIONS, TOPICS_EXTENSION, decode_topics

if MYPY:
    from typing import Any, Callable, List, Tuple

    from ..certs import Credential

__all__ = ["ALPN", "ask_for_certificate", "present", "read_topics", "server_context"]

#: Name of HTTP/2 in ALPN (RFC 9113, 3.2).
ALPN = b"h2"

_OLD_VERSIONS = SSL.OP_NO_SSLv2 | SSL.OP_NO_SSLv3 | SSL.OP_NO_TLSv1 | SSL.OP_NO_TLSv1_1
#: OpenSSL's SSL_OP_NO_TLSv1_3, which older versions of pyOpenSSL do not name.
_NO_TLS_1_3 = 0x20000000


class _NoCommonProtocol(SSL.Error):
    """The client offers protocols, and HTTP/2 is none of them."""


def server_context(credential, ca_string, tls_1_3=True, is_http2=False):
    # type: (Credential, str, bool, bool) -> SSL.Context
    """Return a context for the server's side.

    Each connection made with it needs application data with an attribute ``verified``, which is set
    to True once the client's certificate has been checked. A resumed session does without that,
    which is how to recognise one.

    :param credential: certificate and key of the server.
    :param ca_string: PEM text of the authority that clients' certificates must come from.
    :param tls_1_3: False allows TLS 1.2 only.
    :param is_http2: True agrees upon HTTP/2 only, and lets clients come without a certificate. A
        client that offers no protocol at all gets through the handshake nevertheless.
    """
    context = SSL.Context(SSL.SSLv23_METHOD)
    context.set_options(_OLD_VERSIONS | (0 if tls_1_3 else _NO_TLS_1_3))
    present(context, credential)
    ask_for_certificate(context, ca_string, not is_http2, _verified)
    if is_http2:
        context.set_alpn_select_callback(_choose_protocol)
    # Without one, OpenSSL refuses to resume sessions for which a client certificate was checked.
    # A session of one service is none of the other's, which checks differently.
    context.set_session_id(b"apnsclient-http2" if is_http2 else b"apnsclient-simulator")
    return context


def present(context, credential):
    # type: (SSL.Context, Credential) -> None
    """Let a context present a certificate, with its key."""
    _use(context.use_certificate, crypto.X509.from_cryptography,
         _load_certificate(credential.certificate_string))
    _use(context.use_privatekey, lambda key: _old_key(credential.key_string),
         serialization.load_pem_private_key(
             credential.key_string.encode("ascii"), None, default_backend()))


def ask_for_certificate(context, ca_string, is_required, verified):
    # type: (SSL.Context, str, bool, Callable[..., bool]) -> None
    """Let a server's context ask clients for a certificate.

    :param ca_string: PEM text of the authority that it must come from.
    :param is_required: whether a client without one is refused.
    :param verified: OpenSSL's callback for each certificate that was looked at.
    """
    authority = _load_certificate(ca_string)
    _use(context.add_client_ca, crypto.X509.from_cryptography, authority)
    store = context.get_cert_store()  # type: Any
    store.add_cert(crypto.X509.from_cryptography(authority))
    required = SSL.VERIFY_FAIL_IF_NO_PEER_CERT if is_required else 0
    context.set_verify(SSL.VERIFY_PEER | required, verified)


def read_topics(certificate):
    # type: (Any) -> Tuple[List[str], List[str]]
    """Return the topics and the environments that a certificate of ``cryptography`` names.

    The topics are the user identifier of the subject and what Apple's extension lists; the
    environments stand in extensions of their own.
    """
    topics = [six.ensure_str(each.value) for each in
              certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
    environments = []
    for extension in certificate.extensions:
        number = extension.oid.dotted_string
        if number == TOPICS_EXTENSION:
            topics += _listed_topics(extension.value.value)
        elif number in ENVIRONMENT_EXTENSIONS:
            environments.append(ENVIRONMENT_EXTENSIONS[number])
    return topics, environments


def _listed_topics(value):
    # type: (bytes) -> List[str]
    try:
        return decode_topics(value)
    except (IndexError, ValueError):
        return []


def _choose_protocol(connection, offered):
    # type: (SSL.Connection, List[bytes]) -> bytes
    if ALPN not in offered:
        raise _NoCommonProtocol("the client does not offer HTTP/2")
    return ALPN


def _load_certificate(pem):
    # type: (str) -> Any
    return x509.load_pem_x509_certificate(pem.encode("ascii"), default_backend())


def _old_key(pem):
    # type: (str) -> crypto.PKey
    # From the text: before pyOpenSSL 22, elliptic keys of ``cryptography`` cannot be converted.
    return crypto.load_privatekey(crypto.FILETYPE_PEM, pem.encode("ascii"))


def _use(method, convert, value):
    # type: (Any, Any, Any) -> None
    """Call a method that takes a value of ``cryptography``, or with an old pyOpenSSL its own."""
    try:
        method(value)
    except TypeError:
        method(convert(value))


def _verified(connection, certificate, error, depth, succeeded):
    # type: (SSL.Connection, crypto.X509, int, int, int) -> bool
    connection.get_app_data().verified = True
    return bool(succeeded)
