"""Checks the host name in a server's certificate (RFC 9525, RFC 6125).

Only the subject alternative names count; the common name has been obsolete for host names for
twenty years. An IP address has to be among the IP addresses, and a host name among the DNS names,
where ``*`` may stand only for the whole left-most label.
"""

from __future__ import absolute_import, division, print_function

import ipaddress

import six
from cryptography import x509

from .._compat import MYPY
from .._printable import printable

if MYPY:
    from typing import Any, List, Optional, Tuple

__all__ = ["ascii_host", "display", "mismatch", "parse_ip"]


def display(address):
    # type: (Tuple[str, int]) -> str
    """Return ``host:port`` for messages, as a native string whatever the type of the host."""
    return "%s:%s" % (six.ensure_str(address[0]), address[1])


def parse_ip(host):
    # type: (str) -> Optional[Any]
    """Return the IP address in ``host``, or None if it is a name."""
    try:
        return ipaddress.ip_address(six.ensure_text(host).split(u"%")[0])
    except ValueError:
        return None


def ascii_host(host):
    # type: (str) -> str
    """Return the name as certificates have it: ASCII, lower case, no dot at the end.

    :raises UnicodeError: if it is not a valid name.
    """
    name = six.ensure_text(host).rstrip(u".").lower()
    if any(ord(character) > 127 for character in name):
        name = name.encode("idna").decode("ascii")
    name.encode("ascii")
    return str(name)


def mismatch(certificate, host):
    # type: (x509.Certificate, str) -> Optional[str]
    """Return why the certificate is not for ``host`` (name or IP address), or None if it is."""
    try:
        names, addresses = _alternative_names(certificate)
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return "it has alternative names that cannot be understood"
    address = parse_ip(host)
    if address is not None:
        matches = address.packed in [one.packed for one in addresses if hasattr(one, "packed")]
    else:
        wanted = ascii_host(host)
        matches = any(_covers(name, wanted) for name in names)
    if matches:
        return None
    found = [printable(six.ensure_text(str(one))) for one in names + addresses]
    if not found:
        return "it has no subject alternative names (a common name does not count)"
    more = ", ..." if len(found) > 10 else ""
    return "it is for " + ", ".join(found[:10]) + more


def _alternative_names(certificate):
    # type: (x509.Certificate) -> Tuple[List[Any], List[Any]]
    """Return the DNS names and the IP addresses of a certificate."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [], []
    return (extension.value.get_values_for_type(x509.DNSName),
            extension.value.get_values_for_type(x509.IPAddress))


def _covers(pattern, host):
    # type: (str, str) -> bool
    """Return True if a DNS name of a certificate covers ``host`` (lower case)."""
    pattern = pattern.rstrip(".").lower()
    if not pattern.startswith("*."):
        return "*" not in pattern and pattern == host
    parent = pattern[2:]
    # Exactly one label in place of the star, and never for a whole top-level domain.
    label, _, rest = host.partition(".")
    return bool(label) and "." in parent and "*" not in parent and rest == parent
