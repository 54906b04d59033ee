"""The devices that the simulated service knows, and the feedback list."""

from __future__ import absolute_import, division, print_function

import calendar
import datetime
import threading
import time
from binascii import hexlify
from collections import OrderedDict

import six

from ..._compat import MYPY
from ...protocols.binary import decode_token
from .magic_tokens import GONE_SINCE, MAGIC, find_magic
from .provider_reasons import check_reason

if MYPY:
    from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple, Union

    from .magic_tokens import MagicToken

    Text = Union[str, bytes]
    Row = Tuple[bytes, int]

__all__ = ["DeviceState", "Devices", "UNKNOWN_TOKEN"]

#: Status for a token that is not registered: Apple's "Invalid token".
UNKNOWN_TOKEN = 8
#: The same of the provider API.
UNKNOWN_REASON = "BadDeviceToken"
#: Reason for a token that belongs to another topic.
WRONG_TOPIC = "DeviceTokenNotForTopic"
#: Reasons that come with a time, and a row in the feedback list.
_GONE = frozenset(["Unregistered", "ExpiredToken"])


class DeviceState(object):
    """What is known of a token, or of all that begin with a prefix. Immutable by convention.

    :ivar token: in lower-case hexadecimal (str), ``*`` behind a prefix.
    :ivar state: ``"known"``, ``"bad"`` or ``"uninstalled"``.
    :ivar status: status of the gateway's error frame (int), here and below None where it does not
        apply.
    :ivar reason: reason that the provider API gives (str).
    :ivar topic: topic that it is for (str).
    :ivar since: since when the application is gone, in seconds since 1970 (int).
    """

    __slots__ = ("token", "state", "status", "reason", "topic", "since")

    def __init__(self, token, state, status=None, reason=None, topic=None, since=None):
        # type: (str, str, Optional[int], Optional[str], Optional[str], Optional[int]) -> None
        self.token, self.state, self.status = token, state, status
        self.reason, self.topic, self.since = reason, topic, since


_HEXADECIMAL = frozenset("0123456789abcdef")


