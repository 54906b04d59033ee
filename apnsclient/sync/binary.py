"""Sending, and reading feedback, over the binary protocol."""

from __future__ import absolute_import, division, print_function

import logging
from functools import partial

import six

from .._compat import MYPY
from .._interrupts import is_interrupt, take_failure
from ..addresses import RETIRED, retired_name
from ..backends.link import Link
from ..errors import REMEDIES, ConnectError, ConnectionLost, Timeout, is_timeout
from ..protocols.feedback import FeedbackParser
from ..sending.binary import BinarySender
from .gateway import time_left
from .handle import Connection

if MYPY:
    from typing import Any, Callable, Generator, Iterable, Iterator, Optional, Sequence, Tuple

    from .._timing import Timing
    from ..backends import BaseConnection
    from ..message import Message
    from ..result import Result
    from ..sending.facts import Facts
    from .gateway import Gateway

__all__ = ["BinaryConnection"]

_log = logging.getLogger(__name__)


class BinaryConnection(Connection):
    """A handle to a gateway or a feedback service of the binary protocol."""

    protocol = "binary"

    def send_many(self, messages, timeout=None):
        # type: (Iterable[Message], Optional[float]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`."""
        timing, backend = self._shared.settings.timing, self._shared.backend
        # Where the back-end would have noticed that a connection is dead, the failure is another.
        sender = BinarySender(timing, not backend.can_detect_close)
        call = _Call(sender, self._lease, self._release, timing.read_tail_timeout, backend.clock)
        call.report_left = self._shared.report_left
        if self._shared.observation is None:
            return call.results(messages, timeout)
        sender.facts = self._shared.facts(self.address, self.protocol)
        call.tell = self._tell
        return self._observed(call.results(messages, timeout))

    def send(self, message, timeout=None):
        # type: (Message, Optional[float]) -> Result
        """Send one message; see :meth:`apnsclient.apns.APNs.send`."""
        result = super(BinaryConnection, self).send(message, timeout)
        self._tell()
        return result

    def _observed(self, results):
        # type: (Generator[Result, None, None]) -> Generator[Result, None, None]
        """Hand results on, and tell the observer of what comes after the last one."""
        try:
            for result in results:
                yield result
        finally:
            results.close()
        self._tell()

    def _tell(self, results=()):
        # type: (Sequence[Result]) -> None
        """Tell the observer of these results, and of all that has happened; if there is one."""
        observation = self._shared.observation
        if observation is not None:
            observation.add_results(self.address, self.certificate.default_topic, results)
            observation.tell()

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read the feedback service over a connection of its own, which is closed at the end."""
        timing = self._shared.settings.timing
        facts, clock = self._shared.facts(self.address, self.protocol), self._shared.backend.clock
        link = Link(self._open(False, timing.connect_timeout))
        opened_at = clock()
        try:
            for row in _read_feedback(link, timing):
                yield row
        finally:
            link.close()
            if facts is not None:
                facts.note_closed(("done", None), clock() - opened_at, 0, clock())
        self._tell()

    def _open(self, is_cached, timeout):
        # type: (bool, Optional[float]) -> BaseConnection
        """Get a connection from the pool, or a new one."""
        backend = self._shared.backend
        connect = backend.get_cached_connection if is_cached else backend.get_new_connection
        facts = self._shared.facts(self.address, self.protocol)
        if facts is not None:
            connect = partial(_connect_and_note, facts, backend.clock, connect)
        try:
            return connect(self.address, self.certificate, timeout)
        except IOError as error:
            if retired_name(self.address) is not None:
                cause = RETIRED % self.address[0]
                remedy = "another gateway" if backend.has_alpn else "another back-end"
                if isinstance(error, ConnectError):
                    error.advise(remedy, cause)
                else:
                    # A back-end's own exception is its own; nobody would look for this behind it.
                    self._shared.warn("%s; %s" % (cause, REMEDIES[remedy]))
            raise

    def _lease(self, is_replacement, deadline):
        # type: (bool, Optional[float]) -> Gateway
        """Return a connection that is ready for use.

        :param is_replacement: whether it is for one from the pool that turned out to be dead.
        :param deadline: when it has to be there, whatever the session's timeout is; or None.
        """
        shared = self._shared
        backend = shared.backend
        while True:
            is_cached = self._is_cached and (
                not is_replacement or backend.use_cache_for_reconnects)
            timeout = time_left(shared.settings.timing.connect_timeout, deadline, backend.clock)
            gateway = shared.gateway(self._open(is_cached, timeout))
            if gateway.prepare():
                return gateway
            gateway.close()
            is_replacement = True

    def _release(self, gateway, has_expired):
        # type: (Gateway, bool) -> None
        """Give a connection back.

        :param has_expired: whether there is no time to close it in good order.
        """
        connection = gateway.connection
        if not gateway.stream.is_over:
            surplus = self._shared.backend.store(connection) if self._is_cached else [connection]
            if surplus:
                self._shared.close_idle(surplus, "idle" if self._is_cached else "done")
        elif has_expired:
            gateway.abort()
        else:
            gateway.close()


def _connect_and_note(facts, clock, connect, *arguments):
    # type: (Facts, Callable[[], float], Callable[..., BaseConnection], Any) -> BaseConnection
    """Connect, and note how that went, for an observer."""
    began = clock()
    try:
        connection = connect(*arguments)
    except Exception as error:
        if not is_interrupt():
            facts.note_failed(error, clock() - began, clock())
        raise
    if connection.protocol is None:
        # It does not come from the pool.
        facts.note_opened(connection.certificate, connection.session_reused, clock() - began,
                          clock())
    return connection


class _Call(object):
    """One call of ``send_many()``: does what a sender says, one connection after the other.

    :param sender: the :class:`~apnsclient.sending.binary.BinarySender`.
    :param lease: called with whether the connection is a replacement for a stale one, and with the
        deadline, returns a :class:`Gateway`; raises what the back-end raises.
    :param release: called with each of them once, and with whether the deadline is over.
    :param tail: how long the gateway has to be silent, in seconds (float).
    :param clock: returns the time in seconds (float).

    :ivar tell: called with results before they are handed out (sequence), and with none where no
        connection can be had; None if there is no observer.
    :ivar report_left: called with the results that were certain when the caller left, and were not
        handed out (list).
    """

    def __init__(self, sender, lease, release, tail, clock):
        # type: (BinarySender, Callable[[bool, Optional[float]], Gateway], Callable[[Gateway, bool], None], float, Callable[[], float]) -> None  # noqa: E501
        self._sender = sender
        self._lease = lease
        self._release = release
        self._tail = tail
        self._clock = clock
        self.tell = None  # type: Optional[Callable[[Sequence[Result]], None]]
        self.report_left = None  # type: Any
        # What is being handed out.
        self._results = iter(())  # type: Iterator[Result]
        self._gateway = None  # type: Optional[Gateway]
        self._is_replacing = False

    def results(self, messages, timeout):
        # type: (Iterable[Message], Optional[float]) -> Generator[Result, None, None]
        """Send the messages; yield their results in order.

        An exception, be it of the iterable, of a message that cannot be encoded, or of the
        back-end, is raised after the results of what had been sent before.

        :param timeout: longest time from now on, in seconds, or None.
        """
        sender = self._sender
        if timeout is not None:
            sender.deadline = self._clock() + timeout
        is_at_hand = hasattr(messages, "__len__")
        failure, is_more = None, True
        try:
            pending = iter(messages)
            while is_more or not sender.is_empty:
                try:
                    if is_more and not sender.is_full:
                        is_more = self._take(pending, is_at_hand)
                except Exception:
                    failure, is_more = take_failure(), False
                try:
                    self._advance(not is_more)
                except Exception:
                    another = take_failure()
                    if not self._is_out_of_time(another[1]):
                        failure, is_more = failure or another, False
                        self._fail(another[1])
                self._results = iter(self._certain_results())
                for result in self._results:
                    yield result
            if failure is not None:
                six.reraise(*failure)
        finally:
            failure = another = None
            self._close()

    def _certain_results(self):
        # type: () -> Iterable[Result]
        """Return the results to be handed out; the observer has been told of them."""
        if self.tell is None or not self._sender.has_results:
            return self._sender.results()
        results = list(self._sender.results())
        self.tell(results)
        return results

    def _take(self, pending, is_at_hand):
        # type: (Iterator[Message], bool) -> bool
        """Take messages until there is something else to do; return False if there are no more.

        :param is_at_hand: whether none of them takes its time to come.
        """
        sender, clock = self._sender, self._clock
        while True:
            began = clock()
            try:
                message = next(pending)
            except StopIteration:
                return False
            now = clock()
            sender.add(message, None if is_at_hand else now - began)
            if not message.tokens:
                _log.warning("a message without tokens was not sent")
            if sender.has_enough_output or sender.has_results or (
                    sender.is_full or sender.is_due(now)):
                return True

    def _advance(self, is_last):
        # type: (bool) -> None
        """Write what there is, and listen as long as there is a result to wait for."""
        sender = self._sender
        self._check_time()
        while sender.has_output:
            self._write()
        now = self._clock()
        until = sender.wait_until() if is_last or sender.is_full else None
        if until is None and sender.is_due(now):
            until = now
        if until is not None and self._gateway is not None:
            self._listen(self._gateway, until)

    def _write(self):
        # type: () -> None
        """Write once, over another connection where there is none."""
        sender, gateway = self._sender, self._gateway
        if gateway is None:
            gateway = self._gateway = self._lease(self._is_replacing, sender.deadline)
            self._is_replacing = False
            sender.stream = gateway.stream
        data = sender.next_write()
        if data:
            if gateway.write(data, sender.deadline):
                sender.written(len(data), self._clock())
                if gateway.stream.needs_look:
                    gateway.look()
            self._leave_if_over(gateway)
            self._check_time()

    def _listen(self, gateway, until):
        # type: (Gateway, float) -> None
        """Listen for an error frame; then take silence for success where it lasted long enough."""
        gateway.listen(until)
        # Where no silence is waited for, what was written counts as arrived.
        self._sender.silent(until, gateway.connection.unacknowledged() if self._tail else 0)
        self._leave_if_over(gateway)

    def _leave_if_over(self, gateway):
        # type: (Gateway) -> None
        if gateway.stream.is_over:
            gateway.note_end()
            self._is_replacing = self._sender.leave_stream()
            if self._sender.facts is not None:
                self._sender.facts.note_resent(self._clock())
            self._let_go(gateway)

    def _check_time(self):
        # type: () -> None
        """Give up once the time for the call is over, after a last look."""
        sender, gateway = self._sender, self._gateway
        if sender.has_expired(self._clock()):
            if gateway is not None:
                self._listen(gateway, self._clock())
            sender.give_up()

    def _is_out_of_time(self, error):
        # type: (BaseException) -> bool
        """Return True if it is a failure for no other reason than the end of the time."""
        sender = self._sender
        if not (isinstance(error, Timeout) or is_timeout(error)) or (
                not sender.has_expired(self._clock())):
            return False
        sender.give_up()
        return True

    def _fail(self, error):
        # type: (BaseException) -> None
        """Use the connection no more, and send nothing more: the back-end raised something."""
        if self._gateway is not None:
            self._gateway.stream.end(error)
        self._sender.no_stream()
        if self.tell is not None:
            self.tell(())

    def _let_go(self, gateway):
        # type: (Gateway) -> None
        self._gateway = self._sender.stream = None
        self._release(gateway, self._sender.has_expired(self._clock()))

    def _close(self):
        # type: () -> None
        """Give the connection back. What is said of messages without result comes too late."""
        left = list(self._results)
        untold = list(self._sender.results()) + self._sender.close()
        if self._gateway is not None:
            self._let_go(self._gateway)
        if untold and self.tell is not None:
            self.tell(untold)
        self.report_left(left + untold)


def _read_feedback(link, timing):
    # type: (Link, Timing) -> Iterator[Tuple[int, bytes]]
    """Read the stream of the feedback service up to its end.

    :return: generator of ``(timestamp, token)``. It ends, with a warning in the log, when the
        connection fails or the stream makes no sense.
    :raises ~apnsclient.errors.ConnectError: if the service refuses our certificate.
    """
    parser, failure = FeedbackParser(), None  # type: FeedbackParser, Optional[Exception]
    where, log = "%s:%s" % tuple(link.connection.address), link.connection.logger
    while parser.error is None and failure is None:
        try:
            data = link.read(timing.read_buffer_size, timing.read_timeout)
        except ConnectionLost as error:
            failure = error
            break
        if data is None:
            failure = Timeout("nothing came within %s s" % timing.read_timeout)
        elif data:
            for row in parser.feed(data):
                yield row
        else:
            parser.finish()
            break
    if failure is not None:
        log.warning("reading feedback from %s failed, the rest comes the next time: %s", where,
                    failure)
    elif parser.error is not None:
        log.warning("feedback from %s: %s", where, parser.error)
