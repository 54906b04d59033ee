"""What a careful reader asks of the HTTP/2 client: interrupts, nested use, stalls, memory."""

from __future__ import absolute_import, division, print_function

import gc
import sys
import time
import weakref

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, ProviderToken
from apnsclient.drivers.dispatch import Dispatch
from apnsclient.protocols.http2 import frames
from frame_peers import (
    ACCEPTED,
    TOPIC,
    accept,
    accept_all,
    client_of,
    new_session,
    outcome,
    serve,
)
from http2_support import headers, reply, status_block
from net_support import make_tokens
from stdio_support import CLIENT, SHORT, Gate

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(100)


def message(number=0, count=1):
    """Return a message to so many tokens."""
    return Message(TOKENS[number:number + count], alert="hello", apns_topic=TOPIC)


@pytest.fixture
def peer():
    """A server that accepts everything."""
    with serve(accept_all) as running:
        yield running


@pytest.fixture
def sessions():
    """A function that makes sessions, which are shut down after the test."""
    made = []

    def make(**options):
        made.append(new_session(**options))
        return made[-1]

    yield make
    for session in made:
        session.shutdown()


def test_a_message_is_not_kept_in_memory_by_an_idle_connection(peer, sessions):
    """What was answered is forgotten when the connection goes back to the pool."""
    sent = message(0, 100)
    kept = weakref.ref(sent)
    assert outcome(client_of(sessions(), peer).send(sent)) == ACCEPTED
    del sent
    gc.collect()
    assert kept() is None


def test_no_more_messages_are_taken_than_is_said(peer, sessions, monkeypatch):
    """The limit holds for messages to one token, too, which are taken many at a time."""
    monkeypatch.setattr(Dispatch, "WINDOW", 10)
    taken = []

    class Messages(list):
        def __iter__(self):
            for number in range(100):
                taken.append(number)
                yield message(number)

    results = client_of(sessions(), peer).send_many(Messages())
    next(results)
    assert len(taken) <= 10
    assert len(list(results)) == 99


def test_a_server_that_stalls_on_each_connection_ends_the_sending(sessions):
    """One request for each connection, and then none allowed: that would go on for ever."""
    def stall(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1)])
        stream = peer.requests(1)[0]
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 0)]), headers(stream))
        peer.read_to_end()

    with serve(stall) as peer:
        session = sessions(read_timeout=SHORT)
        result = client_of(session, peer).send(message(0, 20))
        assert len(peer.accepted) == 3
        session.shutdown()
    failed, errors, retry, undelivered = outcome(result)
    assert (failed, undelivered, retry) == ({}, [], TOKENS[3:20])
    assert "allowed no request" in errors[0][1]


@pytest.mark.parametrize("count", [1, 3])
def test_the_connection_is_free_while_the_caller_has_a_result(peer, sessions, count):
    """Whoever sends again what a result of send_many() says does not wait for himself."""
    session = sessions(pool_size=1, connect_timeout=SHORT)
    client = client_of(session, peer)
    for result in client.send_many([message(number) for number in range(count)]):
        assert outcome(result) == ACCEPTED
        assert outcome(client.send(message(50))) == ACCEPTED
    assert len(peer.accepted) == 1


def test_a_refused_request_does_not_wait_for_the_end_of_the_messages(sessions, monkeypatch):
    """It is sent again as soon as nothing else is in flight, however many messages follow."""
    # Each message takes its time, if not a long one.
    monkeypatch.setattr(Dispatch, "PATIENCE", -1.0)
    taken, seen = [], []

    def refuse_third(peer):
        peer.greet()
        while True:
            found = peer.read()
            if found is None:
                return
            for kind, flags, stream, _ in found:
                if kind == frames.DATA and flags & frames.END_STREAM:
                    seen.append(stream)
                    peer.say(frames.rst_stream(stream, frames.REFUSED_STREAM)
                             if len(seen) == 3 else headers(stream))

    def messages():
        for number in range(40):
            taken.append(number)
            yield message(number)

    with serve(refuse_third) as peer:
        session = sessions()
        results = client_of(session, peer).send_many(messages())
        for _ in range(3):
            assert outcome(next(results)) == ACCEPTED
        assert len(taken) < 10
        assert len(list(results)) == 37
        session.shutdown()
    assert len(seen) == 41


def test_a_renewed_token_is_used_over_a_fresh_connection(sessions, simulator):
    """Other connections of the pool keep the token that Apple has called expired."""
    asked = []

    def expire(peer):
        peer.greet()
        number = len(asked)
        asked.append(peer)
        while True:
            streams = peer.requests(1)
            status = 403 if number < 2 else 200
            peer.say(headers(streams[0], status_block(status), False), frames.data_frames(
                streams[0], b'{"reason":"ExpiredProviderToken"}' if number < 2 else b"{}", True))
            if peer.read() is None:
                return

    with serve(expire, asks_client=False) as peer:
        session = sessions()
        connection = session.get_connection(
            peer.address, certificate=ProviderToken(**simulator.token_parameters))
        drivers = [connection._lease(True), connection._lease(True)]
        for driver in drivers:
            driver.refresh_token()
            connection._release(driver)
        reply = connection.ask(b"GET", b"/1/apps/com.example.app/all-channels")
        session.shutdown()
    assert reply.status == 200


