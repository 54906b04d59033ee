"""Interrupts, wherever they come: the next send over the connection does not suffer from them."""

from __future__ import absolute_import, division, print_function

import os
import signal
import threading

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, TOPIC, client_for, message, outcome
from interrupt_support import check_interrupts
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
    assert simulator.error_count == 0


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


def test_an_interrupt_leaves_nothing_behind_that_harms_others(http2_sessions, simulator):
    """Whatever line it comes at: the next send does not meet half a frame, nor wait for a slot.

    All of the lines are in ``test_interrupts_at_lines.py``.
    """
    session = http2_sessions(pool_size=1, ca_string=simulator.ca_string)
    check_interrupts(session.get_connection(simulator.provider_address,
                                            cert_string=simulator.cert_string), simulator, 1, 28)
