"""The simulator's TLS contexts: clients' certificates are asked for and checked.

The gateway and the feedback service require one. The services of HTTP/2 do without, since their
clients may have a provider token instead, and they speak nothing but ``h2``.

Each connection needs application data with an attribute ``is_verified``, which is set to True once
the client's certificate has been checked. A resumed session does without that, which is how to
recognise one.
"""

from __future__ import absolute_import, division, print_function

import ipaddress
import re

import six
from OpenSSL import SSL

from ..._compat import MYPY
from .. import server_tls
from .configuration import EVERYWHERE

if MYPY:
    from typing import Any, Iterable, List

    from OpenSSL import crypto

    from ..certs import Authority

__all__ = ["HTTP2", "issue_server_certificate", "new_gateway_context", "new_http2_context"]

#: Name of HTTP/2 in ALPN (RFC 9113, 3.2).
HTTP2 = b"h2"


#: The shape of a host name: names of containers may have underscores, and Unicode has to come as
#: Punycode.
_HOST_NAME = re.compile(r"(?!.{254})(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*\Z")


class _NoCommonProtocol(SSL.Error):
    """The client offers protocols, and HTTP/2 is none of them."""


def issue_server_certificate(authority, host, names):
    # type: (Authority, str, Iterable[str]) -> str
    """Return a certificate for a server, and its key, as one PEM text.

    It is for ``localhost``, ``127.0.0.1`` and ``::1`` in any case.

    :param authority: issues it.
    :param host: where the server listens.
    :param names: more names and addresses by which clients reach it.
    :raises ValueError: if one of them is neither a host name nor an address.
    """
    dns, addresses = ["localhost"], ["127.0.0.1", "::1"]
    for name in list(names) + [host.partition("%")[0]] * (host not in EVERYWHERE):
        kind = addresses if _is_address(name) else dns
        if kind is dns and not _HOST_NAME.match(name):
            raise ValueError("%r is not a host name, such as push.example.com, nor an IP address"
                             % (name,))
        if name not in kind:
            kind.append(name)
    return authority.issue(host, dns=dns, addresses=addresses, usage="server").pem


def _is_address(name):
    # type: (Any) -> bool
    try:
        ipaddress.ip_address(six.ensure_text(name))
    except ValueError:
        return False
    return True


def new_gateway_context(pem, ca_string, tls_1_3):
    # type: (str, str, bool) -> SSL.Context
    """Return the context of the binary protocol.

    :param pem: certificate and key of the server, PEM text.
    :param ca_string: authority that clients' certificates must come from, PEM text.
    :param tls_1_3: False allows TLS 1.2 only.
    """
    context = server_tls.new_context(pem, b"apnsclient-simulator", tls_1_3=tls_1_3)
    server_tls.ask_for_certificates(context, ca_string, True, _verified)
    return context


def new_http2_context(pem, ca_string, tls_1_3):
    # type: (str, str, bool) -> SSL.Context
    """Return the context of HTTP/2.

    A client that offers no protocol at all gets through the handshake nevertheless.
    """
    context = server_tls.new_context(pem, b"apnsclient-http2", tls_1_3=tls_1_3)
    server_tls.ask_for_certificates(context, ca_string, False, _verified)
    context.set_alpn_select_callback(_choose_protocol)
    return context


def _choose_protocol(connection, offered):
    # type: (SSL.Connection, List[bytes]) -> bytes
    if HTTP2 not in offered:
        raise _NoCommonProtocol("the client does not offer HTTP/2")
    return HTTP2


def _verified(connection, certificate, error, depth, is_good):
    # type: (SSL.Connection, crypto.X509, int, int, int) -> bool
    connection.get_app_data().is_verified = True
    return bool(is_good)
