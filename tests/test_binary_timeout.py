"""``timeout`` over the binary protocol: the whole call ends by then, with ordinary results."""

from __future__ import absolute_import, division, print_function

import pytest

import simulated_time
from apnsclient import Message
from apnsclient.errors import CertificateRefused, ConnectError, ConnectTimeout
from apnsclient.testing.simulator import Script
from net_support import await_accepted, await_held, make_tokens, tokens_of
from simulated_time import serve_bytes

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(6)


def handle_of(apple, **options):
    """Return a handle to the gateway, and its session."""
    session = apple.session(**options)
    return session, session.get_connection(apple.gateway_address, cert_string=apple.cert_string)


def send(handle, tokens, timeout, **options):
    """Return the result of one message."""
    [result] = handle.send_many([Message(tokens, alert="hello", **options)], timeout)
    return result


def outcome(result):
    return result.errors, result.unknown, tokens_of(result.retry())


UNKNOWN = [(None, "Unknown")]


def test_what_was_written_and_not_confirmed_is_unknown(apple):
    """Silence was not long enough to mean success."""
    _, handle = handle_of(apple, read_tail_timeout=64)
    begin = apple.clock.now
    assert outcome(send(handle, TOKENS, 16)) == (UNKNOWN, TOKENS, TOKENS)
    assert apple.clock.now - begin == 16
    # The connection is as good as before.
    assert outcome(send(handle, TOKENS, None)) == ([], [], [])
    assert apple.connections == 1


def test_time_enough_changes_nothing(apple):
    """The call ends as soon as it would without."""
    _, handle = handle_of(apple, read_tail_timeout=64)
    begin = apple.clock.now
    for timeout in (64, 65, 1e9):
        assert outcome(send(handle, TOKENS, timeout)) == ([], [], [])
    assert apple.clock.now - begin == 3 * 64


def test_an_error_frame_in_time_counts(apple):
    """It says exactly what became of each token."""
    _, handle = handle_of(apple, read_tail_timeout=64)
    apple.devices.bad(TOKENS[2])
    result = send(handle, TOKENS, 0.001)
    assert list(result.failed) == [TOKENS[2]]
    assert outcome(result) == ([], [], TOKENS[3:])


def test_connecting_counts(apple):
    """Nothing was sent, and there is a result all the same; nothing is unknown."""
    _, handle = handle_of(apple, connect_timeout=64)
    begin = apple.clock.now
    for connect_timeout in (64, None):
        handle.session.connect_timeout = connect_timeout
        apple.script(Script(stall_handshake=True))
        assert outcome(send(handle, TOKENS, 16)) == ([], [], TOKENS)
    assert apple.clock.now - begin == 32


def test_a_failure_to_connect_is_raised_as_ever(apple):
    """It is no lack of time."""
    _, handle = handle_of(apple, connect_timeout=4)
    apple.script(Script(stall_handshake=True), Script(refuse=True))
    for error in (ConnectTimeout, ConnectError):
        with pytest.raises(error):
            send(handle, TOKENS, 16)


def test_a_certificate_that_is_refused_late_is_raised_as_ever():
    """Nothing was processed."""
    def refuse(peer):
        yield peer.read()
        peer.alert()

    with serve_bytes(refuse) as server:
        handle = server.session().get_connection(server.address, cert_string="any")
        with pytest.raises(CertificateRefused):
            send(handle, TOKENS, 16)


def test_what_was_not_written_is_not_unknown():
    """A gateway that reads no more: part of the message is known to be on this machine alone."""
    def take_some(peer):
        yield peer.read()
        peer.stop_reading()
        yield peer.end()

    with serve_bytes(take_some, receive_buffer=4096) as server:
        handle = server.session(write_timeout=64).get_connection(
            server.address, cert_string="any")
        tokens, begin = make_tokens(8000), server.clock.now
        errors, unknown, retry = outcome(send(handle, tokens, 16))
        # There is no time to close the connection in good order.
        assert server.clock.now - begin == 16
        assert (errors, retry) == (UNKNOWN, tokens)
        assert unknown == tokens[:len(unknown)] and 1000 < len(unknown) < 7000
        assert handle.session.pool.made[0].closed()


def test_a_write_that_failed_is_not_asked_after_for_longer():
    """The gateway may tell why, until the time is up."""
    def hang_up(peer):
        yield peer.read()
        peer._channel.is_gone = True
        yield peer.pause(1000)

    with serve_bytes(hang_up) as server:
        handle = server.session(read_tail_timeout=64).get_connection(
            server.address, cert_string="any")
        tokens, begin = make_tokens(2000), server.clock.now
        assert outcome(send(handle, tokens, 16))[0] == UNKNOWN
        assert server.clock.now - begin == 16


