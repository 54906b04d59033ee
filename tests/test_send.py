"""``APNs.send`` over TLS: the result for each response of the gateway, and for each failure."""

from __future__ import absolute_import, division, print_function

import logging
import sys
import threading

import pytest

from apnsclient import APNs, Message, Result
from apnsclient._compat import monotonic
from apnsclient.backends.stdio import Connection
from apnsclient.errors import ConnectError
from apnsclient.sending.binary import BinarySender
from apnsclient.testing.simulator import Script, Simulator
from net_support import (
    AUTHORITY,
    CLIENT,
    SILENCE,
    SOON,
    Drip,
    Outcome,
    Server,
    await_accepted,
    await_closed,
    client_of,
    make_tokens,
    over_tls,
    tokens_of,
)
from simulated_time import CLOSE_TIMEOUT, serve_bytes

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(6)


def raw_client(new_session, server, **options):
    """Return a client of a server that is a function of ``stdio_support``'s kind."""
    session = new_session(ca_string=AUTHORITY.ca_string, **options)
    return APNs(session.get_connection(server.address, cert_string=CLIENT.pem))


def test_silence_is_success(simulator, new_session):
    """A gateway that says nothing has accepted everything, in order and exactly as it was sent."""
    client = client_of(new_session(read_tail_timeout=SILENCE), simulator)
    message = Message(TOKENS, alert=u"caf\xe9", expiry=1234567890, priority=5)
    begin = monotonic()
    result = client.send(message)
    # It was waited for. The clock of Python 2.7 moves in steps of 10 ms.
    assert monotonic() - begin >= SILENCE - 0.02
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert not result.needs_retry()
    assert result.message is message
    await_accepted(simulator, len(TOKENS))
    assert simulator.accepted_tokens() == TOKENS
    first = simulator.accepted[0]
    assert (first.payload, first.expiry, first.priority) == (
        u'{"aps":{"alert":"caf\xe9"}}'.encode("utf-8"), 1234567890, 5)


def test_each_status_means_what_the_table_says(apple):
    """The status of an error frame decides on failed, errors and retry, at once."""
    client = apple.client()
    for status in (1, 2, 3, 4, 5, 6, 7, 8, 11, 128, 255, 0):
        apple.script(Script(status_at={3: status}))
        before, begin = apple.accepted_count, apple.clock.now
        result = client.send(Message(TOKENS, alert="hello"))
        code = status if status in Result.ERROR_CODES else None
        entry = (code, Result.ERROR_CODES[code])
        blames, is_whole = status in (2, 5, 8), status in (3, 4, 6, 7)
        left = [] if is_whole else TOKENS[3:] if blames else TOKENS[2:]
        assert (status, result.failed) == (status, {TOKENS[2]: entry} if blames else {})
        assert (status, result.errors) == (status, [] if blames else [entry])
        assert (status, tokens_of(result.retry())) == (status, left)
        assert result.needs_retry() == bool(left)
        assert apple.accepted_count - before == 2
        assert apple.clock.now == begin


def test_shutdown_retries_what_follows_the_last_accepted(apple):
    """Status 10 names the last token that was accepted: what follows it is retried, no more."""
    client = apple.client()
    for count in (0, 1, 3, 6):
        apple.script(Script(shutdown_after=count))
        apple.forget()
        result = client.send(Message(TOKENS, alert="hello"))
        assert (count, result.failed, result.errors) == (count, {}, [])
        assert tokens_of(result.retry()) == TOKENS[count:]
        assert result.needs_retry() == (count < len(TOKENS))
        assert apple.accepted_tokens() == TOKENS[:count]


def test_retrying_until_nothing_is_left_reaches_every_good_token(apple):
    """The loop that the documents show delivers to each good token exactly once."""
    tokens = make_tokens(60)
    bad = tokens[0::7]
    for number, token in enumerate(bad):
        apple.devices.bad(token, (8, 5)[number % 2])
    apple.script(None, Script(shutdown_after=4), Script(status_at={2: 1}))
    outcome = Outcome()
    session = apple.session(read_tail_timeout=1, on_late_result=outcome.late)
    client = client_of(session, apple)
    outcome.late(client.send(Message(tokens, alert="hello")))
    outcome.finish(client, session, apple, len(bad) + 2)
    assert sorted(outcome.failed) == bad
    assert outcome.errors == [(1, "Processing error")]
    assert apple.accepted_tokens() == [token for token in tokens if token not in bad]


@pytest.mark.parametrize("script", [
    Script(close_after=0), Script(close_after=2), Script(reset_after=0), Script(reset_after=2),
    Script(garbage_after=2), Script(garbage_after=0), Script(garbage_after=2, garbage=b"\x08\x08"),
], ids=["close", "close later", "reset", "reset later", "garbage", "garbage at once", "cut frame"])
def test_an_end_without_a_response_is_unknown_and_retried(simulator, new_session, script):
    """A connection that ends without a status leaves the outcome unknown, and all in the retry."""
    simulator.script(script)
    client = client_of(new_session(), simulator)
    result = client.send(Message(TOKENS, alert="hello"))
    assert (result.failed, result.errors) == ({}, [(None, "Unknown")])
    assert tokens_of(result.retry()) == TOKENS
    await_closed(simulator)
    accepted = simulator.accepted_count
    assert accepted <= 2
    assert client_of(new_session(read_tail_timeout=SILENCE), simulator).send(
        result.retry()).retry() is None
    await_accepted(simulator, accepted + len(TOKENS))


