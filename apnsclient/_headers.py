"""The header fields of a message's requests over HTTP/2.

Values are checked here, where they become bytes, because the attributes of a message can be set at
any time. Messages with the same values share one tuple of fields, which is made and checked once.
"""

from __future__ import absolute_import, division, print_function

import calendar
import datetime
import re
import time
import uuid

import six

from ._compat import MYPY
from .protocols.http2.requests import HeaderFields
from .topics import SUFFIXES, split_topic, topic_for

if MYPY:
    from typing import Any, Callable, Dict, Optional, Set, Tuple

    _Dict = Dict[Tuple[Any, ...], Any]
else:
    _Dict = dict

__all__ = ["LEFT_OUT", "as_header", "as_namespace", "as_number", "as_timestamp", "known_fields",
           "make_fields", "may_have_push_type", "push_type_of"]

#: What a header can carry: printable ASCII without space at either end (RFC 9110, 5.5).
_HEADER_VALUE = re.compile(r"[!-~]+(?: +[!-~]+)*\Z")

#: How many tuples of fields, and how many valid values, are remembered.
_MOST_KNOWN = 256

#: Stands for an expiry that is left to Apple.
LEFT_OUT = object()

_BACKGROUND_PRIORITY = ("a background notification of priority 10 is sent with 5; Apple rejects it "
                        "otherwise")

_ONE_IDENTIFIER = ("a message with an apns_id goes to several tokens, and all of its notifications "
                   "have the same identifier; give apns_id_namespace instead")

#: An escape that may spell a letter, in JSON text, and in bytes of Python 3.
_SPELLED, _SPELLED_BYTES = re.compile(r"\\u00[2-7]"), re.compile(br"\\u00[2-7]")

_good = set()  # type: Set[str]


def as_header(name, value):
    # type: (str, Any) -> Optional[str]
    """Return the value of a header field as str, or None for None.

    :param name: its name in the error (str).
    :param value: str, bytes or ``uuid.UUID``.
    :raises ValueError: if it is not printable ASCII, is empty, or has space at either end.
    """
    if value is None or type(value) is str and value in _good:
        return value
    text = str(value) if isinstance(value, uuid.UUID) else value
    if isinstance(text, bytes) and not isinstance(text, str):
        text = text.decode("latin-1")
    if not isinstance(text, six.string_types) or not _HEADER_VALUE.match(text):
        raise ValueError("%s is %.200r, expected printable ASCII without space at either end"
                         % (name, value))
    text = str(text)
    if len(_good) >= _MOST_KNOWN:
        _good.clear()
    _good.add(text)
    return text


def as_namespace(value, apns_id):
    # type: (Any, Any) -> uuid.UUID
    """Return the namespace of identifiers as a UUID.

    :param value: ``uuid.UUID``, or the text of one (str).
    :param apns_id: the identifier that the message has, which has to be None.
    :raises ValueError: if it is not a UUID, or there is an identifier already.
    """
    if apns_id is not None:
        raise ValueError("apns_id is the identifier, and apns_id_namespace makes one for each "
                         "token; give one of the two")
    if isinstance(value, uuid.UUID):
        return value
    try:
        return uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise ValueError("apns_id_namespace is %.200r, expected a UUID" % (value,))


def as_number(name, value, largest):
    # type: (str, Any, int) -> int
    """Return a value as int.

    :param name: its name in the error (str).
    :param largest: largest number that is valid (int).
    :raises ValueError: if it is not a number from 0 to ``largest``.
    """
    if type(value) is int and 0 <= value <= largest:
        return value
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= largest:
        raise ValueError("%s is %.200r, expected a number from 0 to %d" % (name, value, largest))
    return number


def as_timestamp(moment):
    # type: (Any) -> Any
    """Return a point in time as seconds since 1970: for :func:`as_number`, if it is none.

    :param moment: seconds since 1970, a ``datetime`` (a naive one is local time), or a
        ``timedelta`` from now.
    """
    if isinstance(moment, datetime.timedelta):
        return time.time() + moment.total_seconds()
    if isinstance(moment, datetime.datetime):
        if moment.tzinfo is not None:
            return calendar.timegm(moment.utctimetuple())
        try:
            return time.mktime(moment.timetuple())
        except (OverflowError, ValueError):
            return moment
    return moment


def push_type_of(payload):
    # type: (Dict[str, Any]) -> str
    """Return the push type that a payload (dict) is for (str)."""
    aps = payload.get("aps")
    if not isinstance(aps, dict):
        aps = {}
    if "event" in aps and "content-state" in aps:
        return "liveactivity"
    if (aps.get("alert") is not None or aps.get("badge") is not None
            or aps.get("sound") is not None):
        return "alert"
    # True is 1.
    if aps.get("content-available") in (1, "1"):
        return "background"
    return "mdm" if not aps and "mdm" in payload else "alert"


