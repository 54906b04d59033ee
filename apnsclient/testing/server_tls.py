"""The server's side of TLS: contexts for simulator, chaos proxy, and the peer of the contract."""

from __future__ import absolute_import, division, print_function

from OpenSSL import SSL

from .._compat import MYPY
from .._files import to_bytes
from ..backends import _tls
from ..backends._identity import Identity, Material

if MYPY:
    from typing import Any, Callable, Union

    from OpenSSL import crypto

    Text = Union[str, bytes]
    Verified = Callable[[SSL.Connection, crypto.X509, int, int, int], bool]

__all__ = ["ask_for_certificates", "new_context"]


def new_context(pem, session_id, name="server", tls_1_3=True):
    # type: (Text, bytes, str, bool) -> SSL.Context
    """Return a context for the server's side of TLS, version 1.2 or newer.

    :param pem: certificate, chain and key of the server, PEM text.
    :param session_id: names the server (bytes). Without one OpenSSL resumes no session for which a
        client's certificate was checked, and a session of one server is none of another's.
    :param name: what messages call ``pem``.
    :param tls_1_3: False allows TLS 1.2 only.
    :raises ~apnsclient.errors.CertificateError: if certificate or key cannot be used.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    if not tls_1_3:
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
    Identity(Material.of_text(pem, name)).install(context)
    context.set_session_id(session_id)
    return context


def accept_verdict(connection, certificate, error, depth, is_good):
    # type: (SSL.Connection, crypto.X509, int, int, int) -> bool
    """Leave the judgement of a certificate to OpenSSL."""
    return bool(is_good)


def ask_for_certificates(context, ca_string, is_required, verified=accept_verdict,
                         name="ca_string"):
    # type: (SSL.Context, Text, bool, Verified, str) -> None
    """Have a server ask its clients for certificates, and check them.

    :param ca_string: authorities that they must come from, PEM text.
    :param is_required: True refuses a client that has none.
    :param verified: OpenSSL's callback for each certificate that it has judged.
    :param name: what messages call ``ca_string``.
    :raises ~apnsclient.errors.CertificateError: if it holds no certificate that can be used.
    """
    store = context.get_cert_store()  # type: Any
    for authority in _tls.load_authorities(to_bytes(name, ca_string), name):
        store.add_cert(authority)
        _add_client_ca(context, authority)
    context.set_verify(
        SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if is_required else 0), verified)


def _add_client_ca(context, authority):
    # type: (SSL.Context, Any) -> None
    try:
        context.add_client_ca(authority.to_cryptography())
    except TypeError:  # Before pyOpenSSL 24.3.
        context.add_client_ca(authority)
