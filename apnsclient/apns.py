"""What is sent, and what became of it: :class:`Message`, :class:`Result`, and :class:`APNs`.

A message and a result are values. Neither knows how the message travels; ``APNs`` hands it to a
connection, which :class:`~apnsclient.transport.Session` made.
"""

from __future__ import absolute_import, division, print_function

import calendar
import datetime
import json
import time

import six

from ._compat import MYPY, as_unicode
from .protocols.binary import NotificationEncoder
from .reasons import REASONS, reason_of

if MYPY:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

    from .transport import Connection

    Expiry = Union[int, datetime.datetime, datetime.timedelta, None]

__all__ = ["APNs", "Message", "Result"]


class APNs(object):
    """Client for Apple's push gateway and feedback service, over one connection.

    It may be used by several threads at once: each call takes a TLS connection of its own from the
    session's pool.

    :param connection: what :meth:`~apnsclient.transport.Session.get_connection` or
        :meth:`~apnsclient.transport.Session.new_connection` returned.
    """

    def __init__(self, connection):
        # type: (Connection) -> None
        self._connection = connection

    def send(self, message):
        # type: (Message) -> Result
        """Send a message to all its tokens, and wait for what the gateway has to say.

        Blocks until everything is written and the gateway has been silent for the session's
        ``read_tail_timeout``: success is silence (Apple, Binary Provider API).

        A message that has no tokens is not sent; that is logged as a warning.

        :param message: the :class:`Message`.
        :return: :class:`Result`. A connection that fails after it was established raises nothing;
            then what is not known to be delivered is in the result's retry.
        :raises ValueError: if the payload does not fit into a frame (65 535 bytes).
        :raises TypeError, ValueError: if the payload cannot be expressed in JSON. Like the error
            above, it is raised before a connection is opened.
        :raises Exception: whatever the back-end raises when it cannot connect; for the default
            back-end :class:`~apnsclient.errors.ConnectError`. Nothing was sent.
        """
        return self._connection.send(message)

    def send_many(self, messages):
        # type: (Iterable[Message]) -> Iterator[Result]
        """Send messages one after the other without waiting after each.

        A result is yielded as soon as it is certain, in the manner of :meth:`send`: when the
        gateway has answered for its message or a later one, or has been silent for the session's
        ``read_tail_timeout`` after it was written. So the wait is paid once, at the end, however
        many messages there are. Messages that the gateway threw away because an earlier one was
        refused are sent again, over a fresh connection.

        Messages are taken from the iterable as they are sent, and no more than
        65 536 are taken before the result of the first of them is yielded.

        A generator that is closed before its end keeps its promises as far as it can: an error
        frame that comes later is reported like any late one, see
        :class:`~apnsclient.transport.Session`.

        :param messages: any iterable of :class:`Message`; it is not read ahead of the sending.
        :return: generator of one :class:`Result` for each message, in order.
        :raises Exception: what :meth:`send` raises, and what the iterable raises. Unless the
            gateway has processed nothing at all, every message that was taken before has got its
            result by then.
        """
        return self._connection.send_many(messages)

    def feedback(self):
        # type: () -> Iterator[Tuple[bytes, datetime.datetime]]
        """Read the feedback service: the tokens that are to be given up, and since when.

        The service clears its list as it is read. The connection is opened for the purpose, and
        closed at the end, also when the caller abandons the generator. If it fails on the way, the
        generator ends, with a warning in the log; what was not read comes the next time.

        :return: generator of ``(token, when)``: lower-case hexadecimal digits as bytes, and the
            time from which on the device no longer took notifications (naive datetime, local time,
            as ``datetime.now()`` gives it).
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        rows = self._connection.feedback()
        try:
            for timestamp, token in rows:
                yield token, self._datetime_from_timestamp(timestamp)
        finally:
            rows.close()

    def _datetime_from_timestamp(self, timestamp):
        # type: (int) -> datetime.datetime
        """Turn a feedback timestamp into what :meth:`feedback` yields; override it to change that.

        :param timestamp: seconds since 1970 (int).
        :return: local time, without time zone.
        """
        return datetime.datetime.fromtimestamp(timestamp)


class Message(object):
    """A notification, and the devices that it goes to.

    The values are not checked: Apple decides what they mean. Only what cannot be put on the wire at
    all is refused.

    :param tokens: device tokens in hexadecimal, as bytes or str: one, a list, or any other
        iterable, of which a list is made. A list is kept as it is, not copied.
    :param alert: text of the notification (str), or a dict of Apple's alert keys.
    :param badge: number on the application's icon (int), or a value of the application's own.
    :param sound: name of the sound to play (str).
    :param content_available: 1 if there is content to fetch in the background (int).
    :param expiry: when the gateway may stop trying: seconds since 1970 (int), a ``datetime`` (a
        naive one is local time), or a ``timedelta`` from now. None means one day from now; 0 means
        that the notification is not to be stored.
    :param payload: the whole payload, instead of alert, badge, sound, content_available and extra:
        a dict, or the JSON text of one (str or bytes), which is sent as it is.
    :param priority: 10, at once, or 5, when it suits the device (int, 0 to 255).
    :param extra: what else to put into the payload beside Apple's ``aps`` (dict).
    :param extra_kwargs: the same as keyword arguments.
    :raises ValueError: if a payload is given together with a part of it; if ``extra`` has a key
        ``aps``; if expiry or priority do not fit into their field (0 to 4 294 967 295, 0 to 255).
    """

    #: Arguments of ``json.dumps``: no needless space, UTF-8 as it is.
    json_parameters = {"separators": (",", ":"), "ensure_ascii": False}

    def __init__(self, tokens, alert=None, badge=None, sound=None, content_available=None,
                 expiry=None, payload=None, priority=10, extra=None, **extra_kwargs):
        # type: (Any, Any, Any, Any, Any, Expiry, Any, int, Optional[Dict[str, Any]], Any) -> None
        self._tokens = _as_list(tokens)
        self._payload = payload
        self.expiry = _as_field("expiry", _as_timestamp(expiry), 0xFFFFFFFF)
        self.priority = _as_field("priority", priority, 0xFF)
        extra = dict(extra or {}, **extra_kwargs)
        if payload is None:
            self._set_parts(alert, badge, sound, content_available, extra)
            return
        parts = (alert, badge, sound, content_available)
        if extra or any(part is not None for part in parts):
            raise ValueError("payload stands for the whole; it cannot be given together with "
                             "alert, badge, sound, content_available or extra")
        content = _parse_payload(payload)
        if content is not None:
            aps = content.pop("aps", None)
            aps = aps if isinstance(aps, dict) else {}
            self._set_parts(aps.get("alert"), aps.get("badge"), aps.get("sound"),
                            aps.get("content-available"), content)

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
        """The whole payload: as it was given, or else a dict made of its parts."""
        if self._payload is not None:
            return self._payload
        parts = (("alert", self.alert), ("badge", self.badge), ("sound", self.sound),
                 ("content-available", self.content_available))
        content = {"aps": dict(part for part in parts if part[1] is not None)}
        content.update(self.extra)
        return content

    def get_json_payload(self):
        # type: () -> bytes
        """Return the payload as it goes over the wire.

        :raises TypeError, ValueError: if it cannot be expressed in JSON.
        """
        payload = self.payload
        if isinstance(payload, bytes):
            return payload
        if not isinstance(payload, six.text_type):
            payload = json.dumps(as_unicode(payload), **self.json_parameters)  # type: ignore
        return payload if isinstance(payload, bytes) else payload.encode("utf-8")

    def encoder(self):
        # type: () -> NotificationEncoder
        """Return what turns tokens into frames of this message.

        :raises ValueError: if the payload is too large for a frame (65 535 bytes).
        :raises TypeError, ValueError: if it cannot be expressed in JSON.
        """
        return NotificationEncoder(self.get_json_payload(), self.expiry, self.priority)

    def batch(self, packet_size):
        # type: (int) -> Iterator[Tuple[int, bytes]]
        """Yield the message in the binary protocol, for all tokens that can be put on the wire.

        The identifier of each notification is the index of its token.

        :param packet_size: bytes that each chunk has at least, but for the last one (int, from 1).
            A chunk ends where a notification ends.
        :return: generator of ``(index of the first token, bytes)``.
        """
        for start, _, chunk in self.encoder().chunks(self._tokens, packet_size):
            yield start, chunk

    def retry(self, failed_index, include_failed):
        # type: (int, bool) -> Optional[Message]
        """Return the same message for the tokens behind a failed one.

        :param failed_index: index of the token that failed (int).
        :param include_failed: whether that token is to be tried again too (bool).
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
        given as bytes become str.
        """
        state = {"tokens": [_as_text(token) for token in self._tokens],
                 "expiry": self.expiry, "priority": self.priority}  # type: Dict[str, Any]
        if self._payload is not None:
            state["payload"] = _as_text(self._payload)
        else:
            state.update(alert=self.alert, badge=self.badge, sound=self.sound,
                         content_available=self.content_available, extra=self.extra)
        return state

    def __setstate__(self, state):
        # type: (Dict[str, Any]) -> None
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self):
        # type: () -> str
        return "<%s to %d tokens>" % (type(self).__name__, len(self._tokens))


class Result(object):
    """What became of a message.

    Each token that is neither in :attr:`failed`, nor in what :meth:`retry` returns, nor in
    :attr:`undelivered`, was delivered to the gateway.

    :param message: the :class:`Message` that was sent.
    :param failure: ``(status code, index of the token)`` that the gateway reported (int or None for
        an IO failure, int), or None if it reported nothing.
    :param rejected: ``(index, code, explanation)`` of each token that could not be put on the wire.
    :param unprocessed: True if no token of the message was processed, which is no fault of theirs.
    """

    #: ``{code: explanation}`` of everything that :attr:`failed` and :attr:`errors` can report.
    ERROR_CODES = dict((code, reason.explanation) for code, reason in REASONS.items())

    def __init__(self, message, failure=None, rejected=(), unprocessed=False):
        # type: (Message, Optional[Tuple[Optional[int], int]], Sequence[Tuple[int, int, str]], bool) -> None  # noqa: E501
        self.message = message
        self._rejected = rejected
        self._reason, self._index = None, 0
        self._retry_from = 0 if unprocessed else None  # type: Optional[int]
        if failure is not None:
            self._reason, self._index = reason_of(failure[0]), failure[1]
            if self._reason.retries_rest:
                self._retry_from = self._index + (0 if self._reason.retries_reported else 1)

    @property
    def failed(self):
        # type: () -> Dict[Any, Tuple[int, str]]
        """``{token: (code, explanation)}`` of the tokens that are to be given up.

        Tokens are as the message has them. The codes are 2, 5 and 8. The gateway reports at most
        one token; the others here are those that could not be put on the wire.
        """
        tokens = self.message.tokens
        failed = dict((_as_key(tokens[index]), (code, explanation))
                      for index, code, explanation in self._rejected)
        if self._reason is not None and self._reason.blames_token:
            failed[_as_key(tokens[self._index])] = (self._reason.code, self._reason.explanation)
        return failed

    @property
    def errors(self):
        # type: () -> List[Tuple[Optional[int], str]]
        """``[(code, explanation)]`` of what went wrong and is no token's fault; at most one.

        The codes are 1, 3, 4, 6, 7, and None when the connection failed or the gateway answered
        with something that Apple does not document.
        """
        if self._reason is None or not self._reason.is_error:
            return []
        return [(self._reason.code, self._reason.explanation)]

    @property
    def undelivered(self):
        # type: () -> List[Any]
        """The tokens that got nothing, and would get nothing another time (list).

        After an error that concerns the message itself (codes 3, 4, 6 and 7): the token that the
        gateway reported and those behind it, without what :attr:`failed` has already.
        """
        if self._reason is None or self._reason.retries_rest:
            return []
        rejected = set(entry[0] for entry in self._rejected)
        return [token for index, token in enumerate(self.message.tokens)
                if index >= self._index and index not in rejected]

    def needs_retry(self):
        # type: () -> bool
        """Tell whether there are tokens to be sent again.

        After a shutdown of the gateway (code 10) there may be some although :attr:`failed` and
        :attr:`errors` are empty.
        """
        return self._retry_count() > 0

    def _retry_count(self):
        # type: () -> int
        if self._retry_from is None:
            return 0
        rejected = sum(1 for entry in self._rejected if entry[0] >= self._retry_from)
        return len(self.message.tokens) - self._retry_from - rejected

    def retry(self):
        # type: () -> Optional[Message]
        """Return the message for the tokens that are to be sent again, or None if there are none.

        It may be sent at once. After an IO failure it has every token that is not known to be
        delivered, so that some may get the message twice.
        """
        if self._retry_from is None:
            return None
        skipped = set(entry[0] for entry in self._rejected if entry[0] >= self._retry_from)
        if not skipped:
            return self.message.retry(self._retry_from, True)
        return self.message.with_tokens(
            [token for index, token in enumerate(self.message.tokens)
             if index >= self._retry_from and index not in skipped])

    def __repr__(self):
        # type: () -> str
        return "<%s: %d failed, errors %r, %d to retry>" % (
            type(self).__name__, len(self.failed), self.errors, self._retry_count())


def _as_list(tokens):
    # type: (Any) -> List[Any]
    if isinstance(tokens, (six.text_type, bytes)):
        return [tokens]
    return tokens if isinstance(tokens, list) else list(tokens)


def _as_key(token):
    # type: (Any) -> Any
    """Return a token as a key of a dict; garbage that cannot be one is represented."""
    try:
        hash(token)
    except TypeError:
        return repr(token)
    return token


def _as_text(value):
    # type: (Any) -> Any
    """Turn bytes into the str that is sent as the same bytes, if there is one."""
    if isinstance(value, bytes) and not isinstance(value, str):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value


def _as_timestamp(expiry):
    # type: (Expiry) -> Any
    """Turn an expiry into seconds since 1970."""
    if expiry is None:
        expiry = datetime.timedelta(days=1)
    if isinstance(expiry, datetime.timedelta):
        return time.time() + expiry.total_seconds()
    if isinstance(expiry, datetime.datetime):
        if expiry.tzinfo is not None:
            return calendar.timegm(expiry.utctimetuple())
        try:
            return time.mktime(expiry.timetuple())
        except (OverflowError, ValueError):
            return expiry
    return expiry


def _as_field(name, value, largest):
    # type: (str, Any, int) -> int
    """Turn a value into the number that a field of the frame carries."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= largest:
        raise ValueError("%s is %r, expected a number from 0 to %d" % (name, value, largest))
    return number


def _parse_payload(payload):
    # type: (Any) -> Optional[Dict[str, Any]]
    """Return a copy of the payload as a dict, or None if it cannot be read as one."""
    if isinstance(payload, dict):
        return dict(payload)
    try:
        text = payload.decode("utf-8") if isinstance(payload, bytes) else payload
        content = json.loads(text)
    except (RuntimeError, TypeError, ValueError):
        # Of these, RuntimeError stands for text that is nested too deeply.
        return None
    return content if isinstance(content, dict) else None