def may_have_push_type(text):
    # type: (Any) -> bool
    """Return False if a payload can only be for ``alert``; True if it has to be parsed to know.

    For any other push type it has one of two words in it, or an escape, which may spell them.

    :param text: the payload as JSON text (str or bytes).
    """
    if isinstance(text, six.string_types):
        return ("content-" in text or '"mdm"' in text
                or "\\" in text and _SPELLED.search(text) is not None)
    # With bytes, "in" takes several times as long on Python 3.
    return (text.find(b"content-") >= 0 or text.find(b'"mdm"') >= 0
            or text.find(b"\\") >= 0 and _SPELLED_BYTES.search(text) is not None)


def make_fields(topic, default_topic, push_type, payload_type, priority, is_priority_given, expiry,
                apns_id, collapse_id, is_shared):
    # type: (Any, Optional[str], Any, str, Any, bool, Any, Any, Any, bool) -> Tuple[HeaderFields, Tuple[str, ...]]  # noqa: E501
    """Return the header fields of a message's requests, and warnings.

    :param default_topic: topic of a message that names none (str), or None.
    :param payload_type: the push type that the payload is for (str); not used if one is given.
    :param is_shared: whether several requests have the fields. If so, all of them enter the dynamic
        table of the connection; if not, only those that other messages are likely to have, too.
    :return: ``(fields, texts)``: the fields, and a tuple of str.
    :raises ValueError: if a value cannot be sent.
    """
    common, warnings = _known_common[
        as_header("apns_topic", topic), as_header("the certificate's topic", default_topic),
        as_header("apns_push_type", push_type), payload_type, as_number("priority", priority, 0xFF),
        is_priority_given]
    if apns_id is not None and is_shared:
        warnings += (_ONE_IDENTIFIER,)
    own = tuple([_field(name, value, is_shared) for name, value in (
        (b"apns-expiration",
         None if expiry is LEFT_OUT else as_number("expiry", expiry, 0xFFFFFFFF)),
        (b"apns-id", as_header("apns_id", apns_id)),
        (b"apns-collapse-id", as_header("apns_collapse_id", collapse_id))) if value is not None])
    return HeaderFields(common + own, None if is_shared else common), warnings


def _make_common(topic, default_topic, push_type, payload_type, priority, is_priority_given):
    # type: (Optional[str], Optional[str], Optional[str], str, int, bool) -> Tuple[Any, Tuple[str, ...]]  # noqa: E501
    """Return the fields that other messages are likely to have, too, and warnings."""
    topic, push_type = _topic_and_push_type(topic, default_topic, push_type, payload_type)
    warnings = ()  # type: Tuple[str, ...]
    if priority == 10 and push_type == "background":
        # "Specify 5": Apple, Pushing background updates to your App.
        priority = 5
        warnings = (_BACKGROUND_PRIORITY,) if is_priority_given else ()
    return tuple([_field(name, value, True) for name, value in (
        (b"apns-topic", topic), (b"apns-push-type", push_type), (b"apns-priority", priority))
        if value is not None]), warnings


def _field(name, value, is_indexed):
    # type: (bytes, Any, bool) -> Tuple[bytes, bytes, bool]
    return name, str(value).encode("ascii"), is_indexed


def _topic_and_push_type(topic, default_topic, push_type, payload_type):
    # type: (Optional[str], Optional[str], Optional[str], str) -> Tuple[Optional[str], str]
    """Return topic and push type as they are sent.

    A push type that is not given is that of the topic's suffix, or else of the payload. The topic
    of a certificate is given the suffix of the push type, because most often it has none.
    """
    if topic is not None or default_topic is None:
        return topic, push_type or (split_topic(topic)[1] if topic else None) or payload_type
    bundle_id, named = split_topic(default_topic)
    push_type = push_type or named or payload_type
    return topic_for(bundle_id, push_type) if push_type in SUFFIXES else default_topic, push_type


class _Known(_Dict):
    """What a function returns, by its arguments: a tuple. It fills itself, and starts over."""

    def __init__(self, function):
        # type: (Callable[..., Any]) -> None
        super(_Known, self).__init__()
        self._function = function

    def __missing__(self, values):
        # type: (Tuple[Any, ...]) -> Any
        found = self._function(*values)
        if len(self) >= _MOST_KNOWN:
            self.clear()
        self[values] = found
        return found


_known_common = _Known(_make_common)
#: What :func:`make_fields` returns for a tuple of its arguments: the very same fields for the same
#: values. Raises what it raises, or :class:`TypeError` if one of the values cannot be hashed.
known_fields = _Known(make_fields)