def test_a_connection_lost_in_a_long_write_loses_no_token(new_session):
    """What was accepted and what is retried are together all the tokens, wherever it broke."""
    tokens = make_tokens(40000)
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Script(reset_after=1000))
        client = client_of(new_session(ca_string=gateway.ca_string), gateway)
        result = client.send(Message(tokens, alert="hello"))
        assert result.errors == [(None, "Unknown")]
        assert set(gateway.accepted_tokens() + tokens_of(result.retry())) == set(tokens)
        assert gateway.accepted_count == 1000


def test_the_reason_is_read_although_the_write_failed(new_session):
    """A gateway that resets the connection after its response is understood, even while writing."""
    message = Message(make_tokens(100000), alert="hello")

    def refuse(tls):
        tls.recv(65536)
        tls.send(b"\x08\x08\x00\x00\x00\x02")
        # What was not read makes the kernel reset the connection.
        tls._socket.close()

    with Server(over_tls(refuse)) as server:
        # All of it is written in one go, and far more than the buffers of the kernel hold.
        result = raw_client(new_session, server, write_buffer_size=1 << 24).send(message)
    assert result.failed == {message.tokens[1]: (8, "Invalid token")}
    assert tokens_of(result.retry()) == message.tokens[2:]


def test_a_gateway_that_stops_reading_costs_no_more_than_the_write_timeout(new_session):
    """Accept, then stall: the write times out, and everything is in the retry."""
    tokens = make_tokens(100000)
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Script(stall_after=10))
        session = new_session(ca_string=gateway.ca_string, write_timeout=SILENCE,
                              read_tail_timeout=SILENCE)
        result = client_of(session, gateway).send(Message(tokens, alert="hello"))
        assert result.errors == [(None, "Unknown")]
        assert tokens_of(result.retry()) == tokens
        assert gateway.accepted_count == 10


def test_write_timeout_is_absolute_where_a_little_is_taken_again_and_again(new_session):
    """A peer that takes a little of a chunk at a time does not prolong the time to write it."""
    over, taken = threading.Event(), []

    def sip(tls):
        while not over.wait(0.02):
            taken.append(len(tls._socket.recv(65536)))

    with Server(over_tls(sip), ignore=Exception) as server:
        client = raw_client(new_session, server, write_timeout=0.8, read_tail_timeout=SILENCE,
                            write_buffer_size=1 << 24)
        message = Message(make_tokens(150000), alert="hello")
        result = client.send(message)
        over.set()
    assert taken
    assert result.errors == [(None, "Unknown")]
    assert result.retry().tokens == message.tokens


def test_tail_wait_is_absolute_where_a_byte_comes_again_and_again(new_session):
    """A peer that sends a TLS record byte by byte does not prolong the wait for an error frame."""
    drip = Drip()
    with Server(over_tls(drip)) as server:
        client = raw_client(new_session, server, read_tail_timeout=0.5)
        sender = threading.Thread(target=client.send, args=(Message(TOKENS, alert="hello"),))
        sender.start()
        sender.join(SOON)
        prolonged = sender.is_alive()
        drip.over.set()
        sender.join(SOON)
    assert not prolonged


def test_an_error_frame_in_pieces_is_put_together(new_session):
    """It does not matter in how many reads an error frame arrives."""
    response = b"\x08\x08\x00\x00\x00\x02"

    def spell(tls):
        tls.recv(65536)
        for index in range(len(response)):
            tls.send(response[index:index + 1])
        tls.shutdown()

    with Server(over_tls(spell)) as server:
        result = raw_client(new_session, server).send(Message(TOKENS, alert="hello"))
    assert result.failed == {TOKENS[1]: (8, "Invalid token")}
    assert tokens_of(result.retry()) == TOKENS[2:]


