"""One connection through the proxy: the thread that serves it, and what a handler may do with it.

The thread waits for both sides and calls the handler for each that has something to be read. A
handler that leaves it unread and returns True leaves it to the proxy, which passes it on as it is:
a handler that does nothing changes nothing, and nothing is called in a circle.

A direction in which writing has failed is over, but the other one goes on to its end: what the
peer said before it went away still gets through, as it does without a proxy.
"""

from __future__ import absolute_import, division, print_function

import logging
import socket
import threading

from ..._compat import MYPY, monotonic
from ...backends import _sockets
from . import sockets
from .record import ConnectionRecord
from .waiting import Stopped, Waiter

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

    from .sockets import Stream

__all__ = ["Connection", "Owner"]

_logger = logging.getLogger(__name__)

_FOREVER = float("inf")


class Owner(object):
    """Whom a connection belongs to: the proxy, as far as its connections know of it.

    :ivar backend: ``(host, port)`` of the backend.
    :ivar timeout: see :class:`.ChaosProxy`, and so for ``linger`` and ``tls``. What is set while
        connections are open counts for them, too.
    :ivar plan: which handlers there are (:class:`.plan.Plan`).
    :ivar record: what became of the connections (:class:`.record.Record`).
    """

    backend = plan = record = None  # type: Any
    timeout = linger = None  # type: Any
    tls = None  # type: Any

    def forget(self, connection):
        # type: (Connection) -> None
        """Forget a connection that is over; called at the end of its thread."""
        raise NotImplementedError


