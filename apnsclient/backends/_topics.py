"""The topics and the environments in a certificate from Apple.

The subject's user identifier is the topic that Apple uses for requests without one (Apple, *Sending
notification requests to APNs*). Certificates for several topics (VoIP, complications) list them in
an extension of Apple's: a sequence in which each topic is a string, followed by a sequence with its
kinds.

A certificate whose common name begins with "VoIP Services" is for VoIP only. Apple's documentation
does not say whether its subject has the bundle identifier or the topic with its suffix, so both are
accepted.

There is an extension for each of the two environments. A certificate of the kind that Apple's
developer page calls "Sandbox & Production" has both.
"""

from __future__ import absolute_import, division, print_function

import re

import six
from cryptography import x509
from cryptography.x509.oid import NameOID

from .._compat import MYPY
from ..topics import split_topic, topic_for

if MYPY:
    from typing import Any, Iterator, List, Optional, Tuple

__all__ = ["default_topic", "environments", "extension_topics", "subject_topics"]

_EXTENSION = x509.ObjectIdentifier("1.2.840.113635.100.6.3.6")
_ENVIRONMENTS = {"1.2.840.113635.100.6.3.1": "sandbox", "1.2.840.113635.100.6.3.2": "production"}

#: Tags of ASN.1: a sequence, and strings of text (UTF8, Printable, IA5).
_SEQUENCE = 0x30
_STRINGS = (0x0C, 0x13, 0x16)

_VOIP_NAME = u"VoIP Services"

_TOPIC = re.compile(r"[!-~]+\Z")


def subject_topics(certificate):
    # type: (x509.Certificate) -> List[str]
    """Return the topics of the subject, most often one; none if it cannot be read."""
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.USER_ID)
        return _distinct(one.value for one in found)
    except (ValueError, TypeError):
        return []


def default_topic(certificate):
    # type: (x509.Certificate) -> Optional[str]
    """Return the topic of requests without one, or None if each request needs one."""
    topics = subject_topics(certificate)
    if len(topics) != 1:
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if split_topic(topics[0])[1] is None and any(
            six.ensure_text(one.value).startswith(_VOIP_NAME) for one in names):
        return topic_for(topics[0], "voip")
    return topics[0]


def extension_topics(certificate):
    # type: (x509.Certificate) -> List[str]
    """Return the topics in Apple's extension; none if it is missing or cannot be read."""
    try:
        extension = certificate.extensions.get_extension_for_oid(_EXTENSION)
        value = extension.value  # type: Any
        (tag, content), = _elements(value.value)
        if tag != _SEQUENCE:
            return []
        return _distinct(text.decode("utf-8") for tag, text in _elements(content)
                         if tag in _STRINGS)
    except (ValueError, TypeError, AttributeError, x509.ExtensionNotFound,
            x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []


def environments(certificate):
    # type: (x509.Certificate) -> List[str]
    """Return which of ``"production"`` and ``"sandbox"`` the certificate names; perhaps neither."""
    try:
        found = [extension.oid.dotted_string for extension in certificate.extensions]
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return []
    return sorted(_ENVIRONMENTS[number] for number in found if number in _ENVIRONMENTS)


def _distinct(names):
    # type: (Any) -> List[str]
    """Return the names as native strings, each once, without those that do not fit a header."""
    found = []  # type: List[str]
    for name in names:
        name = six.ensure_str(name)
        if _TOPIC.match(name) and name not in found:
            found.append(name)
    return found


def _elements(der):
    # type: (bytes) -> Iterator[Tuple[int, bytes]]
    """Yield ``(tag, content)`` of each element of a DER encoding (ITU-T X.690, 8.1).

    :raises ValueError: if it is cut off, or a length cannot be understood.
    """
    data = bytearray(der)
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            raise ValueError("an element is cut off")
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            width = length & 0x7F
            if not 1 <= width <= 4 or position + width > len(data):
                raise ValueError("the length of an element is not understood")
            length = 0
            for byte in data[position:position + width]:
                length = length << 8 | byte
            position += width
        if position + length > len(data):
            raise ValueError("an element is cut off")
        yield tag, bytes(data[position:position + length])
        position += length
