"""Messages on their way from a caller's iterable to a sender.

The iterable is the caller's code: it may take its time, raise, or send something in turn. So it is
asked when the caller has nothing to wait for, and what was taken is written before it is asked
again, unless it is fast.
"""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY
from .._interrupts import take_failure
from ..sending.work import Bundle, Delivery

if MYPY:
    from typing import Any, Callable, List, Optional

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
        self._template = None  # type: Any
        self._is_exhausted = False
        # How many were taken, and how many of them wait for their results.
        self._total = self._taken = 0
        # How long the last message took to come. Of most iterables nobody knows until the second;
        # those of a list are at hand, however long the machine takes over one of them.
        self._is_timed = self._is_first = not hasattr(messages, "__len__")
        self._pause = float("inf") if self._is_timed else 0.0

    @property
    def is_over(self):
        # type: () -> bool
        """True once no further message is to come."""
        return (self._is_exhausted or self.failure is not None
                or 0 < self._total == (not self._is_timed and len(self._messages)))

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

    def note_result(self):
        # type: () -> None
        """Note that the result of a message was handed out."""
        self._taken -= 1

    def take(self):
        # type: () -> List[Work]
        """Take the next message, and those behind it that come fast; return what is to be sent."""
        messages, templates, works = [], [], []  # type: List[Message], List[Any], List[Work]
        # The first one goes out alone: its result is not kept back by those behind it.
        limit = min(self.BUNDLE if self._total else 1, self.WINDOW - self._taken)
        while len(messages) < limit and not (messages and self._pause > self.PATIENCE):
            message = self._next()
            if message is None:
                break
            self._taken += 1
            self._total += 1
            if len(message.tokens) == 1:
                messages.append(message)
                templates.append(self._template)
                continue
            works.append(work_of(message, self._template))
            break
        if messages:
            works.insert(0, Bundle(messages, templates))
        return works

    def _next(self):
        # type: () -> Optional[Message]
        """Return the next message, with what its requests are made of at hand; None at the end."""
        if self.is_over:
            return None
        started = self._clock() if self._is_timed else 0.0
        try:
            message = next(self._pending)
            if self._is_first:
                self._is_first = False
            elif self._is_timed:
                self._pause = self._clock() - started
            self._template = message.request_template(self._topic, self._warn)
        except StopIteration:
            # One that reads from a queue may wait for ever if it is asked again.
            self._is_exhausted = True
            return None
        except Exception:
            self.failure = take_failure()
            return None
        return message
