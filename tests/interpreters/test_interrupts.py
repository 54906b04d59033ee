"""What a signal handler raises is for the caller, also where it is a plain ``Exception``.

The soft time limit of Celery is one, the time limit of RQ another, and many a program raises
``TimeoutError`` in a handler of its own.
"""

from __future__ import absolute_import, division, print_function

import functools
import gc
import os
import signal
import socket
import sys
import threading
import weakref

import pytest

from apnsclient import APNs, Result, Session
from apnsclient._interrupts import is_interrupt
from apnsclient.backends import _sockets, _tls
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import FeedbackScript, ProviderScript, Script
from interrupt_support import (
    TOKENS,
    Limit,
    check_limits,
    client_over,
    handler_of,
    handling,
    message,
)
from net_support import SOON

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="this system has no such signal"),
]


@pytest.fixture
def handle():
    """A function that lets a function handle SIGUSR2 until the test is over."""
    with handling() as function:
        yield function


@pytest.fixture(params=["binary", "http2"])
def protocol(request):
    """Each of the protocols."""
    if request.param == "http2":
        pytest.importorskip("hpack")
        pytest.importorskip("jwt")
    return request.param


@pytest.fixture
def new_client(protocol, simulator, new_session):
    """A function that makes an ``APNs`` for the simulator."""
    return functools.partial(client_over, protocol, simulator, new_session)


# The others are what a back-end raises when a connection has failed, and when nothing came.
@pytest.fixture(params=[Limit, socket.error, socket.timeout])
def limit(request, handle):
    """A type of exception; the handler of SIGUSR2 raises it, once."""
    def handle_once(number, frame):
        if not raised:
            raised.append(number)
            raise request.param()

    raised = []
    handle(handle_once)
    return request.param


def send_signal():
    """Have the handler called in the main thread."""
    os.kill(os.getpid(), signal.SIGUSR2)


class Signals(object):
    """Sends signals from a thread, as soon as a condition of the simulator holds.

    One is not enough: where it comes right before the main thread begins to wait, the handler is
    called after the wait.
    """

    def __init__(self, simulator, condition):
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(simulator, condition))

    def _run(self, simulator, condition):
        if simulator.wait_for(condition, SOON):
            while not self._is_over.is_set():
                send_signal()
                self._is_over.wait(0.1)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *error):
        self._is_over.set()
        self._thread.join()


@pytest.mark.parametrize("send", [
    lambda client: client.send(message()),
    lambda client: list(client.send_many([message()])),
], ids=["send", "send_many"])
def test_a_limit_while_waiting_ends_the_call(new_client, protocol, simulator, limit, send):
    """It is neither a lost connection nor the gateway's silence, and the session goes on."""
    client = new_client()
    if protocol == "http2":
        simulator.script_provider(ProviderScript(hold=True))
        has_come, expected = (lambda: simulator.held == 1), {}
    else:
        # A response comes at once; for silence one would have to wait.
        simulator.script(Script(status_at={2: 8}), Script(status_at={1: 8}))
        has_come, expected = (lambda: simulator.accepted_count == 1), {TOKENS[1]: 8}
    with Signals(simulator, has_come), pytest.raises(limit) as caught:
        send(client)
    assert caught.type is limit
    simulator.release_held()
    if protocol == "http2":
        # The connection, if it is the same one, would go on holding back.
        simulator.script_provider(None)
        client._connection.session.shutdown()
    result = client.send(message(1))
    assert dict((token, code) for token, (code, _) in result.failed.items()) == expected
    assert (result.errors, result.retry()) == ([], None)


def test_a_limit_while_reading_feedback_is_no_end_of_it(
        simulator, new_session, limit, monkeypatch):
    """Whoever reads is not led to believe that there is no more."""
    for token in TOKENS[:2]:
        simulator.devices.uninstall(token, 1400000000)
    simulator.script_feedback(FeedbackScript(stall_after=40))
    rows = APNs(new_session(read_timeout=SOON).new_connection(
        simulator.feedback_address, cert_string=simulator.cert_string)).feedback()
    assert next(rows)[0] == TOKENS[0].encode("ascii")
    wait = _sockets.wait

    def interrupted(interests, timeout):
        send_signal()
        return wait(interests, timeout)

    monkeypatch.setattr(_sockets, "wait", interrupted)
    with pytest.raises(limit) as caught:
        next(rows)
    assert caught.type is limit


def test_a_limit_while_the_server_is_verified_says_nothing_of_it(
        new_client, limit, monkeypatch):
    """It comes in the middle of OpenSSL's callback, from which nothing can be raised."""
    def interrupted(certificate, host):
        signal.getsignal(signal.SIGUSR2)(signal.SIGUSR2, None)

    client = new_client()
    with monkeypatch.context() as patch:
        patch.setattr(_tls, "mismatch", interrupted)
        with pytest.raises(limit) as caught:
            client.send(message())
    assert caught.type is limit


def test_a_limit_at_any_line_ends_the_call(new_client, handle):
    """Whatever the client is about, it goes on to the caller, and the next send is right.

    More of the lines are in ``test_interrupts_at_lines.py``.
    """
    handler = handler_of(Limit)
    handle(handler)
    check_limits(new_client(read_tail_timeout=0), handler, 1, 37)


@pytest.mark.parametrize("part", ["on_late_result", "feedback_store"])
def test_a_limit_in_what_the_caller_has_given_is_not_logged_away(handle, part):
    """A callback and a store may take long; what else they raise is logged and goes no further."""
    def fail(number, frame):
        raise ValueError

    class Store(MemoryStore):
        def add(self, source, rows):
            if raised:
                raised.pop()(signal.SIGUSR2, None)

    handle(handler_of(Limit))
    raised = [signal.getsignal(signal.SIGUSR2), fail]
    session = Session(on_late_result=lambda result: raised.pop()(signal.SIGUSR2, None),
                      feedback_store=Store())
    reported = Result(message(), (8, 0))
    session._shared.feedback.add("app", [(b"aa", 1)])
    late = functools.partial(session._shared.report_late, ("gateway", 2195), [reported])
    report = late if part == "on_late_result" else session.shutdown
    report()
    with pytest.raises(Limit):
        report()
    assert not raised
    # What is kept for the store is not tried again later, in the middle of another test.
    session.shutdown()


class Handler(object):
    """Handlers that are no functions."""

    def __call__(self, number, frame):
        raise Limit

    def method(self, number, frame):
        raise Limit


@pytest.mark.parametrize("handler, expected", [
    (handler_of(Limit), True),
    (handler_of(KeyboardInterrupt), True),
    (Handler(), True),
    (Handler().method, True),
    (functools.partial(handler_of(Limit)), True),
    (None, False),
], ids=["function", "keyboard", "object", "method", "partial", "none"])
def test_an_interrupt_is_what_a_handler_raised(handle, handler, expected):
    """Any kind of handler; an exception that something else raised is none."""
    if handler is not None:
        handle(handler)
    try:
        (handler or handler_of(Limit))(signal.SIGUSR2, None)
    except BaseException:
        assert is_interrupt() is expected
    else:
        pytest.fail("it raised nothing")
    assert not is_interrupt() or sys.version_info[0] == 2


def test_asking_leaves_nothing_to_the_garbage_collector(handle):
    """What the frames of who asks refer to would live on: a message, or a slot of the pool."""
    def ask():
        kept = Limit()
        references.append(weakref.ref(kept))
        try:
            raise ValueError
        except ValueError:
            return is_interrupt()

    references = []
    handle(handler_of(Limit))
    gc.disable()
    try:
        assert ask() is False
        assert references[0]() is None
    finally:
        gc.enable()
