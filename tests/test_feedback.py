"""``APNs.feedback`` over TLS: every row, and an end to it whatever the service does."""

from __future__ import absolute_import, division, print_function

import datetime
import logging
import threading

import pytest

from apnsclient import APNs
from apnsclient.errors import ConnectError
from apnsclient.protocols.feedback import encode_feedback
from apnsclient.testing.simulator import FeedbackScript, Simulator
from net_support import (
    AUTHORITY,
    CLIENT,
    SILENCE,
    SOON,
    Server,
    make_tokens,
    over_tls,
)
from stdio_support import GONE

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(5)
#: 38 bytes each: 4 of time, 2 of length, 32 of token.
ROW = 38


@pytest.fixture
def client(simulator, new_session):
    """A client of the simulator's feedback service."""
    session = new_session(read_timeout=SOON)
    return APNs(session.new_connection(simulator.feedback_address,
                                       cert_string=simulator.cert_string))


def uninstall(simulator, tokens=TOKENS):
    """Put tokens into the feedback list, an hour apart."""
    for number, token in enumerate(tokens):
        simulator.devices.uninstall(token, 1400000000 + 3600 * number)


def as_bytes(tokens):
    """Return the tokens as the client yields them."""
    return [token.encode("ascii") for token in tokens]


def test_every_row_in_order_as_bytes_and_local_time(simulator, client):
    """Tokens are lower-case hexadecimal bytes, times naive datetimes as ``now()`` gives them."""
    uninstall(simulator)
    rows = list(client.feedback())
    assert [token for token, _ in rows] == as_bytes(TOKENS)
    assert all(type(token) is bytes for token, _ in rows)
    assert [when for _, when in rows] == [
        datetime.datetime.fromtimestamp(1400000000 + 3600 * number) for number in range(5)]


def test_the_list_is_cleared_by_reading_it(simulator, client):
    """What was read whole does not come again."""
    uninstall(simulator)
    assert len(list(client.feedback())) == 5
    assert simulator.wait_for(lambda: simulator.feedback_count == 5, SOON)
    assert list(client.feedback()) == []
    assert simulator.feedback_connections == 2


def test_the_time_is_made_by_a_method_to_be_overridden(simulator, new_session):
    """A subclass decides what a timestamp becomes."""

    class Aware(APNs):
        def _datetime_from_timestamp(self, timestamp):
            return "at %d" % timestamp

    uninstall(simulator)
    client = Aware(new_session().new_connection(simulator.feedback_address,
                                                cert_string=simulator.cert_string))
    assert [when for _, when in client.feedback()][:2] == ["at 1400000000", "at 1400003600"]


def test_what_cannot_be_connected_raises(new_session):
    """A service that is not there makes the generator raise, not end."""
    with Simulator() as gone:
        address, certificate = gone.feedback_address, gone.cert_string
        session = new_session(ca_string=gone.ca_string)
    with pytest.raises(ConnectError):
        next(APNs(session.new_connection(address, cert_string=certificate)).feedback())


def pouring(ended):
    """Return a function of a TLS connection that sends rows until the client leaves."""
    def pour(tls):
        try:
            while True:
                tls.sendall(encode_feedback(1400000000, b"\x01" * 32) * 100)
        except GONE:
            ended.set()

    return pour


def test_an_abandoned_generator_closes_its_connection(new_session):
    """A caller who stops after the first row leaves no connection behind, nor one in the pool."""
    ended = threading.Event()
    with Server(over_tls(pouring(ended))) as server:
        session = new_session(ca_string=AUTHORITY.ca_string)
        for handle in (session.new_connection, session.get_connection):
            ended.clear()
            rows = APNs(handle(server.address, cert_string=CLIENT.pem)).feedback()
            assert next(rows)[0] == b"01" * 32
            rows.close()
            assert ended.wait(SOON)
        assert len(server.accepted) == 2


def test_a_generator_that_is_dropped_closes_its_connection(new_session):
    """A ``for`` loop that is left with ``break`` is enough."""
    ended = threading.Event()
    with Server(over_tls(pouring(ended))) as server:
        session = new_session(ca_string=AUTHORITY.ca_string)
        for _ in APNs(session.new_connection(server.address, cert_string=CLIENT.pem)).feedback():
            break
        assert ended.wait(SOON)


@pytest.mark.parametrize("script, whole, words", [
    (FeedbackScript(close_after=2 * ROW + 10), 2, "10 bytes into a record"),
    (FeedbackScript(close_after=2 * ROW + 3), 2, "3 bytes into a record"),
    (FeedbackScript(reset_after=3 * ROW + 1), None, "failed"),
    (FeedbackScript(garbage=b"\0\0\0\1\0\0"), 5, "without a token"),
], ids=["cut token", "cut head", "reset", "no token"])
def test_what_was_whole_is_yielded_and_the_rest_is_logged(simulator, client, caplog, script, whole,
                                                          words):
    """A stream that fails ends the generator, without an exception, and says so in the log."""
    uninstall(simulator)
    simulator.script_feedback(script)
    with caplog.at_level(logging.WARNING):
        tokens = [token for token, _ in client.feedback()]
    if whole is not None:
        assert len(tokens) == whole
    assert tokens == as_bytes(TOKENS)[:len(tokens)]
    assert words in caplog.text
    assert TOKENS[0] not in caplog.text
    # What was not read comes the next time.
    assert set(tokens + [token for token, _ in client.feedback()]) == set(as_bytes(TOKENS))


def test_a_service_that_stalls_ends_the_generator_in_time(simulator, new_session, caplog):
    """``read_timeout`` bounds the wait for the next row."""
    uninstall(simulator)
    simulator.script_feedback(FeedbackScript(stall_after=3 * ROW))
    client = APNs(new_session(read_timeout=SILENCE).new_connection(
        simulator.feedback_address, cert_string=simulator.cert_string))
    with caplog.at_level(logging.WARNING):
        assert [token for token, _ in client.feedback()] == as_bytes(TOKENS)[:3]
    assert "failed" in caplog.text


def test_rows_of_any_size_byte_by_byte(new_session):
    """Tokens need not have 32 bytes, nor rows arrive whole."""
    tokens = [b"\x01", b"\x02" * 32, b"\x03" * 300]
    stream = b"".join(encode_feedback(1400000000, token) for token in tokens)

    def spell(tls):
        for index in range(len(stream)):
            tls.send(stream[index:index + 1])
        tls.shutdown()

    with Server(over_tls(spell)) as server:
        client = APNs(new_session(ca_string=AUTHORITY.ca_string, read_buffer_size=7).new_connection(
            server.address, cert_string=CLIENT.pem))
        assert [token for token, _ in client.feedback()] == [b"01", b"02" * 32, b"03" * 300]


def test_a_long_list_comes_whole(simulator, client):
    """Fifty thousand rows, none lost, none twice, in order."""
    tokens = make_tokens(50000)
    uninstall(simulator, tokens)
    assert [token for token, _ in client.feedback()] == as_bytes(tokens)


def test_the_connection_is_closed_before_the_end(apple):
    """Where the caller does not come to it."""
    uninstall(apple)
    session = apple.session(read_buffer_size=ROW)
    rows = APNs(session.new_connection(
        apple.feedback_address, cert_string=apple.cert_string)).feedback()
    next(rows)
    [connection] = session.pool.made
    assert not connection.closed()
    rows.close()
    assert connection.closed()
