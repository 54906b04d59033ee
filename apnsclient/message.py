"""A notification to send: :class:`Message`, documented as part of :mod:`apnsclient.apns`.

A message is a value. It knows neither connection nor protocol; it can be expressed in either.
"""

from __future__ import absolute_import, division, print_function

import datetime
import logging

import six

from ._compat import MYPY
from ._headers import (
    as_header,
    as_namespace,
    as_number,
    as_timestamp,
    known_fields,
    make_fields,
    may_have_push_type,
    push_type_of,
)
from ._interrupts import is_interrupt
from ._json import PARAMETERS, decode_json, encode_dicts, encode_json, to_utf8
from .protocols.binary import MAX_ITEM_SIZE, NotificationEncoder
from .protocols.http2.requests import RequestTemplate
from .topics import split_topic, with_suffix

if MYPY:
    from typing import (
        Any,
        Callable,
        Dict,
        Generator,
        Iterable,
        List,
        Optional,
        Sequence,
        Tuple,
        Union,
    )

    Expiry = Union[int, datetime.datetime, datetime.timedelta, None]

__all__ = ["Message"]

#: The documented name of the module: the class, its pickles and its logger have it.
_HOME = "apnsclient.apns"

#: The types of text; making this tuple each time would take longer than isinstance().
_TEXT = (bytes, six.text_type)
#: The types that most payloads have, which are no notifications.
_PLAIN = (dict, str) + _TEXT

_log = logging.getLogger(_HOME)


class _Part(object):
    """An attribute that is a part of the payload, if that was given as a whole.

    The payload is parsed when the first part is read, and each part becomes an attribute of the
    message, unless it has been set already. A payload that cannot be parsed has no parts.

    :param name: name of the attribute (str).
    """

    def __init__(self, name):
        # type: (str) -> None
        self._name = name

    def __get__(self, message, owner):
        # type: (Optional[Message], Any) -> Any
        if message is None:
            return self
        attributes = vars(message)
        for name, value in _parts_of(attributes.get("_payload")):
            attributes.setdefault(name, value)
        if self._name not in attributes:
            raise AttributeError("%r has no attribute %r: its payload cannot be parsed"
                                 % (message, self._name))
        return attributes[self._name]