def test_a_message_without_tokens_is_a_warning_and_no_connection(apple, caplog):
    """Nothing to send is nothing sent, nothing connected, and a warning."""
    with caplog.at_level(logging.WARNING):
        result = client_of(apple.session(), apple).send(Message([], alert="hello"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert "without tokens" in caplog.text
    assert apple.connections == 0


def test_a_pooled_connection_is_used_again(apple):
    """Messages to one address with one certificate, however it was given, share a connection."""
    session = apple.session()
    certificate = apple.cert_string
    for given in (certificate, certificate.encode("ascii"), certificate):
        client = client_of(session, apple, cert_string=given)
        assert client.send(Message(TOKENS, alert="hello")).retry() is None
    await_accepted(apple, 3 * len(TOKENS))
    assert apple.connections == 1
    # Identifiers run on over the life of the connection.
    identifiers = [one.identifier for one in apple.accepted]
    assert identifiers == list(range(identifiers[0], identifiers[0] + 3 * len(TOKENS)))


def test_a_new_connection_is_closed_after_each_use(apple):
    """``new_connection`` connects for each message, and leaves nothing open."""
    session = apple.session()
    client = APNs(session.new_connection(apple.gateway_address,
                                         cert_string=apple.cert_string))
    for _ in range(2):
        assert client.send(Message(TOKENS, alert="hello")).retry() is None
        await_closed(apple)
    assert apple.connections == 2


def test_what_cannot_be_connected_raises(apple):
    """A gateway that refuses the connection makes send raise, and the client works afterwards."""
    client = client_of(apple.session(), apple)
    apple.script(Script(refuse=True))
    with pytest.raises(ConnectError):
        client.send(Message(TOKENS, alert="hello"))
    assert apple.accepted_count == 0
    assert client.send(Message(TOKENS, alert="hello")).retry() is None
    await_accepted(apple, len(TOKENS))


def test_outdate_and_shutdown_leave_a_connection_in_use_alone(apple):
    """What is being sent is not disturbed by a shutdown of the session."""
    session = apple.session()
    client = client_of(session, apple)

    def messages():
        yield Message(TOKENS[:3], alert="one")
        session.shutdown()
        yield Message(TOKENS[3:], alert="two")

    assert [result.retry() for result in client.send_many(messages())] == [None, None]
    await_accepted(apple, len(TOKENS))
    assert apple.connections == 1
    session.shutdown()
    await_closed(apple)


def test_silence_proves_nothing_as_long_as_something_has_not_arrived():
    """A message is delivered once all of it has left this machine, and the silence has passed."""
    def dawdle(peer):
        peer.stop_reading()
        yield peer.pause(10)
        peer.read_on()
        yield peer.end()

    with serve_bytes(dawdle, receive_buffer=0) as server:
        begin = server.clock.now
        result = server.client(read_tail_timeout=4).send(Message(TOKENS, alert="hello"))
        assert not result.needs_retry()
        # It is looked at now and then whether it has.
        assert 10 <= server.clock.now - begin <= 10 + BinarySender.PAUSE


def test_what_never_arrives_is_to_be_retried():
    """A connection that takes nothing more for write_timeout is given up."""
    def read_nothing(peer):
        peer.stop_reading()
        yield peer.end()

    with serve_bytes(read_nothing, receive_buffer=0) as server:
        begin = server.clock.now
        client = server.client(read_tail_timeout=4, write_timeout=16)
        result = client.send(Message(TOKENS, alert="hello"))
        took = server.clock.now - begin - CLOSE_TIMEOUT
        assert 4 + 16 <= took <= 4 + 16 + BinarySender.PAUSE
        assert result.errors == [(None, "Unknown")]
        assert result.retry().tokens == TOKENS


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can tell")
def test_what_stays_in_the_send_buffer_is_not_taken_for_delivered(new_session, monkeypatch):
    """A gateway that reads nothing, and a message that our own system has room for."""
    monkeypatch.setattr(Connection, "close_timeout", SILENCE)
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Script(stall_after=0))
        session = new_session(ca_string=gateway.ca_string, read_tail_timeout=SILENCE,
                              write_timeout=0.5)
        tokens = make_tokens(2000)
        result = client_of(session, gateway).send(Message(tokens, alert="x" * 200))
        assert result.errors == [(None, "Unknown")]
        assert result.retry().tokens == tokens


def test_a_part_of_an_error_frame_is_no_silence():
    """A gateway that began to refuse something has not accepted everything."""
    for size in (1, 5):
        def begin_to_respond(peer, size=size):
            yield peer.read()
            peer.say(b"\x08\x08\x00\x00\x00\x02"[:size])
            yield peer.end()

        with serve_bytes(begin_to_respond) as server:
            begin = server.clock.now
            result = server.client(read_tail_timeout=4).send(Message(TOKENS, alert="hello"))
            # The rest has as long to come as a whole one.
            took = server.clock.now - begin
            assert 4 + 4 <= took <= 4 + 4 + BinarySender.PAUSE
            assert (result.failed, result.errors) == ({}, [(None, "Unknown")])
            assert tokens_of(result.retry()) == TOKENS


def test_the_rest_of_an_error_frame_has_as_long_to_come_as_a_whole_one():
    """Where it comes in time it says exactly what became of the message."""
    for seconds in (1, 4, 7.5):
        def respond_slowly(peer, seconds=seconds):
            yield peer.read()
            peer.say(b"\x08\x08\x00")
            yield peer.pause(seconds)
            peer.say(b"\x00\x00\x02")
            yield peer.end()

        with serve_bytes(respond_slowly) as server:
            begin = server.clock.now
            result = server.client(read_tail_timeout=4).send(Message(TOKENS, alert="hello"))
            assert server.clock.now - begin == seconds
            assert result.failed == {TOKENS[1]: (8, "Invalid token")}
            assert tokens_of(result.retry()) == TOKENS[2:]
