"""Messages on their way from a caller's iterable to a sender.

The iterable is the caller's code: it may take its time, raise, or send something in turn. So it is
asked when the caller has nothing to wait for, and what was taken is written before it is asked
again, unless it is fast.
"""

from __future__ import absolute_import, division, print_function

import logging
from itertools import islice

from six.moves import zip

from .._compat import MYPY
from .._interrupts import take_failure
from ..message import encode_payloads
from ..sending.message_work import Bundle, Delivery

if MYPY:
    from typing import Any, Callable, List, Optional, Tuple

    from ..message import Message
    from ..sending.work import Work

__all__ = ["Intake", "work_of"]

_log = logging.getLogger(__name__)


def work_of(message, template):
    # type: (Message, Any) -> Work
    """Return what is to be sent of one message.

    :param template: what its requests have in common, see
        :meth:`~apnsclient.apns.Message.request_template`.
    """
    if len(message.tokens) == 1:
        return Bundle([message], [template])
    if not message.tokens:
        _log.warning("a message without tokens was not sent")
    return Delivery(message, template)


class Intake(object):
    """Takes messages, and makes work of them.

    :param messages: iterable of :class:`~apnsclient.apns.Message`.
    :param topic: topic for messages that name none (str), or None.
    :param warn: called with what to warn of in a message (str), each time.
    :param clock: returns the time in seconds (float), which never goes back.

    :ivar failure: ``sys.exc_info()`` of what the iterable, or a message, has raised; or None.
    """

    #: How many messages may wait for their results.
    WINDOW = 65536
    #: How many messages are taken at a time, at most.
    BUNDLE = 128
    #: Seconds that a message may take to come: if the last one took longer, what is at hand is
    #: written before the next one is waited for.
    PATIENCE = 0.001
    #: The same for an iterable that makes long pauses: what is at hand has its results before, and
    #: the connection is left to others meanwhile.
    LONG_PAUSE = 0.1

    def __init__(self, messages, topic, warn, clock):
        # type: (Any, Optional[str], Callable[[str], None], Callable[[], float]) -> None
        self._messages = messages
        self._pending = iter(messages)
        self._topic = topic
        self._warn = warn
        self._clock = clock
        self.failure = None  # type: Any
        self._is_exhausted = False
        # How many were taken, and how many of them wait for their results.
        self._total = self._taken = 0
        # How long the last message took to come. Of most iterables nobody knows until the second;
        # those of a list are at hand, however long the machine takes over one of them.
        self._is_timed = not hasattr(messages, "__len__")
        self._is_at_hand = type(messages) in (list, tuple)
        self._pause = float("inf") if self._is_timed else 0.0

    @property
    def is_over(self):
        # type: () -> bool
        """True once no further message is to come."""
        if self._is_exhausted or self.failure is not None:
            return True
        # A list is not asked once more, only to find that it has ended.
        return not self._is_timed and 0 < self._total == len(self._messages)

    @property
    def can_take(self):
        # type: () -> bool
        """True if messages may be taken while others still wait for their results."""
        return (not self.is_over and self._pause <= self.LONG_PAUSE
                and self._taken < self.WINDOW)

    @property
    def is_slow(self):
        # type: () -> bool
        """True if the next message may take its time to come."""
        return self._pause > self.PATIENCE

    def note_results(self, count):
        # type: (int) -> None
        """Note that the results of so many messages (int) are handed out."""
        self._taken -= count

    def take(self):
        # type: () -> List[Work]
        """Take the next message, and those behind it that come fast; return what is to be sent."""
        if self.is_over:
            return []
        # The first one goes out alone: its result is not kept back by those behind it.
        limit = min(self.BUNDLE if self._total else 1, self.WINDOW - self._taken)
        if not self._is_timed and self._total < len(self._messages):
            # A list that is asked for more than it has is not asked again when it has grown.
            limit = min(limit, len(self._messages) - self._total)
        messages, templates = (
            self._take_at_hand(limit) if self._is_at_hand else self._take_coming(limit))
        self._total += len(messages)
        self._taken += len(messages)
        return _works_of(messages, templates)

    def _take_at_hand(self, limit):
        # type: (int) -> Tuple[List[Message], List[Any]]
        """Take messages that no code of the caller's brings, so that none changes meanwhile."""
        messages, templates = list(islice(self._pending, limit)), []  # type: List[Message], List[Any]
        self._is_exhausted = len(messages) < limit
        try:
            for message, payload in zip(messages, encode_payloads(messages)):
                templates.append(message.request_template(self._topic, self._warn, payload))
        except Exception:
            self.failure = take_failure()
        return messages[:len(templates)], templates

    def _take_coming(self, limit):
        # type: (int) -> Tuple[List[Message], List[Any]]
        """Take messages one by one, as long as they come fast; one to many tokens is the last.

        What a message is sent as is made before the next one is asked for, because the caller may
        make that of the same parts.
        """
        messages, templates = [], []  # type: List[Message], List[Any]
        clock = self._clock if self._is_timed else _no_time
        came = clock()
        try:
            for message in islice(self._pending, limit):
                before, came = came, clock()
                if self._total or messages:
                    self._pause = came - before
                templates.append(message.request_template(self._topic, self._warn))
                messages.append(message)
                if self._pause > self.PATIENCE or len(message.tokens) != 1:
                    break
            else:
                # One that reads from a queue may wait for ever if it is asked again.
                self._is_exhausted = len(messages) < limit
        except Exception:
            self.failure = take_failure()
        return messages, templates


def _no_time():
    # type: () -> float
    """Return the time for messages that are at hand, however long the machine takes over one."""
    return 0.0


def _works_of(messages, templates):
    # type: (List[Message], List[Any]) -> List[Work]
    """Return messages as work, in order.

    :param templates: what the requests of each are made of.
    """
    works, start = [], 0  # type: List[Work], int
    for index, message in enumerate(messages):
        if len(message.tokens) == 1:
            continue
        if start < index:
            works.append(Bundle(messages[start:index], templates[start:index]))
        works.append(work_of(message, templates[index]))
        start = index + 1
    if start < len(messages):
        works.append(Bundle(messages[start:], templates[start:]))
    return works