class Message(object):
    """A notification, and the devices that it goes to.

    The values are not checked: Apple decides what is valid. Only what cannot be put on the wire at
    all raises an exception.

    :param tokens: device tokens in hexadecimal, as bytes or str: one, a list, or any other
        iterable, which is made into a list. A list is kept as it is, not copied. A bytearray or a
        memoryview is one token.
    :param alert: text of the notification (str), or a dict of Apple's alert keys.
    :param badge: number on the application's icon (int).
    :param sound: name of the sound to play (str).
    :param content_available: 1 if there is content to fetch in the background (int).
    :param expiry: when Apple may stop trying to deliver it: seconds since 1970 (int), a
        ``datetime`` (a naive one is local time), or a ``timedelta`` from now. None means
        ``DEFAULT_EXPIRY``; 0 means that the notification is not to be stored.
    :param payload: the whole payload, instead of alert, badge, sound, content_available and extra:
        a dict, or the JSON text of one (str or bytes), which is sent as it is. The message has the
        parts as attributes of these names; text is parsed when the first of them is read. With a
        payload that cannot be parsed there are no such attributes. On Python 3.8 and later also a
        notification of :mod:`apnsclient.models`: the message has its JSON text as the payload, and
        its push type, priority, expiration and collapse identifier where none are given here. A
        topic without a suffix gets that of the push type.
    :param priority: 10 to deliver at once; 5 to consider the power of the device; over HTTP/2 also
        1, not to wake the device (int, 0 to 255). None means ``DEFAULT_PRIORITY``. Apple rejects
        background notifications of priority 10: over HTTP/2 they are sent with 5.
    :param extra: further keys of the payload, beside Apple's ``aps`` (dict).
    :param apns_topic: the bundle identifier of the application, with a suffix for some push types,
        see :mod:`apnsclient.topics` (str). None takes it from the certificate, if that is for one
        topic only. This and the following are headers of the
        HTTP/2 provider API (Apple, *Sending notification requests to APNs*); the binary protocol
        does not have them.
    :param apns_push_type: kind of the notification, like ``"alert"``, ``"background"`` or
        ``"voip"`` (str). None derives it from the suffix of the topic; if it has none, from the
        payload: ``liveactivity`` if its ``aps`` has ``event`` and ``content-state``,
        ``background`` if ``content-available`` is 1 and there is no alert, badge or sound,
        ``mdm`` if it has a key ``mdm`` and no ``aps``, ``alert`` otherwise.
    :param apns_id: identifier of the notification (str, or ``uuid.UUID``), for a message to one
        token; None lets Apple make one, a different one for each token.
    :param apns_collapse_id: notifications with the same one replace each other on the device (str;
        Apple takes 64 bytes).
    :param apns_id_namespace: gives each token an ``apns_id`` of its own: the UUID version 5 (RFC
        9562, 5.5) of this (``uuid.UUID``, or the text of one) and of the token in lower case. The
        same message to the same token, sent again at any time by any process, has the same
        identifier. Make a new namespace for each message: ``uuid.uuid4()``.
    :param extra_kwargs: the same as ``extra``, as keyword arguments.
    :raises TypeError: if a notification cannot be expressed in JSON.
    :raises ValueError: if a payload is given together with a part of it; if a notification is
        larger than Apple takes; if ``extra`` has a key ``aps``; if there are both an ``apns_id``
        and a namespace, or the namespace is not a UUID; if expiry or priority does not fit its
        field (0 to 4 294 967 295, 0 to 255); if a header is not printable ASCII, or is empty, or
        has space at either end.

    A subclass may override these:

    :cvar json_parameters: arguments of ``json.dumps`` (dict): no needless space, no escapes.
        NaN and infinity, which JSON does not have, are an error unless ``allow_nan`` is True here.
    :cvar DEFAULT_EXPIRY: expiry of a message that is given none: a day from now.
    :cvar DEFAULT_PRIORITY: priority of a message that is given none: 10.
    """

    __module__ = _HOME

    json_parameters = dict(PARAMETERS)
    DEFAULT_EXPIRY = datetime.timedelta(days=1)  # type: Expiry
    DEFAULT_PRIORITY = 10

    alert = _Part("alert")  # type: Any
    badge = _Part("badge")  # type: Any
    sound = _Part("sound")  # type: Any
    content_available = _Part("content_available")  # type: Any
    extra = _Part("extra")  # type: Any

    def __init__(self, tokens, alert=None, badge=None, sound=None, content_available=None,
                 expiry=None, payload=None, priority=None, extra=None, apns_topic=None,
                 apns_push_type=None, apns_id=None, apns_collapse_id=None, apns_id_namespace=None,
                 **extra_kwargs):
        # type: (Any, Any, Any, Any, Any, Expiry, Any, Optional[int], Optional[Dict[str, Any]], Any, Any, Any, Any, Any, Any) -> None  # noqa: E501
        self._tokens = [tokens] if type(tokens) is str else _as_list(tokens)
        self._payload = payload
        self.apns_topic = None if apns_topic is None else as_header("apns_topic", apns_topic)
        self.apns_push_type = None if apns_push_type is None else as_header(
            "apns_push_type", apns_push_type)
        self.apns_id = None if apns_id is None else as_header("apns_id", apns_id)
        self.apns_collapse_id = None if apns_collapse_id is None else as_header(
            "apns_collapse_id", apns_collapse_id)
        self.apns_id_namespace = None if apns_id_namespace is None else str(
            as_namespace(apns_id_namespace, apns_id))
        self._set_defaults(expiry, priority)
        if payload is None:
            self._set_parts(alert, badge, sound, content_available,
                            dict(extra, **extra_kwargs) if extra else extra_kwargs)
        elif (extra or extra_kwargs or alert is not None or badge is not None
              or sound is not None or content_available is not None):
            raise ValueError("payload stands for the whole; it cannot be given together with "
                             "alert, badge, sound, content_available or extra")
        elif type(payload) not in _PLAIN and hasattr(payload, "apns_request_parts"):
            self._take_notification(payload, expiry, priority)

    def _take_notification(self, notification, expiry, priority):
        # type: (Any, Expiry, Optional[int]) -> None
        """Take a notification's payload, and those of its headers that were not given."""
        parts = notification.apns_request_parts(not self._tokens)
        self._payload = parts.payload
        if self.apns_push_type is None:
            self.apns_push_type = parts.push_type
        if self.apns_topic is not None:
            self.apns_topic = with_suffix(self.apns_topic, self.apns_push_type)
        if self.apns_collapse_id is None:
            self.apns_collapse_id = as_header("apns_collapse_id", parts.collapse_id)
        self._set_defaults(parts.expiration if expiry is None else expiry,
                           parts.priority if priority is None else priority)

    def _set_defaults(self, expiry, priority):
        # type: (Expiry, Optional[int]) -> None
        """Set expiry and priority, and remember which of them are defaults."""
        given = self.DEFAULT_EXPIRY if expiry is None else expiry  # type: Any
        if type(given) is not int:
            given = as_timestamp(given)
        self.expiry = as_number("expiry", given, 0xFFFFFFFF)
        self.priority = as_number(
            "priority", self.DEFAULT_PRIORITY if priority is None else priority, 0xFF)
        self._default_priority = self.priority if priority is None else None
        self._default_expiry = self.expiry if expiry is None else None

    @property
    def has_own_expiry(self):
        # type: () -> bool
        """True if the expiry was given, or set since; False for the default (bool)."""
        return self.expiry != self._default_expiry

    @property
    def has_own_priority(self):
        # type: () -> bool
        """True if the priority was given, or set since; False for the default (bool)."""
        return self.priority != self._default_priority

    def _set_parts(self, alert, badge, sound, content_available, extra):
        # type: (Any, Any, Any, Any, Dict[str, Any]) -> None
        if "aps" in extra:
            raise ValueError("extra has a key 'aps', which is Apple's; give payload instead to "
                             "write that part yourself")
        self.alert = alert
        self.badge = badge
        self.sound = sound
        self.content_available = content_available
        self.extra = extra

    @property
    def tokens(self):
        # type: () -> List[Any]
        """The device tokens, as they were given (list)."""
        return self._tokens

    @property
    def payload(self):
        # type: () -> Any
        """The whole payload: as it was given, or a dict made of its parts."""
        if self._payload is not None:
            return self._payload
        aps = {}
        if self.alert is not None:
            aps["alert"] = self.alert
        if self.badge is not None:
            aps["badge"] = self.badge
        if self.sound is not None:
            aps["sound"] = self.sound
        if self.content_available is not None:
            aps["content-available"] = self.content_available
        content = {"aps": aps}
        content.update(self.extra)
        return content

    def get_json_payload(self):
        # type: () -> bytes
        """Return the payload as it is put on the wire (bytes).

        :raises TypeError, ValueError: if it cannot be expressed in JSON.
        """
        payload = self.payload
        return (to_utf8(payload) if type(payload) is not dict and isinstance(payload, _TEXT)
                else encode_json(payload, self.json_parameters))

    def encoder(self):
        # type: () -> NotificationEncoder
        """Return the encoder that makes frames of this message for tokens.

        :raises ValueError: if the payload is too large for a frame (65 535 bytes).
        :raises TypeError, ValueError: if it cannot be expressed in JSON.
        """
        return NotificationEncoder(self.get_json_payload(), self.expiry, self.priority)

    def request_template(self, default_topic=None, warn=_log.warning, payload=None):
        # type: (Optional[str], Callable[[str], None], Optional[bytes]) -> RequestTemplate
        """Return what the requests of this message have in common over HTTP/2.

        :param default_topic: topic to use if the message has none (str), or None.
        :param warn: called with a text (str) if the message has a value that Apple would reject,
            and another one is sent.
        :param payload: what :meth:`get_json_payload` returns (bytes), if that is known already.
        :raises ValueError: if the payload has more than 65 535 bytes, or a value cannot be sent in
            a header.
        :raises TypeError, ValueError: if it cannot be expressed in JSON.
        """
        if payload is None:
            payload = self.get_json_payload()
        if len(payload) > MAX_ITEM_SIZE:
            raise ValueError("the payload has %d bytes, at most %d can be sent; shorten it"
                             % (len(payload), MAX_ITEM_SIZE))
        namespace = self.apns_id_namespace  # type: Any
        if namespace is not None:
            namespace = as_namespace(namespace, self.apns_id)
        topic, push_type = self.apns_topic, self.apns_push_type
        values = (topic, default_topic, push_type,
                  self._payload_type(topic or default_topic) if push_type is None else "",
                  self.priority, self.has_own_priority, self.expiry, self.apns_id,
                  self.apns_collapse_id, len(self._tokens) > 1)
        try:
            fields, warnings = known_fields[values]
        except TypeError:
            # One of them cannot be hashed, and is not valid either.
            fields, warnings = make_fields(*values)
        for text in warnings:
            warn(text)
        return RequestTemplate(fields, payload, namespace)

    def _payload_type(self, topic=None):
        # type: (Any) -> str
        """Return the push type that the payload is for.

        Text is parsed only if a search of it does not rule out all types but ``alert``, and if it
        matters.

        :param topic: the topic that is sent (str), or None. If it has the suffix of a push type,
            that of the payload does not matter.
        """
        payload = self._payload
        if isinstance(payload, _TEXT):
            if not may_have_push_type(payload) or _has_push_type(topic):
                return "alert"
            payload = _parse_payload(payload)
        elif payload is None:
            # Nothing but these can be in aps.
            if self.alert is not None or self.badge is not None or self.sound is not None:
                return "alert"
            payload = self.payload
        return push_type_of(payload) if isinstance(payload, dict) else "alert"

    def batch(self, packet_size):
        # type: (int) -> Generator[Tuple[int, bytes], None, None]
        """Yield the frames of the binary protocol for all tokens that can be put on the wire.

        The identifier of each notification is the index of its token.

        :param packet_size: least size of each chunk but the last, in bytes (int, from 1). A chunk
            ends where a notification ends.
        :return: generator of ``(index of the first token, bytes)``.
        """
        for start, _, chunk in self.encoder().chunks(self._tokens, packet_size):
            yield start, chunk

    def retry(self, failed_index, include_failed):
        # type: (int, bool) -> Optional[Message]
        """Return the same message for the tokens after a failed one.

        :param failed_index: index of the token that failed (int).
        :param include_failed: whether to include that token (bool).
        :return: :class:`Message`, or None if no token is left.
        """
        return self.with_tokens(self._tokens[failed_index + (0 if include_failed else 1):])

    def with_tokens(self, tokens):
        # type: (List[Any]) -> Optional[Message]
        """Return the same message for other tokens (list), or None if there are none."""
        if not tokens:
            return None
        message = type(self).__new__(type(self))
        message.__dict__.update(self.__dict__, _tokens=tokens)
        return message

    def __getstate__(self):
        # type: () -> Dict[str, Any]
        """Return the arguments that make the same message: ``Message(**state)``.

        The state can be expressed in JSON if the payload can: tokens and payload text that were
        given as bytes become str. It has the time at which the message expires, however late it is
        loaded. Two defaults stay defaults, because Apple would reject them if they were sent as
        such: a message without tokens, which is for a channel, has the expiry None, and a
        background notification has no priority in its state, unless they were given.
        """
        state = {"tokens": [_as_text(token) for token in self._tokens],
                 "expiry": self.expiry if self._tokens or self.has_own_expiry else None,
                 }  # type: Dict[str, Any]
        if self.has_own_priority or (self.apns_push_type or self._payload_type()) != "background":
            state["priority"] = self.priority
        if self._payload is not None:
            state["payload"] = _as_text(self._payload)
        else:
            state.update(alert=self.alert, badge=self.badge, sound=self.sound,
                         content_available=self.content_available, extra=self.extra)
        for name in ("apns_topic", "apns_push_type", "apns_id", "apns_collapse_id",
                     "apns_id_namespace"):
            # An older version puts arguments that it does not know into the payload.
            if getattr(self, name) is not None:
                state[name] = getattr(self, name)
        return state

    def __setstate__(self, state):
        # type: (Dict[str, Any]) -> None
        self.__init__(**state)  # type: ignore[misc]
        # Pickles of 0.2.1 always have a priority. It counts as the default: no warning.
        self._default_priority = self.priority

    def __repr__(self):
        # type: () -> str
        return "<%s to %d tokens>" % (type(self).__name__, len(self._tokens))


