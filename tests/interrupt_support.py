"""Interrupts before any line of the client: what raises them, and what must hold afterwards."""

from __future__ import absolute_import, division, print_function

import contextlib
import gc
import os
import signal
import sys
import threading

from apnsclient import APNs, Message
from apnsclient.backends import _sockets
from apnsclient.sending.message_work import Delivery
from leases import lease, release
from net_support import SOON, make_tokens

TOKENS = make_tokens(6)
TOPIC = "com.example.app"

_PACKAGE = os.path.dirname(_sockets.__file__.replace("backends", ""))
_TESTING = os.sep + "testing" + os.sep

#: Functions in which something belongs to nobody for the moment of a line: then only the end of
#: the exception gives it back.
_HANDS_OVER = {"_advance", "_begin", "_hand_over", "_lease", "_open", "leave", "open", "release",
               "run", "take_opening", "_use"}

#: Where an :class:`Interrupt` comes: before any line of these.
_FILES = ("http2.py", "http2_connection.py", "calls.py", "work.py", "host.py", "intake.py",
          "opening.py", "lease.py", "connections.py", "client.py", "streams.py", "requests.py",
          "handle.py", "shared.py", "_pool.py", "link.py")


class Limit(Exception):
    """Comes in the place of Celery's SoftTimeLimitExceeded."""


class Interrupt(BaseException):
    """Comes in the place of KeyboardInterrupt."""


def handler_of(kind):
    """Return a signal handler that raises."""
    def handle(number, frame):
        raise kind()
    return handle


@contextlib.contextmanager
def handling():
    """Yield a function that sets the handler of SIGUSR2; the one of before comes back."""
    previous = signal.getsignal(signal.SIGUSR2)
    try:
        yield lambda handler: signal.signal(signal.SIGUSR2, handler)
    finally:
        signal.signal(signal.SIGUSR2, previous)


class Once(object):
    """A handler of SIGUSR2 that does something the first time, and the signals that call it.

    One signal is not enough: where it comes right before the main thread begins to wait, the
    handler is called after the wait.

    :param function: a signal handler.
    """

    def __init__(self, function):
        self._function = function
        self._has_begun = threading.Event()

    def __call__(self, number, frame):
        if not self._has_begun.is_set():
            self._has_begun.set()
            self._function(number, frame)

    def strike(self):
        """Send signals, from another thread than the main one, until the handler is called."""
        while not self._has_begun.is_set():
            os.kill(os.getpid(), signal.SIGUSR2)
            self._has_begun.wait(0.1)


def client_over(protocol, simulator, new_session, **options):
    """Return an ``APNs`` for the simulator, over one connection."""
    session = new_session(protocol=protocol, pool_size=1, **options)
    address = simulator.gateway_address if protocol == "binary" else simulator.provider_address
    return APNs(session.get_connection(address, cert_string=simulator.cert_string))


def message(first=0, count=1):
    """Return a message to so many tokens."""
    return Message(TOKENS[first:first + count], alert="hello", apns_topic=TOPIC)


def interrupt_at(number, strike, is_wanted, function, held=None):
    """Call a function, and ``strike(frame)`` before a line of the code that is wanted.

    :param number: which of the lines (int, from 1).
    :param strike: raises :class:`Limit` or :class:`Interrupt`.
    :param is_wanted: tells of a code object whether its lines count.
    :param held: list that gets the exception, with all that its frames refer to.
    :return: whether it came to that line.
    """
    lines = []

    def trace_line(frame, event, argument):
        if event == "line":
            lines.append((frame.f_code.co_name, frame.f_lineno))
            if len(lines) == number:
                sys.settrace(None)
                strike(frame)
        return trace_line

    def trace_call(frame, event, argument):
        return trace_line if is_wanted(frame.f_code) else None

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        function()
    except (Limit, Interrupt):
        if held is not None:
            held.append(sys.exc_info())
        return True
    finally:
        sys.settrace(before)
    assert len(lines) < number, "it was lost at %s:%d" % lines[-1]
    return False


def _is_of_the_client(code):
    """Not in finalizers: the collector calls them, and nothing can be raised from there."""
    return (code.co_filename.startswith(_PACKAGE) and code.co_name != "__del__"
            and _TESTING not in code.co_filename)


def check_limits(client, handler, first, step=12):
    """See that a limit ends a call at any line, and spoils nothing.

    :param handler: handler of SIGUSR2 that raises :class:`Limit`.
    :param first: number of the first line that is tried (int).
    :param step: one line in so many is tried (int).
    """
    session = client._connection.session
    for number in range(first, 10000, step):
        # Every other time over a new connection.
        is_new = (number - first) // step % 2 == 0
        if is_new:
            session.shutdown()
        gc.disable()
        try:
            is_interrupted = interrupt_at(
                number, lambda frame: handler(signal.SIGUSR2, frame), _is_of_the_client,
                lambda: client.send(message(0, 2)))
        finally:
            gc.enable()
        _expect_accepted(client.send(message(2, 3)), number)
        if not is_interrupted and is_new:
            break
    assert number > 500


def _expect_accepted(result, number):
    assert (result.failed, result.errors, result.retry()) == ({}, [], None), number


def check_interrupts(connection, simulator, first, step=1):
    """See that an interrupt of a call at any line does no harm to others.

    The exception is looked at for as long as its catcher likes, and refers to everything that the
    call had: what is to be given back must not wait for that. What is in the pool afterwards is as
    good as new, and serves the next send by itself.

    :param connection: handle over HTTP/2, of a session with one connection in the pool.
    :param first: see :func:`check_limits`; and ``step``.
    """
    session, backend = connection.session, connection.session.pool
    for number in range(first, 5000, step):
        session.shutdown()
        _leave_response_unread(connection)
        struck, held = [], []

        def strike(frame):
            while frame is not None:
                struck.append(frame.f_code.co_name)
                frame = frame.f_back
            raise Interrupt

        interrupt_at(number, strike, lambda code: code.co_filename.endswith(_FILES),
                     lambda: connection.send(message(1, 2)), held)
        where = number, struck[:3]
        if not set(struck[:1]) & _HANDS_OVER:
            assert backend.in_use_count() == 0, where
        del held[:]
        # One that could not be put back serves whoever sends next.
        is_kept = backend.idle_count() + backend.in_use_count() > 0
        before = simulator.provider_connections
        # A message like no other, which needs the table of the header fields to be what it was.
        sent = Message(TOKENS[:2], alert="hello", apns_topic=TOPIC, apns_collapse_id=str(number))
        _expect_accepted(connection.send(sent), where)
        assert simulator.provider_connections - before == int(not is_kept), where
        assert backend.in_use_count() == 0, where
        idle = lease(connection)
        assert idle.state.client.in_flight == 0, where
        release(connection, idle)
        if not struck:
            break
    assert number > 300


def _leave_response_unread(connection):
    """Put a connection into the pool for which a response is on its way: it is there to be read."""
    held, sent = lease(connection), message(5)
    held.state.start(Delivery(sent, sent.request_template(None, None)), 1)
    held.link.write(held.state.output(0.0), SOON)
    held.state.written(connection.session.pool.clock())
    release(connection, held)
