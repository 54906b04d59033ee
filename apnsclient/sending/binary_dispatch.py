"""Sends messages one after the other, and hands their results out in order.

Messages wait in a window until it is certain what became of them. A connection that ends, which is
how the gateway refuses anything, decides some of them; those that it proves not to have been
processed go out again over the next connection. In the end there is one wait for the silence that
means success, not one for each message.
"""

from __future__ import absolute_import, division, print_function

import logging
from collections import deque

import six

from .._compat import MYPY
from .._interrupts import is_interrupt, take_failure
from .binary import Delivery

if MYPY:
    from typing import Callable, Deque, Generator, Iterable, Iterator, List, Optional

    from .._arguments import Timing
    from ..apns import Message
    from ..result import Result
    from .binary import BinaryDriver

__all__ = ["BinaryDispatch"]

_log = logging.getLogger(__name__)


class BinaryDispatch(object):
    """Messages on their way, over one connection after the other.

    :param lease: called without arguments for a :class:`~apnsclient.sending.binary.BinaryDriver`
        with a connection that is ready for use; raises what the back-end raises.
    :param replace: called without arguments when a connection turned out to be stale, for a driver
        to use instead, or for None if the back-end would have noticed, so that the failure is
        another one.
    :param release: called with each driver once, when it is no longer needed.
    :param timing: timeouts and buffer sizes (``Timing``).
    :param clock: returns the time that they are measured by, in seconds (float).
    """

    #: How many messages may wait for their results.
    WINDOW = 65536
    #: Seconds between two looks at whether what was written has reached the peer's system.
    PAUSE = 0.05

    def __init__(self, lease, replace, release, timing, clock):
        # type: (Callable[[], BinaryDriver], Callable[[], Optional[BinaryDriver]], Callable[[BinaryDriver], None], Timing, Callable[[], float]) -> None  # noqa: E501
        self._lease = lease
        self._replace = replace
        self._release = release
        self._timing = timing
        self._clock = clock
        self._driver = None  # type: Optional[BinaryDriver]
        self._window = deque()  # type: Deque[Delivery]
        self._is_proven = False

    def results(self, messages):
        # type: (Iterable[Message]) -> Generator[Result, None, None]
        """Send the messages; yield their results in order.

        An exception, be it of the iterable, of a message that cannot be encoded, or of the
        back-end, is raised after the results of what had been sent before.
        """
        failure = None
        try:
            pending = iter(messages)
            while failure is None:
                try:
                    if not self._send_next(pending):
                        break
                except Exception:
                    failure = take_failure()
                for result in self._decided():
                    yield result
            while self._window:
                try:
                    self._wait_for(self._undecided()[-1])
                except Exception:
                    another = take_failure()
                    failure = failure or another
                for result in self._decided():
                    yield result
            if failure is not None:
                six.reraise(*failure)
        finally:
            failure = None
            self._close()

    def _send_next(self, messages):
        # type: (Iterator[Message]) -> bool
        """Take one message and send it; return False if there is none."""
        try:
            message = next(messages)
        except StopIteration:
            return False
        delivery = Delivery(message)
        self._window.append(delivery)
        if not message.tokens:
            _log.warning("a message without tokens was not sent")
            delivery.is_confirmed = True
            return True
        self._transmit()
        if len(self._window) >= self.WINDOW:
            self._wait_for(self._window[0])
        elif self._driver is not None and not self._window[0].is_decided:
            now = self._clock()
            if self._due(self._window[0]) <= now:
                self._listen(self._driver, now)
        return True

    def _due(self, delivery):
        # type: (Delivery) -> float
        """Return when silence will have lasted long enough (monotonic seconds)."""
        return (delivery.written_at or 0.0) + self._timing.read_tail_timeout

    def _wait_for(self, delivery):
        # type: (Delivery) -> None
        """Wait until it is certain what became of a message, and of those before it."""
        pause = 0.0
        while self._driver is not None and not delivery.is_decided:
            self._listen(self._driver, max(self._due(delivery), self._clock() + pause))
            # If it is still undecided, it has not reached the peer's system, or was sent again.
            pause = self.PAUSE

    def _listen(self, driver, deadline):
        # type: (BinaryDriver, float) -> None
        """Listen for an error frame; then take silence for success where it lasted long enough."""
        try:
            driver.listen(deadline)
        except Exception:
            if not is_interrupt():
                self._failed()
            raise
        if not driver.is_over and driver.is_silent(deadline):
            self._take_silence(driver, deadline)
        if driver.is_over:
            self._dispose_of(driver)
            self._transmit()

    def _take_silence(self, driver, now):
        # type: (BinaryDriver, float) -> None
        """Confirm the messages after which there was silence for long enough.

        Silence says nothing of a message that has not even left this machine. The time to write a
        chunk is also the time that is given it for that.
        """
        arrived = driver.arrived()
        for delivery in self._window:
            if delivery.is_decided:
                continue
            if self._due(delivery) > now:
                break
            if delivery.written_to > arrived:
                limit = self._timing.write_timeout
                if limit is not None and self._due(delivery) + limit <= now:
                    driver.expire()
                break
            delivery.is_confirmed = True

    def _transmit(self):
        # type: () -> None
        """Send what is to be sent, in order, over as many connections as that takes.

        As long as there is a connection, that is the last message of the window alone: the others
        are on their way. Without one, nothing is, and it is all that is not decided.
        """
        try:
            waiting = deque([self._window[-1]] if self._driver is not None else self._undecided())
            while waiting:
                if self._driver is None:
                    self._driver = self._lease()
                driver, delivery = self._driver, waiting.popleft()
                delivery.restart()
                driver.transmit(delivery)
                if driver.is_over:
                    self._dispose_of(driver)
                    if driver.is_stale and delivery.failure == (None, 0):
                        self._replace_stale(delivery)
                    waiting = deque(self._undecided())
        except Exception:
            if not is_interrupt():
                self._failed()
            raise

    def _undecided(self):
        # type: () -> List[Delivery]
        return [delivery for delivery in self._window if not delivery.is_decided]

    def _dispose_of(self, driver):
        # type: (BinaryDriver) -> None
        """Let go of a connection that is over."""
        self._driver = None
        if driver.is_shut_down:
            # The next connection would fare no better.
            for delivery in self._undecided():
                delivery.give_up()
        self._release(driver)

    def _replace_stale(self, delivery):
        # type: (Delivery) -> None
        """Start over where the back-end could not know that the connection was dead already."""
        self._driver = self._replace()
        if self._driver is not None:
            delivery.restart()

    def _failed(self):
        # type: () -> None
        """Decide about everything, after the back-end raised an exception.

        Where no connection could be had from the start nothing was sent, and there is nothing to
        report but the exception.
        """
        driver, self._driver = self._driver, None
        if driver is not None:
            self._release(driver)
        for delivery in self._window:
            if not delivery.is_decided:
                delivery.give_up()
        if not self._is_proven and not any(one.is_answered for one in self._window):
            self._window.clear()

    def _decided(self):
        # type: () -> Iterator[Result]
        """Yield the results that are certain, as far as none before them is missing."""
        while self._window and self._window[0].is_decided:
            delivery = self._window.popleft()
            self._is_proven = True
            self._settle(delivery)
            yield delivery.result()

    def _settle(self, delivery):
        # type: (Delivery) -> None
        """Note that the result of a message was handed out, or never will be."""
        delivery.is_settled = True
        if self._driver is not None:
            self._driver.settle(delivery)

    def _close(self):
        # type: () -> None
        """Give the connection back. An answer to what was not reported yet comes as a late one."""
        for delivery in self._window:
            self._settle(delivery)
        driver, self._driver = self._driver, None
        if driver is not None:
            self._release(driver)