def encode_payloads(messages):
    # type: (Sequence[Any]) -> Sequence[Optional[bytes]]
    """Return what :meth:`Message.get_json_payload` returns of messages, in less time.

    :param messages: messages, or what a caller takes for them.
    :return: bytes for each message, or None where the message has to be asked, which may raise an
        error.
    """
    found = [None] * len(messages)  # type: List[Optional[bytes]]
    if len(messages) < 2 or not all(map(_is_encoded_as_usual, set(map(type, messages)))):
        return found
    dicts, places = [], []  # type: List[Any], List[int]
    try:
        for place, message in enumerate(messages):
            payload = message.payload
            if isinstance(payload, _TEXT):
                found[place] = to_utf8(payload)
            elif isinstance(payload, dict) and message.json_parameters == PARAMETERS:
                dicts.append(payload)
                places.append(place)
    except Exception:
        if is_interrupt():
            raise
        # Whoever asks that message gets the error.
        return found
    for place, encoded in zip(places, encode_dicts(dicts) or ()):
        found[place] = encoded
    return found


def _is_encoded_as_usual(kind):
    # type: (Any) -> bool
    """Return True if a type of messages has no way of its own to encode payloads."""
    return issubclass(kind, Message) and kind.get_json_payload == Message.get_json_payload