class SlowWrites(simulated_time.Connection):
    """A connection over which each write takes two seconds."""

    def write(self, data, timeout):
        super(SlowWrites, self).write(data, timeout)
        self._clock.advance(2)


def test_a_message_that_takes_many_writes_ends_between_two_of_them(apple):
    """The connection stays usable, as all that was begun is written."""
    session, handle = handle_of(apple, write_buffer_size=1, read_tail_timeout=64)
    session.pool.connection_class = SlowWrites
    tokens, begin = make_tokens(30), apple.clock.now
    assert outcome(send(handle, tokens, 16)) == (UNKNOWN, tokens[:8], tokens)
    assert apple.clock.now - begin == 16
    assert outcome(send(handle, tokens[:1], None)) == ([], [], [])
    assert apple.connections == 1


def test_an_error_frame_that_came_by_the_end_of_the_time_counts(apple):
    """What has arrived is read first."""
    session, handle = handle_of(apple, write_buffer_size=1, read_tail_timeout=64)
    session.pool.connection_class = SlowWrites
    apple.devices.bad(TOKENS[2])
    result = send(handle, TOKENS, 8)
    assert list(result.failed) == [TOKENS[2]]
    assert outcome(result) == ([], [], TOKENS[3:])


def test_a_failure_to_connect_that_took_all_the_time_is_raised(apple, monkeypatch):
    """It would have failed with more time as well."""
    session, handle = handle_of(apple)

    def refuse(*arguments):
        apple.clock.advance(20)
        raise ConnectError("refused")

    monkeypatch.setattr(session.pool, "get_new_connection", refuse)
    with pytest.raises(ConnectError, match="refused"):
        send(handle, TOKENS, 16)


@pytest.mark.parametrize("kind", [list, iter], ids=["list", "iterator"])
def test_each_message_has_its_result(apple, kind):
    """Those that the time was not enough for are the caller's to send again."""
    _, handle = handle_of(apple, read_tail_timeout=64)
    messages = [Message(TOKENS[number:number + 1], alert="hello") for number in range(6)]

    class Slow(list):
        def __iter__(self):
            for number, message in enumerate(messages):
                apple.clock.advance(8 if number else 0)
                yield message

    begin = apple.clock.now
    results = list(handle.send_many(kind(Slow(messages)) if kind is iter else Slow(messages), 20))
    assert apple.clock.now - begin == 40
    assert [result.message for result in results] == messages
    assert [tokens_of(result.retry()) for result in results] == [TOKENS[n:n + 1] for n in range(6)]
    written = apple.accepted_count
    assert written == (3 if kind is iter else 0)
    assert [result.unknown for result in results] == [
        TOKENS[n:n + 1] if n < written else [] for n in range(6)]


def test_the_time_counts_from_the_first_result(apple):
    """Nothing is done before that is asked for."""
    _, handle = handle_of(apple, read_tail_timeout=64)
    results = handle.send_many([Message(TOKENS, alert="hello")], 100)
    apple.clock.advance(90)
    assert outcome(next(results)) == ([], [], [])


def test_what_has_been_told_to_be_unknown_is_not_told_late(apple):
    """A late result is for what passed for delivered."""
    late = []
    session, handle = handle_of(apple, read_tail_timeout=4, on_late_result=late.append)
    apple.script(Script(status_at={9: 8}, hold=True))
    first = send(handle, TOKENS, None)
    assert outcome(send(handle, TOKENS, 2)) == (UNKNOWN, TOKENS, TOKENS)
    assert outcome(first) == ([], [], [])
    await_held(apple)
    apple.release_held()
    assert outcome(send(handle, TOKENS, None)) == ([], [], [])
    session.shutdown()
    assert late == []
    await_accepted(apple, 8 + 6)


def test_what_was_given_up_and_never_yielded_is_told_once(apple):
    """The generator was closed before the result of the second message: it is unknown like the
    first, and an error frame that comes later finds that it has been told of.
    """
    late = []
    session, handle = handle_of(apple, read_tail_timeout=4, on_late_result=late.append)
    apple.script(Script(status_at={2: 8}, hold=True))
    results = handle.send_many([Message(token, alert="hello") for token in TOKENS[:4]], 2)
    assert outcome(next(results)) == (UNKNOWN, TOKENS[:1], TOKENS[:1])
    results.close()
    await_held(apple)
    apple.release_held()
    session.shutdown()
    assert [outcome(result) for result in late] == [
        (UNKNOWN, [token], [token]) for token in TOKENS[1:4]]