class Connection(object):
    """A connection as handlers see it, by their attribute ``connection``.

    :param owner: the proxy (``Owner``).
    :param accepted: the client's socket.
    :param peer: the client's address.
    :param number: its number.
    :param choice: name of its handler, and its position among those that have drawn it.

    :ivar number: its number, counted from 1 since the proxy was made.
    :ivar position: its position among the connections that got its handler, counted from 1.
    :ivar record: what was done to it (:class:`.ConnectionRecord`).
    :ivar client: stream to the client; None before there is one.
    :ivar backend: stream to the backend; None before there is one.
    :ivar protocol: cuts the streams into frames (:class:`.BaseProtocol`).
    """

    def __init__(self, owner, accepted, peer, number, choice):
        # type: (Owner, Any, Any, int, Tuple[str, int]) -> None
        self._owner = owner
        #: What is raised when a peer, or TLS, fails.
        self._errors = (socket.error,) + (() if owner.tls is None else owner.tls.errors)
        self.number = number
        self.position = 0
        self.record = ConnectionRecord(number, peer)
        self._waiter = Waiter()
        self.client = sockets.Stream(accepted, self._waiter, owner.timeout, "client")  # type: Any
        self.backend = None  # type: Any
        self.protocol = None  # type: Any
        self._handler = None  # type: Any
        self._choice = choice
        self._taken = None  # type: Optional[Tuple[str, int]]
        self._paused = {}  # type: Dict[bool, float]
        self._timer = None  # type: Optional[float]
        self._patience = None  # type: Optional[float]
        self._last_seen = monotonic()
        #: Seconds for which nothing had come from either side before the handler was called.
        self.idle = 0.0
        self._thread = threading.Thread(
            target=self._run, name="apnsclient chaos connection %d" % number)
        self._thread.daemon = True

    # For handlers.

    def pause(self, to_backend, seconds=None):
        # type: (bool, Optional[float]) -> None
        """Read nothing more in one direction for a while; the other direction goes on.

        :param to_backend: which direction (bool).
        :param seconds: how long; None until the handler is changed. After a peer has ended its
            side, where the system notices it, that lasts for the proxy's timeout at most: nobody
            may be waiting any more.
        """
        self._paused[to_backend] = _FOREVER if seconds is None else monotonic() + seconds

    def set_timer(self, seconds):
        # type: (Optional[float]) -> None
        """Have the handler's ``on_timer()`` called once, so many seconds from now.

        :param seconds: time in seconds; it replaces one that was set before. None sets no timer.
        """
        self._timer = None if seconds is None else monotonic() + seconds

    def sleep(self, seconds):
        # type: (float) -> None
        """Wait some seconds, for both directions. A change of the handler ends it early.

        :raises ~apnsclient.testing.chaos.waiting.Stopped: if the proxy is stopped.
        """
        end = monotonic() + seconds
        while self._choice is self._taken and monotonic() < end:
            self._waiter.sleep(end - monotonic())

    def add_fault(self, text):
        # type: (str) -> None
        """Put into the record what is being done to the connection (str)."""
        self._owner.record.add_fault(self.record, text)

    def new_handler(self, name, **options):
        # type: (str, **Any) -> Any
        """Return another handler for this connection, for a handler that leaves it the work.

        :param name: its short name or qualified name (str).
        :param options: values of its options, in place of those that the proxy has for it.
        :raises ConfigurationError: if there is no such handler or option.
        """
        return self._owner.plan.new_handler(name, options, self)

    def reset(self):
        # type: () -> None
        """Reset both sides (TCP RST)."""
        for stream in self._streams():
            stream.reset()

    # For the proxy.

    def start(self):
        # type: () -> None
        """Serve it, in a thread of its own."""
        self._thread.start()

    def stop(self):
        # type: () -> None
        """End it soon, from any thread."""
        self._waiter.stop()

    def abandon(self):
        # type: () -> None
        """End it without its thread, which could not be started."""
        self.record.error = "there can be no more threads"
        self._finish(False)

    def join(self, timeout):
        # type: (float) -> bool
        """Wait for the thread; return True if it has ended."""
        if threading.current_thread() is self._thread:
            return True  # A handler stops the proxy.
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def change_handler(self, choice):
        # type: (Tuple[str, int]) -> None
        """Have another handler serve it from now on, from any thread."""
        self._choice = choice
        self._waiter.wake()

    def _streams(self):
        # type: () -> List[Stream]
        return [each for each in (self.client, self.backend) if each is not None]

    def _run(self):
        # type: () -> None
        """Serve the connection; the body of the thread."""
        is_over = False
        try:
            self.protocol = self._owner.plan.new_protocol(self)
            self._take_handler()
            if self._open():
                self._pump()
            is_over = True
        except Stopped:
            pass
        except self._errors as error:
            self.record.error = _sockets.describe(error)
        except Exception as error:
            culprit = ("protocol" if self.protocol is None
                       else "handler %s" % self.record.handler)
            self.record.error = "the %s failed: %s: %s" % (culprit, type(error).__name__, error)
            _logger.exception("Connection %d: the %s failed.", self.number, culprit)
        finally:
            self._finish(is_over)

    def _take_handler(self):
        # type: () -> None
        """Begin with the handler that the connection is to have."""
        self._taken = self._choice
        name, self.position = self._taken
        self.record.handler = name
        self._handler = self.new_handler(name)
        self._paused.clear()
        self._timer = self._patience = None
        self._offer_ends()
        self._owner.record.publish()

    def _offer_ends(self):
        # type: () -> None
        """Have the handler called for the end of a stream that another one took and kept.

        Otherwise the other side would wait for it for ever, and the connection for that.
        """
        if self.backend is not None:
            for source, destination in (self._ends(True), self._ends(False)):
                if source.has_ended and not (destination.is_shut or source.is_broken):
                    source.has_ended = False

    def _call(self, method, *arguments):
        # type: (str, *Any) -> bool
        """Call an optional method of the handler; return True if the connection goes on."""
        found = getattr(self._handler, method, None)
        return found is None or bool(found(*arguments))

    def _open(self):
        # type: () -> bool
        """Connect to the backend; return True if the connection goes on."""
        if not self._call("on_accept", self.client):
            return False
        if self._owner.tls is None:
            self.backend = self._connect()
        else:
            self.client, self.backend = self._owner.tls.open(
                self.client, self._owner.backend, self._connect)
        return self._call("on_connect", self.client, self.backend)

    def _connect(self):
        # type: () -> Stream
        """Return a new stream to the backend, without TLS."""
        try:
            connected = sockets.connect(self._owner.backend, self._waiter, self._owner.timeout)
        except socket.error as error:
            # A client without a proxy would see the same.
            self.client.reset()
            raise socket.error("cannot connect to the backend %s:%s: %s" % (
                self._owner.backend[0], self._owner.backend[1], _sockets.describe(error)))
        return sockets.Stream(connected, self._waiter, self._owner.timeout, "backend")

    def _pump(self):
        # type: () -> None
        """Pass on what comes until both directions are over."""
        self._last_seen = monotonic()
        while True:
            if self._choice is not self._taken:
                self._take_handler()
                if not self._call("on_take_over", self.client, self.backend):
                    return
            if self._timer is not None and monotonic() >= self._timer:
                self._timer = None
                if not self._call("on_timer", self.client, self.backend):
                    return
            open_ones = [way for way in (True, False) if self._is_open(way)]
            if not open_ones:
                return
            for to_backend in self._wait(open_ones):
                if self._choice is not self._taken:
                    break  # What has come may have been sent after the change.
                if self._is_open(to_backend) and not self._serve(to_backend):
                    return
            self._update()

    def _ends(self, to_backend):
        # type: (bool) -> Any
        """Return source and destination of a direction."""
        return (self.client, self.backend) if to_backend else (self.backend, self.client)

    def _is_open(self, to_backend):
        # type: (bool) -> bool
        source, destination = self._ends(to_backend)
        return not (source.is_closed or source.has_ended or destination.is_broken)

    def _wait(self, open_ones):
        # type: (List[bool]) -> List[bool]
        """Wait until something can be done; return the directions that have something to be read.

        Nothing is read for a side that has something unsent.
        """
        now = monotonic()
        if self._patience is not None and now >= self._patience:
            raise Stopped("a peer of the paused connection has gone")
        self._paused = dict((way, end) for way, end in self._paused.items() if end > now)
        free = [way for way in open_ones
                if way not in self._paused and not self._ends(way)[1].has_unsent]
        watched = [self._ends(way)[0] for way in open_ones
                   if self._paused.get(way) == _FOREVER and self._patience is None]
        pending = [way for way in free if self._ends(way)[0].has_pending()]
        sources = [self._ends(way)[0] for way in free]
        ready = self._waiter.wait(
            sources, 0.0 if pending else self._next_end(now), watched=watched)
        if any(each in ready for each in watched):
            self._patience = _FOREVER if self._owner.timeout is None \
                else monotonic() + self._owner.timeout
        return [way for way in free
                if (self._ends(way)[0] in ready or way in pending)
                and self._ends(way)[0].is_ready()]

    def _next_end(self, now):
        # type: (float) -> Optional[float]
        """Return the seconds until a pause, the timer or the patience ends; None if none does."""
        ends = list(self._paused.values())
        ends += [end for end in (self._timer, self._patience) if end is not None]
        ends = [end for end in ends if end != _FOREVER]
        return min(ends) - now if ends else None

    def _serve(self, to_backend):
        # type: (bool) -> bool
        """Have the handler serve one direction; return True if the connection goes on."""
        source, destination = self._ends(to_backend)
        reads, paused = source.reads, self._paused.get(to_backend)
        now = monotonic()
        self.idle, self._last_seen = now - self._last_seen, now
        try:
            if not self._handler(self.client, self.backend, to_backend):
                return False
            if source.reads == reads and self._paused.get(to_backend) == paused:
                self._pass_on(source, destination)
        except socket.error:
            # That a peer goes away is seen by the state of its stream, and no error.
            if not (destination.is_broken or source.is_broken):
                raise
        return True

    def _pass_on(self, source, destination):
        # type: (Stream, Stream) -> None
        """Do without the handler what it has left to be done."""
        if not (source.is_closed or source.has_ended):
            data = source.recv(sockets.CHUNK)
            if destination.is_closed:
                pass  # By the handler: nobody wants them, and unread they would come up for ever.
            elif data:
                destination.sendall(data)
            else:
                destination.shutdown(socket.SHUT_WR)

    def _update(self):
        # type: () -> None
        """Bring the record up to date."""
        record = self.record
        before = record.bytes_to_backend, record.bytes_to_client
        if self.backend is not None:
            record.bytes_to_backend = self.backend.sent
        record.bytes_to_client = self.client.sent
        if before != (record.bytes_to_backend, record.bytes_to_client):
            self._owner.record.publish()

    def _finish(self, is_over):
        # type: (bool) -> None
        """Close what is open, and complete the record.

        :param is_over: False if it was cut short.
        """
        try:
            self._call("on_close")
        except Exception:
            _logger.exception("Connection %d: on_close() of the handler %s failed.", self.number,
                              self.record.handler)
        try:
            self._close(is_over)
        except Stopped:
            pass
        except self._errors:
            pass
        finally:
            for stream in self._streams():
                stream.reset()
            self._update()
            self._waiter.close()
            self._owner.forget(self)

    @staticmethod
    def _discard(stream):
        # type: (Stream) -> None
        """Read what has come, if anything has."""
        stream.settimeout(0)
        try:
            stream.recv()
        except socket.error:
            pass  # Nothing has, or the stream knows that it is broken.

    def _close(self, is_over):
        # type: (bool) -> None
        """End both sides: in order, or the way the other one was ended."""
        streams = [each for each in self._streams() if not each.is_closed]
        if not is_over:
            return
        deadline = _sockets.Deadline(self._owner.linger)
        if any(each.is_broken for each in self._streams()):
            # A reset throws away what has not arrived yet.
            while not deadline.is_over() and any(
                    each.is_on_its_way() for each in streams if not each.is_broken):
                self._waiter.sleep(0.005)
            return
        for stream in streams:
            stream.shutdown(socket.SHUT_WR)
        self._read_on(streams, deadline)
        for stream in streams:
            stream.settimeout(0)
            stream.close()

    def _read_on(self, streams, deadline):
        # type: (List[Stream], _sockets.Deadline) -> None
        """Read what nobody wants any more: a close would reset the connection otherwise.

        That would throw away what the peers have not read yet.
        """
        while not deadline.is_over():
            waited = [each for each in streams if not (each.has_ended or each.is_broken)]
            if not waited and not any(each.has_unsent for each in streams):
                break
            pending = [each for each in waited if each.has_pending()]
            ready = self._waiter.wait(waited, 0 if pending else deadline.left())
            for stream in waited:
                if stream in ready or stream in pending:
                    self._discard(stream)
