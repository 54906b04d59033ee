"""The simulator's TLS context: version 1.2 or newer, client certificates asked for and checked."""

from __future__ import absolute_import, division, print_function

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from ..._compat import MYPY

if MYPY:
    from typing import Any

    from ..certs import Credential

__all__ = ["server_context"]

_OLD_VERSIONS = SSL.OP_NO_SSLv2 | SSL.OP_NO_SSLv3 | SSL.OP_NO_TLSv1 | SSL.OP_NO_TLSv1_1
#: OpenSSL's SSL_OP_NO_TLSv1_3, which older versions of pyOpenSSL do not name.
_NO_TLS_1_3 = 0x20000000


def server_context(credential, ca_string, tls_1_3=True):
    # type: (Credential, str, bool) -> SSL.Context
    """Return a context for the server's side.

    Each connection made with it needs application data with an attribute ``verified``, which is set
    to True once the client's certificate has been checked. A resumed session does without that,
    which is how to recognise one.

    :param credential: certificate and key of the server.
    :param ca_string: PEM text of the authority that clients' certificates must come from.
    :param tls_1_3: False allows TLS 1.2 only.
    """
    context = SSL.Context(SSL.SSLv23_METHOD)
    context.set_options(_OLD_VERSIONS | (0 if tls_1_3 else _NO_TLS_1_3))
    _use(context.use_certificate, crypto.X509.from_cryptography,
         _load_certificate(credential.certificate_string))
    _use(context.use_privatekey, lambda key: _old_key(credential.key_string),
         serialization.load_pem_private_key(
             credential.key_string.encode("ascii"), None, default_backend()))
    authority = _load_certificate(ca_string)
    _use(context.add_client_ca, crypto.X509.from_cryptography, authority)
    store = context.get_cert_store()  # type: Any
    store.add_cert(crypto.X509.from_cryptography(authority))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verified)
    # Without one, OpenSSL refuses to resume sessions for which a client certificate was checked.
    context.set_session_id(b"apnsclient-simulator")
    return context


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
