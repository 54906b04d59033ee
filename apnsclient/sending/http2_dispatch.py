"""Sends messages over HTTP/2, and hands their results out in order.

The requests of many messages share one connection and its limit of streams. A connection that ends
leaves requests behind that are proven not to have been processed; these go out again over another
one. It goes on as long as there is progress: a server that processes nothing over several
connections, or that stalls on each, or that leaves requests unanswered and has answered none, ends
the sending, and what was not sent is in the results' retry.
"""

from __future__ import absolute_import, division, print_function

import atexit
import logging
from collections import deque

import six

from .._compat import MYPY, text_of
from .._interrupts import take_failure
from .http2_parcels import Bundle, Delivery

if MYPY:
    from typing import Any, Callable, Deque, Generator, Iterable, Iterator, List, Optional

    from ..apns import Message
    from ..reasons import Reason
    from ..result import Result
    from .http2 import Http2Driver
    from .http2_parcels import Hint, Parcel

__all__ = ["Http2Dispatch"]

_log = logging.getLogger(__name__)

#: Not empty once the interpreter has begun to exit.
_exit_began = []  # type: List[bool]
atexit.register(_exit_began.append, True)


class Http2Dispatch(object):
    """Messages on their way, over one connection after the other.

    :param lease: called with True for a new connection, or with False for any, returns a
        :class:`~apnsclient.sending.http2.Http2Driver` that is ready for use; raises what the
        back-end raises.
    :param release: called with each driver once, when it is no longer needed.
    :param renew: called with the provider token that was refused (bytes) before another connection
        is leased; None where there is no provider token.
    :param topic: topic for messages that name none (str), or None.
    :param save_feedback: called without arguments to store the dead tokens that were found: when
        the last connection has been given back, and now and then while it goes on for long.
    :param clock: returns the time in seconds (float), which never goes back.
    :param warn: called with what to warn of in a message (str), each time.
    :param hint: what a result says to be checked, see :meth:`Parcel.results`.
    """

    #: How many messages may wait for their results.
    WINDOW = 65536
    #: How many messages for one token each are sent together, at most.
    BUNDLE = 64
    #: Seconds after which another connection is tried once more for a provider token.
    RENEWAL = 1200
    #: How many connections in a row may process nothing, or stall.
    IN_VAIN = 3
    #: Seconds that a message may take to come: if the last one took longer, what is at hand is
    #: written before the next one is waited for.
    PATIENCE = 0.001
    #: The same for an iterable that makes long pauses: what is at hand is also answered before, and
    #: the connection is left to others meanwhile.
    LONG_PAUSE = 0.1
    #: Seconds after which dead tokens are stored although there is more to be sent.
    SAVE_EVERY = 10

    def __init__(self, lease, release, renew, topic, save_feedback, clock, warn, hint):
        # type: (Callable[[bool], Http2Driver], Callable[[Http2Driver], None], Optional[Callable[[bytes], None]], Optional[str], Callable[[], None], Callable[[], float], Callable[[str], None], Hint) -> None  # noqa: E501
        self._lease = lease
        self._release = release
        self._renew = renew
        self._renewed_at = None  # type: Optional[float]
        self._topic = topic
        self._save_feedback = save_feedback
        self._saved_at = clock()
        self._clock = clock
        self._warn = warn
        self._hint = hint
        self._driver = None  # type: Optional[Http2Driver]
        # What was taken and has no result yet, what of it is to be sent, and how many messages.
        self._window = deque()  # type: Deque[Parcel]
        self._waiting = deque()  # type: Deque[Parcel]
        self._taken = 0
        self._template = None  # type: Any
        self._stop_reason = None  # type: Optional[Reason]
        self._problem = None  # type: Optional[str]
        self._in_vain = 0
        self._needs_new = False
        self._is_proven = False
        # How long the last message took to come. Of most iterables nobody knows until the second.
        self._pause = float("inf")
        self._is_first = self._is_timed = True
        self._is_exhausted = False
        self._failure = None  # type: Any

    def results(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send the messages; yield their results in order.

        An exception, be it of the iterable, of a message that cannot be encoded, or of the
        back-end, is raised after the results of what had been sent before.
        """
        pending = iter(messages)
        if hasattr(messages, "__len__"):
            # They are at hand, however long the machine takes over one of them.
            self._pause, self._is_timed = 0.0, False
        try:
            is_more = True
            while is_more or self._window:
                is_more = self._step(pending)
                for parcel in self._decided():
                    for result in parcel.results(self._hint):
                        self._taken -= 1
                        yield result
            if self._failure is not None:
                six.reraise(*self._failure)
        except GeneratorExit:
            if _exit_began:
                # What the connection is made of may be gone in part.
                self._driver = None
            raise
        finally:
            self._failure = None
            self._close()
            self._save_feedback()

    def _step(self, pending):
        # type: (Iterator[Message]) -> bool
        """Go one step further; return False once no message is to be taken any more."""
        try:
            is_more = self._advance(pending)
            self._leave_idle()
        except Exception:
            self._failed()
            is_more = False
        if self._clock() - self._saved_at > self.SAVE_EVERY:
            self._save_feedback()
            self._saved_at = self._clock()
        return is_more

    def _advance(self, pending):
        # type: (Iterator[Message]) -> bool
        """Take, start, write or wait for something; return what :meth:`_step` does."""
        if not self._waiting and self._may_wait() and not self._take(pending) and not self._window:
            return False
        if not self._waiting and self._driver is None:
            # Decided without being sent.
            return True
        driver = self._driver
        if driver is None:
            driver = self._driver = self._lease(self._needs_new)
            self._needs_new = False
        driver.may_renew = self._may_renew()
        self._fill(driver, pending)
        if self._is_finished(driver):
            self._dispose_of(driver)
        elif driver.is_full:
            driver.flush()
            driver.look()
        elif driver.in_flight or self._waiting:
            driver.wait()
        self._heed(driver)
        return True

    def _leave_idle(self):
        # type: () -> None
        """Leave a connection to others that has nothing more to do.

        The caller may take a long time over each result, or send something else in between.
        """
        driver = self._driver
        if (driver is not None and not self._waiting and not driver.in_flight and self._window
                and (self._window[0].is_decided or self._window[0].has_refused)):
            self._dispose_of(driver)
            self._heed(driver)

    def _may_renew(self):
        # type: () -> bool
        """Return True if a refused token is worth another connection: once, or for days."""
        return self._renew is not None and (
            self._renewed_at is None or self._clock() - self._renewed_at > self.RENEWAL)

    def _may_wait(self):
        # type: () -> bool
        """Return True if there is time for the next message, however long it takes to come.

        Nobody waits for an answer then, and the connection is left to others: it is looked at when
        it is leased again.
        """
        driver = self._driver
        if driver is None or self._pause <= self.LONG_PAUSE:
            return True
        if driver.in_flight:
            return False
        self._dispose_of(driver)
        return not self._waiting

    def _take(self, pending, limit=1):
        # type: (Iterator[Message], int) -> bool
        """Take the next message, or as many as there are of those that go to one token each.

        :param limit: most messages to take (int).
        :return: False if there is none.
        """
        messages, templates, other = [], [], None  # type: List[Message], List[Any], Any
        limit = min(limit, self.WINDOW - self._taken)
        while len(messages) < limit and (not messages or self._pause <= self.PATIENCE):
            message = self._next(pending)
            if message is None:
                break
            if len(message.tokens) != 1:
                other = message
                break
            messages.append(message)
            templates.append(self._template)
        if messages:
            self._await(Bundle(messages, templates))
        if other is not None:
            self._await(Delivery(other, self._template))
            if not other.tokens:
                _log.warning("a message without tokens was not sent")
        taken = len(messages) + int(other is not None)
        self._taken += taken
        return taken > 0

    def _next(self, pending):
        # type: (Iterator[Message]) -> Optional[Message]
        """Return the next message, with what its requests are made of at hand; None at the end."""
        if self._failure is not None or self._is_exhausted:
            return None
        started = self._clock() if self._is_timed else 0.0
        try:
            message = next(pending)
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
            self._failure = take_failure()
            return None
        return message

    def _await(self, parcel):
        # type: (Parcel) -> None
        """Put what was taken into the window; send it, if anything is to be sent at all."""
        self._window.append(parcel)
        if self._stop_reason is not None:
            parcel.stop(self._stop_reason)
        elif self._problem is not None:
            parcel.give_up(self._problem)
        elif parcel.waiting:
            self._waiting.append(parcel)

    def _fill(self, driver, pending):
        # type: (Http2Driver, Iterator[Message]) -> None
        """Start as many requests as there is room for, up to what is written at once."""
        driver.refresh_token()
        if not driver.can_start or driver.stop_reason is not None:
            return
        waiting = self._waiting
        while not driver.is_full:
            if waiting and not waiting[0].waiting:
                waiting.popleft()
            elif waiting:
                if not driver.start(waiting[0]):
                    break
            elif self._pause > self.PATIENCE and (
                    driver.has_output or self._pause > self.LONG_PAUSE and driver.in_flight):
                break
            elif not self._take(pending, self.BUNDLE):
                break

    def _is_finished(self, driver):
        # type: (Http2Driver) -> bool
        """Return True if nothing more can be had of a connection."""
        if driver.is_over:
            return True
        if driver.in_flight:
            return False
        return not driver.can_start or not self._waiting

    def _dispose_of(self, driver):
        # type: (Http2Driver) -> None
        """Let go of a connection, and see what it has left to do."""
        self._take_stock(driver)
        self._driver = None
        self._release(driver)
        if self._waiting and (self._in_vain >= self.IN_VAIN
                              or driver.has_unknown and not driver.has_answered):
            reason = driver.leave_reason
            if reason is not None and reason.is_unprocessed:
                self._stop(reason)
            else:
                self._give_up(driver.problem or "the server refuses all requests")

    def _take_stock(self, driver):
        # type: (Http2Driver) -> None
        """Find out what is still to be sent, and whether there was progress."""
        reason = driver.leave_reason
        if reason is not None and reason.is_cured_by_connection and self._renew is not None:
            if reason.is_expired_token and driver.token is not None:
                self._renew(driver.token)
            self._renewed_at, self._needs_new = self._clock(), True
        for parcel in self._window:
            if parcel.release_refused():
                self._needs_new = True
        self._waiting = deque(one for one in self._window if one.waiting)
        self._in_vain = self._in_vain + 1 if self._waiting and driver.is_in_vain else 0
        self._is_proven = self._is_proven or driver.has_answered or driver.has_unknown
        if self._needs_new:
            driver.close()

    def _give_up(self, problem):
        # type: (str) -> None
        """Send nothing more; what was not processed is the caller's to send again."""
        self._problem = problem
        for parcel in self._waiting:
            parcel.give_up(problem)
        self._waiting.clear()

    def _heed(self, driver):
        # type: (Http2Driver) -> None
        """Stop if the server does not accept our credential."""
        reason = self._stop_reason or driver.stop_reason
        if reason is not None:
            self._stop(reason)

    def _stop(self, reason):
        # type: (Reason) -> None
        """Send nothing more, because of what the server has answered."""
        self._stop_reason = reason
        for parcel in self._waiting:
            parcel.stop(reason)
        self._waiting.clear()

    def _failed(self):
        # type: () -> None
        """Decide about everything, after the back-end raised an exception.

        Where no connection could be had from the start nothing was sent, and there is nothing to
        report but the exception.
        """
        self._failure = take_failure()
        driver, self._driver = self._driver, None
        if driver is not None:
            self._is_proven = self._is_proven or driver.has_answered
            driver.close()
            self._release(driver)
        if not self._is_proven:
            self._window.clear()
        for parcel in self._window:
            parcel.give_up(text_of(self._failure[1]))
        self._waiting.clear()

    def _decided(self):
        # type: () -> Iterator[Parcel]
        """Yield what has its results, as far as nothing before it is undecided."""
        while self._window and self._window[0].is_decided:
            self._is_proven = True
            yield self._window.popleft()

    def _close(self):
        # type: () -> None
        """Give the connection back. Answers that are still to come are taken by who uses it."""
        self._window.clear()
        driver, self._driver = self._driver, None
        if driver is not None:
            self._release(driver)
