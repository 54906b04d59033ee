"""Who a client of the simulator says that it is: facts for people, verified elsewhere."""

from __future__ import absolute_import, division, print_function

import base64
import calendar
import json
from collections import namedtuple

import six
from cryptography.x509.oid import NameOID

from ..._compat import MYPY
from .provider_callers import read_topics

if MYPY:
    from typing import Any, Optional

__all__ = ["CertificateFacts", "TokenFacts", "read_certificate", "read_token"]

#: No time in seconds since 1970 is as late.
_LATEST = 10 ** 15


class CertificateFacts(namedtuple("CertificateFacts",
                                  "subject topics environments serial expires")):
    """A client certificate.

    :ivar subject: common name of the subject (str), or None.
    :ivar topics: topics that it names (tuple of str).
    :ivar environments: Apple's environments that it is for (tuple of str).
    :ivar serial: serial number, in hexadecimal (str).
    :ivar expires: end of its validity, in seconds since 1970 (int).
    """

    __slots__ = ()


class TokenFacts(namedtuple("TokenFacts", "key_id team_id issued_at")):
    """A provider token as it says of itself; None where it does not have something.

    :ivar key_id: identifier of the key (str).
    :ivar team_id: identifier of the team (str).
    :ivar issued_at: when it was issued, in seconds since 1970.
    """

    __slots__ = ()


def read_certificate(certificate):
    # type: (Any) -> Optional[CertificateFacts]
    """Return the facts of a certificate of ``cryptography``, None for None."""
    if certificate is None:
        return None
    topics, environments = read_topics(certificate)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    expires = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after
    return CertificateFacts(
        six.ensure_str(names[0].value) if names else "", tuple(topics), tuple(environments),
        "%x" % certificate.serial_number, calendar.timegm(expires.utctimetuple()))


def read_token(authorization):
    # type: (bytes) -> TokenFacts
    """Return what the value of an authorization header says of itself, without verifying it."""
    parts = authorization.split(None, 1)[-1:] or [b""]
    header, _, rest = parts[0].partition(b".")
    claims = _decode(rest.partition(b".")[0])
    issued = claims.get("iat")
    is_number = isinstance(issued, six.integer_types + (float,)) and not isinstance(issued, bool)
    # Nobody has verified it: it may be infinite, or too large to be calculated with.
    return TokenFacts(_text(_decode(header).get("kid")), _text(claims.get("iss")),
                      issued if is_number and abs(issued) < _LATEST else None)


def _decode(part):
    # type: (bytes) -> Any
    try:
        value = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)).decode("utf-8"))
    except (TypeError, ValueError, RuntimeError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value):
    # type: (Any) -> Optional[str]
    return six.ensure_str(value) if isinstance(value, six.string_types) else None
