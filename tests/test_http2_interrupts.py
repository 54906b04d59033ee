"""Interrupts, wherever they come: the next send over the connection does not suffer from them."""

from __future__ import absolute_import, division, print_function

import os
import signal
import sys
import threading

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import Message
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, TOPIC, client_for, message, outcome
from net_support import SOON

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("number_of_messages", [1, 2, 20])
def test_an_interrupt_in_the_iterable_spoils_nothing(
        simulator, session, is_token, number_of_messages, count):
    """Requests that were made and not written must not leave a trace on the connection."""
    client = client_for(session, simulator, is_token)
    assert outcome(client.send(message(600, apns_topic=TOPIC))) == ACCEPTED

    topics = ["com.example.app%d" % number for number in range(number_of_messages)]

    def messages():
        for number, topic in enumerate(topics):
            # What the server does not get to see of these headers nobody must refer to later.
            yield message(number * count, count, apns_topic=topic)
        raise KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        list(client.send_many(messages()))
    for number in range(700, 703):
        assert outcome(client.send(message(number, apns_topic=topics[-1]))) == ACCEPTED
    assert [one.topic for one in simulator.accepted[-3:]] == topics[-1:] * 3
    assert simulator.answer_count == 0


needs_signals = pytest.mark.skipif(
    os.name != "posix", reason="os.kill() ends the process elsewhere, and interrupts nothing")


@needs_signals
def test_an_interrupt_while_waiting_spoils_nothing(simulator, client):
    """Whoever is interrupted hears of it at once; the session goes on."""
    simulator.script_provider(ProviderScript(hold=True))
    main = os.getpid()

    def interrupt():
        if simulator.wait_for(lambda: simulator.held == 1, SOON):
            os.kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.send(message())
    thread.join(SOON)
    simulator.release_held()
    simulator.script_provider(None)
    releaser = threading.Thread(
        target=lambda: simulator.wait_for(
            lambda: simulator.held == 1 or simulator.accepted_count == 2, SOON)
        and simulator.release_held())
    releaser.start()
    assert outcome(client.send(message(1))) == ACCEPTED
    releaser.join(SOON)
    assert simulator.accepted_tokens() == TOKENS[:2]


class Interrupt(BaseException):
    """Comes in the place of KeyboardInterrupt."""


#: Where an interrupt comes: before any line of these.
_FILES = ("http2.py", "http2_dispatch.py", "http2_parcels.py", "client.py", "streams.py",
          "requests.py", "transport.py", "_turns.py")


def _interrupt_at(number, function):
    """Call a function, and interrupt it before the line with that number; tell whether it came."""
    lines = []

    def trace_line(frame, event, argument):
        if event == "line":
            lines.append(None)
            if len(lines) == number:
                sys.settrace(None)
                raise Interrupt
        return trace_line

    def trace_call(frame, event, argument):
        code = frame.f_code
        is_wanted = code.co_filename.endswith(_FILES)
        return trace_line if is_wanted else None

    before = sys.gettrace()
    sys.settrace(trace_call)
    try:
        function()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_interrupt_leaves_nothing_behind_that_harms_others(http2_sessions, simulator, first):
    """Whatever line it comes at: the next send does not meet half a frame, nor wait for a turn."""
    session = http2_sessions(pool_size=1, ca_string=simulator.ca_string)
    connection = session.get_connection(simulator.provider_address,
                                        cert_string=simulator.cert_string)
    for number in range(first, 5000, 3):
        session.shutdown()
        driver = connection._lease(False)
        connection._release(driver)
        is_interrupted = _interrupt_at(number, lambda: connection.send(message(1, 3)))
        assert session._turns.in_use() == 0, number
        # A message like no other, which needs the table of the header fields to be what it was.
        sent = Message(TOKENS[:2], alert="hello", apns_topic=TOPIC, apns_collapse_id=str(number))
        assert outcome(connection.send(sent)) == ACCEPTED, number
        driver = connection._lease(False)
        assert driver.in_flight == 0, number
        connection._release(driver)
        if not is_interrupted:
            break
    assert number > 300