def _has_push_type(topic):
    # type: (Any) -> bool
    return isinstance(topic, six.string_types) and split_topic(topic)[1] is not None


def _as_list(tokens):
    # type: (Any) -> List[Any]
    if isinstance(tokens, _TEXT):
        return [tokens]
    if isinstance(tokens, (bytearray, memoryview)):
        return [bytes(bytearray(tokens))]
    return tokens if isinstance(tokens, list) else list(tokens)


def _as_text(value):
    # type: (Any) -> Any
    """Return bytes as the str whose UTF-8 they are, if there is one; anything else unchanged."""
    if isinstance(value, bytes) and not isinstance(value, str):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value


def _parts_of(payload):
    # type: (Any) -> Iterable[Tuple[str, Any]]
    """Yield name and value of each attribute that is a part of a payload."""
    content = _parse_payload(payload)
    if content is not None:
        aps = content.pop("aps", None)
        for name in ("alert", "badge", "sound", "content_available"):
            yield name, aps.get(name.replace("_", "-")) if isinstance(aps, dict) else None
        yield "extra", content


def _parse_payload(payload):
    # type: (Any) -> Optional[Dict[str, Any]]
    """Return a payload as a new dict, or None if it is not one and cannot be parsed as one."""
    if isinstance(payload, dict):
        return dict(payload)
    try:
        content = decode_json(payload)
    except (TypeError, ValueError):
        return None
    return content if isinstance(content, dict) else None