class Devices(object):
    """The registry of devices. May be used from many threads.

    Tokens are hexadecimal digits in either case (str or bytes). A token is in at most one of the
    states *known*, *bad* and *uninstalled*, the last that was set. Tokens in none of them are
    accepted, unless the registry is strict.

    With ``*`` behind it a token stands for all that begin so and are in no state of their own; of
    several prefixes the longest counts.

    :param strict: True rejects tokens that are in no state, with status 8, or BadDeviceToken.
    :param clock: returns the time of the feedback rows that come without one, in seconds since
        1970.
    :param has_magic: False takes the tokens of ``magic_tokens`` as any others.
    """

    def __init__(self, strict=False, clock=time.time, has_magic=True):
        # type: (bool, Callable[[], float], bool) -> None
        self.strict = strict
        self._magic = MAGIC if has_magic else None
        self._clock = clock
        self._lock = threading.Lock()
        self._known = set()  # type: Set[bytes]
        self._bad = {}  # type: Dict[bytes, int]
        #: Reasons of the provider API for tokens that are bad or uninstalled.
        self._reasons = {}  # type: Dict[bytes, str]
        self._topics = {}  # type: Dict[bytes, str]
        self._uninstalled = {}  # type: Dict[bytes, int]
        self._feedback = OrderedDict()  # type: OrderedDict[bytes, int]
        #: States of prefixes, the longest first.
        self._prefixes = []  # type: List[DeviceState]

    def add(self, *tokens):
        # type: (*Text) -> None
        """Make tokens known: the application is installed there, and they are accepted.

        A row that is in the feedback list stays there, as it does with Apple: its time shows that
        it is older than the installation.
        """
        self._set_state(tokens, None, None)

    def add_for_topic(self, topic, *tokens):
        # type: (str, *Text) -> None
        """Make tokens known as those of one topic, as every token of Apple's is.

        The provider API rejects pushes to them for another topic with DeviceTokenNotForTopic: an
        application gets different tokens for alerts, for calls and for each Live Activity.

        :param topic: bundle identifier, with the suffix of the kind of push if there is one (str).
        :param tokens: device tokens in hexadecimal (str or bytes).
        """
        raw = self._set_state(tokens, None, None, topic=topic)
        with self._lock:
            self._topics.update(dict.fromkeys(raw, topic))

    def bad(self, token, status=UNKNOWN_TOKEN, reason=UNKNOWN_REASON):
        # type: (Text, int, str) -> None
        """Have notifications to a token rejected.

        :param token: device token in hexadecimal (str or bytes).
        :param status: status of the gateway's error frame (int, 0 to 255).
        :param reason: reason that the provider API gives (str), any that Apple documents.
        :raises ValueError: if the status, the reason or the token is not acceptable.
        """
        if not 0 <= status <= 255:
            raise ValueError("status is %r, expected an integer, 0 to 255" % (status,))
        self._set_state([token], self._bad, status, check_reason(reason))

    def uninstall(self, token, when=None, reason="Unregistered"):
        # type: (Text, Any, str) -> None
        """Uninstall the application on a device.

        The gateway goes on accepting the token, as Apple's does. The feedback list gets a row at
        once, and another one when the token is pushed to after the list has been read. The provider
        API rejects the token, with the time.

        :param token: device token in hexadecimal (str or bytes).
        :param when: time of the row: seconds since 1970 (int), or a ``datetime`` (UTC if it has no
            time zone). None is now.
        :param reason: reason that the provider API gives (str): Unregistered or ExpiredToken.
        :raises ValueError: if the time, the reason or the token is not acceptable.
        """
        timestamp = _timestamp(self._clock() if when is None else when)
        raw = self._set_state([token], self._uninstalled, timestamp, check_reason(reason))
        with self._lock:
            self._feedback.update(dict.fromkeys(raw, timestamp))

    def remove(self, *tokens):
        # type: (*Text) -> None
        """Forget the state of tokens, and their rows in the feedback list."""
        for raw in self._set_state(tokens, {}, None):
            with self._lock:
                self._feedback.pop(raw, None)

    def snapshot(self):
        # type: () -> Any
        """Return the state of all tokens and the feedback list, for :meth:`restore`."""
        with self._lock:
            return (self.strict, set(self._known), dict(self._bad), dict(self._reasons),
                    dict(self._topics), dict(self._uninstalled), OrderedDict(self._feedback),
                    list(self._prefixes))

    def restore(self, snapshot):
        # type: (Any) -> None
        """Make everything as it was when :meth:`snapshot` returned this."""
        strict, known, bad, reasons, topics, uninstalled, feedback, prefixes = snapshot
        with self._lock:
            self.strict, self._known = strict, set(known)
            self._bad, self._reasons = dict(bad), dict(reasons)
            self._topics, self._uninstalled = dict(topics), dict(uninstalled)
            self._feedback = OrderedDict(feedback)
            self._prefixes = list(prefixes)

    def states(self):
        # type: () -> List[DeviceState]
        """Return what was set, prefixes first (list of :class:`.devices.DeviceState`)."""
        with self._lock:
            found = list(self._prefixes)
            for token in sorted(self._known):
                found.append(DeviceState(
                    _text(token), "known", None, None, self._topics.get(token), None))
            for token in sorted(self._bad):
                found.append(DeviceState(
                    _text(token), "bad", self._bad[token], self._reasons.get(token), None, None))
            for token in sorted(self._uninstalled):
                found.append(DeviceState(
                    _text(token), "uninstalled", None, self._reasons.get(token), None,
                    self._uninstalled[token]))
        return found

    @property
    def feedback(self):
        # type: () -> List[Tuple[str, int]]
        """The feedback list as it stands: ``(token, timestamp)`` in the order of arrival."""
        return [(six.ensure_str(hexlify(token)), when) for token, when in self.feedback_rows()]

    def push(self, token):
        # type: (bytes) -> Optional[int]
        """Deliver a notification to a token, given as raw bytes.

        :return: None if it is accepted, else the status of the error.
        """
        if token in self._bad:
            return self._bad.get(token)
        when = self._uninstalled.get(token)
        if when is not None:
            with self._lock:
                self._feedback.setdefault(token, when)
        elif token not in self._known:
            magic = find_magic(token) if token[:4] == self._magic else None
            if magic is not None:
                if magic.reason in _GONE:
                    with self._lock:
                        self._feedback.setdefault(token, GONE_SINCE)
                return magic.status
            state = self._state_of_prefix(token) if self._prefixes else None
            if state is not None:
                return state.status
            if self.strict:
                return UNKNOWN_TOKEN
        return None

    def find_fault(self, token, topic):
        # type: (bytes, Optional[str]) -> Optional[Tuple[str, Optional[int]]]
        """Return why the provider API rejects a token, given as raw bytes.

        :param topic: what the push is for, None if that is not known.
        :return: ``(reason, timestamp)``, the latter in seconds since 1970, and None for a token
            that was never good; None if the token is accepted.
        """
        reason = self._reasons.get(token)
        if reason is not None:
            return reason, self._uninstalled.get(token)
        if self._topics and topic is not None and self._topics.get(token, topic) != topic:
            return WRONG_TOPIC, None
        if token[:4] == self._magic and token not in self._known:
            magic = find_magic(token)
            if magic is not None:
                return None if magic.reason is None else (
                    magic.reason, GONE_SINCE if magic.reason in _GONE else None)
        if self._prefixes and token not in self._known:
            state = self._state_of_prefix(token)
            if state is not None:
                return _fault_of(state, topic)
        if self.strict and token not in self._known:
            return UNKNOWN_REASON, None
        return None

    def find_magic(self, token):
        # type: (bytes) -> Optional[MagicToken]
        """Return what a token does that says so itself, given as raw bytes; None for another."""
        if token[:4] != self._magic or token in self._known or token in self._reasons:
            return None
        return find_magic(token)

    def _state_of_prefix(self, token):
        # type: (bytes) -> Optional[DeviceState]
        text = _text(token)
        for state in self._prefixes:
            if text.startswith(state.token[:-1]):
                return state
        return None

    def feedback_rows(self):
        # type: () -> List[Row]
        """The feedback list with raw tokens."""
        with self._lock:
            return list(self._feedback.items())

    def clear_feedback(self, rows):
        # type: (Iterable[Row]) -> None
        """Take rows off the feedback list that have been read.

        A row that has been replaced in the meantime stays.
        """
        with self._lock:
            for token, when in rows:
                if self._feedback.get(token) == when:
                    del self._feedback[token]

    def _set_state(self, tokens, state, value, reason=None, topic=None):
        # type: (Iterable[Text], Any, Any, Optional[str], Optional[str]) -> List[bytes]
        """Set a state of tokens, and of prefixes; return the tokens as raw bytes."""
        tokens = list(tokens)
        prefixes = [_check_prefix(token) for token in tokens if _is_prefix(token)]
        raw = [decode_token(token) for token in tokens if not _is_prefix(token)]
        with self._lock:
            for prefix in prefixes:
                self._set_prefix(prefix, state, value, reason, topic)
            for token in raw:
                self._known.discard(token)
                self._bad.pop(token, None)
                self._uninstalled.pop(token, None)
                self._reasons.pop(token, None)
                self._topics.pop(token, None)
                if reason is not None:
                    self._reasons[token] = reason
                if state is None:
                    self._known.add(token)
                else:
                    state[token] = value
        return raw

    def _set_prefix(self, prefix, state, value, reason, topic):
        # type: (str, Any, Any, Optional[str], Optional[str]) -> None
        kept = [each for each in self._prefixes if each.token != prefix]
        if state is None:
            kept.append(DeviceState(prefix, "known", None, None, topic, None))
        elif state is self._bad:
            kept.append(DeviceState(prefix, "bad", value, reason, None, None))
        elif state is self._uninstalled:
            kept.append(DeviceState(prefix, "uninstalled", None, reason, None, value))
        self._prefixes = sorted(kept, key=lambda each: -len(each.token))


def _fault_of(state, topic):
    # type: (DeviceState, Optional[str]) -> Optional[Tuple[str, Optional[int]]]
    """Return what :meth:`Devices.find_fault` does for a token that has the state of a prefix."""
    if state.reason is not None:
        return state.reason, state.since
    if state.topic is not None and topic is not None and state.topic != topic:
        return WRONG_TOPIC, None
    return None


def _is_prefix(token):
    # type: (Any) -> bool
    return isinstance(token, (six.text_type, bytes)) and token[-1:] in (u"*", b"*")


def _check_prefix(token):
    # type: (Text) -> str
    text = six.ensure_str(token).lower()
    if not _HEXADECIMAL.issuperset(text[:-1]):
        raise ValueError("a prefix of tokens has other characters than hexadecimal digits")
    return text


def _text(token):
    # type: (bytes) -> str
    return six.ensure_str(hexlify(token))


def _timestamp(when):
    # type: (Any) -> int
    if isinstance(when, datetime.datetime):
        timestamp = calendar.timegm(when.utctimetuple())
    else:
        timestamp = int(when)
    if not 0 <= timestamp < 1 << 32:
        raise ValueError("the time %r does not fit 32 bits of seconds since 1970" % (when,))
    return timestamp