def test_a_fresh_connection_is_not_one_too_many(peer, sessions):
    """Who needs one waits for a turn again, and others may have opened theirs meanwhile."""
    session = sessions(pool_size=2)
    connection = session.get_connection(peer.address, cert_string=CLIENT.pem)
    first, second = connection._lease(False), connection._lease(False)
    first.close()
    connection._release(first)
    third = connection._lease(False)
    connection._release(second)
    connection._release(third)
    assert session._backend.idle_count() == 2
    fresh = connection._lease(True)
    assert session._backend.idle_count() == 1
    connection._release(fresh)
    # As long as there is room, nothing that is idle has to go.
    session.shutdown()
    connection._release(connection._lease(False))
    fresh = connection._lease(True)
    assert session._backend.idle_count() == 1
    connection._release(fresh)


EXPIRED = b'{"reason":"ExpiredProviderToken"}'


def test_what_others_are_answered_stops_nobody(sessions, simulator):
    """Requests of a generator that was abandoned are answered when somebody else comes."""
    gate, answered = Gate(), Gate()

    def expire(peer):
        peer.greet()
        if len(server.accepted) > 1:
            accept(peer)
            return
        peer.say(headers(peer.requests(1)[0]))
        # The first two of these are of one message, and what comes behind them is of the other.
        one, two, three, four = peer.requests(5)[1:]
        peer.say(headers(one), headers(two))
        gate.wait()
        peer.say(reply(three, 403, EXPIRED), reply(four, 403, EXPIRED))
        answered.open()
        peer.say(reply(peer.requests(6)[5], 403, EXPIRED))
        peer.read_to_end()

    with serve(expire, asks_client=False) as server:
        client = APNs(sessions().get_connection(
            server.address, certificate=ProviderToken(**simulator.token_parameters)))
        # With a provider token, there is one request at a time until one was answered.
        assert outcome(client.send(message())) == ACCEPTED
        results = client.send_many([message(0, 2), message(2, 2)])
        assert outcome(next(results)) == ACCEPTED
        results.close()
        gate.open()
        answered.wait()
        assert outcome(client.send(message())) == ACCEPTED


@pytest.mark.parametrize("times, expected", [
    (1, ACCEPTED), (2, ({}, [(403, "ExpiredProviderToken")], [], TOKENS[:1]))])
def test_a_goaway_may_ask_for_a_new_provider_token(sessions, simulator, times, expected):
    """It is made anew once, as if a request had been answered so."""
    def expire(peer):
        peer.greet()
        if len(server.accepted) > times:
            accept(peer)
            return
        peer.requests(1)
        peer.say(frames.goaway(0, frames.NO_ERROR, EXPIRED))
        peer.read_to_end()

    with serve(expire, asks_client=False) as server:
        client = APNs(sessions().get_connection(
            server.address, certificate=ProviderToken(**simulator.token_parameters)))
        assert outcome(client.send(message())) == expected
        assert len(server.accepted) == 2


def test_the_reason_may_come_with_the_second_goaway(sessions):
    """The first one warns, the second one says why: that counts, and is not met again."""
    def refuse(peer):
        peer.greet()
        peer.requests(1)
        peer.say(frames.goaway(frames.LARGEST_STREAM, frames.NO_ERROR), frames.ping(b"received"))
        peer.await_frame((frames.PING, frames.ACK, 0, b"received"))
        peer.say(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
        peer.read_to_end()

    with serve(refuse) as server:
        result = client_of(sessions(), server).send(message())
        assert len(server.accepted) == 1
    assert outcome(result) == ({}, [(403, "BadCertificate")], [], TOKENS[:1])


def test_an_iterable_that_has_ended_is_not_asked_again(peer, sessions):
    """One that reads from a queue would wait for ever."""
    class Reader(object):
        def __init__(self):
            self.queue = [message(0), message(1, 2), None]

        def __iter__(self):
            return self

        def __next__(self):
            assert self.queue, "it was asked after its end"
            item = self.queue.pop(0)
            if item is None:
                raise StopIteration
            return item

        next = __next__

    results = client_of(sessions(), peer).send_many(Reader())
    assert [outcome(result) for result in results] == [ACCEPTED] * 2


class Interrupt(BaseException):
    """Comes in the place of KeyboardInterrupt."""


#: Where an interrupt comes: before any line of these.
_FILES = ("http2.py", "dispatch.py", "delivery.py", "client.py", "streams.py", "requests.py",
          "transport.py", "_turns.py")


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
def test_an_interrupt_leaves_nothing_behind_that_harms_others(sessions, simulator, first):
    """Whatever line it comes at: the next send does not meet half a frame, nor wait for a turn."""
    session = sessions(pool_size=1, ca_string=simulator.ca_string)
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


class Dawdling(object):
    """Messages that are all at hand, on a machine that takes its time over each."""

    def __init__(self, messages):
        self.messages = messages

    def __len__(self):
        return len(self.messages)

    def __iter__(self):
        for each in self.messages:
            time.sleep(0.003)
            yield each


def test_messages_at_hand_are_not_held_back_for_an_answer(sessions):
    """A list is no slow iterable, however slow the machine is: its messages go out together."""
    def answer_at_the_end(peer):
        peer.greet()
        streams = peer.requests(100)
        for stream in streams:
            peer.say(headers(stream))
        peer.read_to_end()

    with serve(answer_at_the_end) as server:
        client = client_of(sessions(), server)
        results = list(client.send_many(Dawdling([message(number) for number in range(100)])))
    assert [outcome(result) for result in results] == [ACCEPTED] * 100
