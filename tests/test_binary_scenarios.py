"""What a client does when a gateway goes wrong, one scenario each over the model of a gateway."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.apns import APNs, Message
from apnsclient.errors import CertificateRefused
from apnsclient.transport import Session
from gateway_model import (
    AHEAD,
    REFUSE,
    SHUTDOWN,
    Gateway,
    Scenario,
    Script,
    message,
    numbered,
    text_of,
)

BAD_FIRST = Script(verdict=REFUSE, after=0, shuts_writing=True)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("last", [[], [None], ["zz"]])
def test_a_last_message_with_nothing_to_send_does_not_hold_up_those_before_it(last):
    """The wait for silence is for the last message that was written, not for the last one."""
    scenario = Scenario([])
    scenario.send_many([message(2), Message(last, alert="x")])
    assert scenario.finish().gateway.accepted() == numbered(2)
    assert not any(one.result.needs_retry() for one in scenario.claims)


def test_what_is_sent_again_is_sent_again_once():
    """Connections that end one after the other do not multiply the messages that still wait."""
    scenario = Scenario([BAD_FIRST._replace(shuts_writing=False, hold=6)] + [BAD_FIRST] * 4)
    scenario.send_many([message(2, first=10 * index) for index in range(8)])
    accepted = scenario.finish().gateway.accepted()
    assert len(accepted) == len(set(accepted))
    assert len(scenario.gateway.connections) == 6


def test_an_error_frame_is_taken_although_the_first_write_to_a_reused_connection_failed():
    """A connection that told why it ended was not stale; its message does not start over."""
    frame = len(next(message(1).batch(1))[1])
    script = Script(verdict=REFUSE, after=2, write_limit=4 * frame)
    scenario = Scenario([script], can_detect_close=False)
    scenario.send(message(1))
    scenario.send(message(5, first=10))
    assert list(scenario.claims[1].result.failed) == numbered(1, first=11)
    assert scenario.claims[1].result.retry().tokens == numbered(3, first=12)
    assert scenario.finish().gateway.accepted() == numbered(1) + numbered(1, first=10)


@pytest.mark.parametrize("can_detect_close", [False, True])
def test_a_failure_in_the_midst_of_use_is_not_staleness(can_detect_close):
    """A connection that has just carried a message was not stale: the next one is not repeated."""
    frame = len(next(message(1).batch(1))[1])
    scenario = Scenario([Script(write_limit=3 * frame)], can_detect_close)
    scenario.send_many([message(1), message(4, first=10)])
    assert [one.result.errors for one in scenario.claims] == [[(None, "Unknown")]] * 2
    assert scenario.claims[1].result.retry().tokens == numbered(4, first=10)
    assert len(scenario.finish().gateway.connections) == 1


@pytest.mark.parametrize("status", [1, 8, 10, 255])
@pytest.mark.parametrize("buffer_size", [1, 100])
def test_an_error_frame_that_runs_ahead_of_the_writing_proves_nothing(status, buffer_size):
    """An identifier that was not sent yet is one that the protocol does not know."""
    scenario = Scenario([Script(verdict=AHEAD, after=1, status=status, shuts_writing=True)],
                        buffer_size=buffer_size)
    tokens = numbered(6)
    scenario.send(Message(tokens, alert="x"))
    assert scenario.claims[0].result.errors == [(None, "Unknown")]
    assert scenario.claims[0].result.retry().tokens == tokens
    assert not scenario.claims[0].result.failed
    scenario.finish()


def test_a_reconnect_that_fails_does_not_swallow_the_results_of_what_was_written():
    """Every message that was written before an exception has got its result."""
    frame = len(next(message(1).batch(1))[1])
    scenario = Scenario([Script(write_limit=3 * frame), Script(refuses_connection=True)],
                        can_detect_close=False)
    scenario.send_many([message(1), message(4, first=10)])
    assert scenario.claims[0].result.errors == [(None, "Unknown")]
    scenario.finish()


@pytest.mark.parametrize("use_cache", [False, True])
@pytest.mark.parametrize("idle", ["peek", "write"])
def test_a_stale_connection_is_replaced_and_the_message_sent_again(idle, use_cache):
    """Where the back-end cannot detect a close, the first failure of a reused connection counts."""
    scenario = Scenario([Script(idle=idle), Script(), Script()], can_detect_close=False,
                        use_cache_for_reconnects=use_cache)
    scenario.send(message(1))
    scenario.send(message(2, first=10))
    assert not scenario.claims[1].result.needs_retry()
    accepted = scenario.finish().gateway.connections[1].accepted
    assert [text_of(token) for token in accepted] == numbered(2, first=10)


@pytest.mark.parametrize("idle", ["closed", "peek"])
def test_a_connection_that_was_hung_up_while_idle_is_noticed_before_the_first_write(idle):
    """Where the back-end can detect a close, nothing is written and nothing is left to retry."""
    scenario = Scenario([Script(idle=idle)])
    scenario.send(message(1))
    scenario.send(message(2, first=10))
    assert not scenario.claims[1].result.errors and not scenario.claims[1].result.needs_retry()
    first, second = scenario.finish().gateway.connections
    assert first.writes == 1
    assert [text_of(token) for token in second.accepted] == numbered(2, first=10)


def test_a_stale_connection_without_a_replacement_raises():
    """Nothing was sent, and there is no connection: that is the caller's to know."""
    scenario = Scenario([Script(idle="write"), Script(refuses_connection=True)],
                        can_detect_close=False)
    scenario.send(message(1))
    scenario.send(message(2, first=10))
    assert scenario.claims[1].is_raised
    scenario.finish()


def test_without_reconnects_from_the_pool_a_stale_connection_is_replaced_by_a_new_one():
    """Two dead connections in the pool: either both are tried, or one only."""
    for use_cache in (True, False):
        scenario = Scenario([Script(idle="write"), Script(idle="write")], can_detect_close=False,
                            use_cache_for_reconnects=use_cache)

        class Messages(list):
            """One message, and then another one of another caller."""

            send = scenario.send

            def __iter__(self):
                yield self[0]
                # This goes over a second connection, while the first is in use.
                self.send(message(1, first=10))

        scenario.send_many(Messages([message(1)]))
        scenario.send(message(1, first=20))
        connections = scenario.gateway.connections
        assert len(connections) == 3
        assert connections[1].is_closed == use_cache
        assert [text_of(token) for token in connections[2].accepted] == numbered(1, first=20)
        scenario.finish()


def test_a_late_frame_is_attributed_to_the_message_it_belongs_to():
    """The earlier message gets a late result, the current one goes out over a fresh connection."""
    scenario = Scenario([Script(verdict=REFUSE, after=1, hold=2)])
    scenario.send(message(3))
    scenario.send(message(2, first=10))
    early, current = scenario.claims
    assert not early.result.needs_retry() and len(early.late) == 1
    assert list(early.late[0].failed) == numbered(1, first=1)
    assert early.late[0].retry().tokens == numbered(1, first=2)
    assert not current.result.needs_retry() and not current.result.failed
    assert scenario.finish().gateway.accepted() == numbered(1) + numbered(2, first=10)


@pytest.mark.parametrize("tokens", [numbered(2), numbered(1) + [None]])
def test_a_shutdown_that_names_the_last_token_makes_no_late_result(tokens):
    """Everything was delivered; there is nothing to tell."""
    count = len([token for token in tokens if token])
    scenario = Scenario([Script(verdict=SHUTDOWN, after=count, hold=2)])
    scenario.send(Message(tokens, alert="x"))
    scenario.send(message(1, first=10))
    assert scenario.claims[0].late == []
    assert not scenario.claims[1].result.needs_retry()
    scenario.finish()


def test_a_shutdown_before_anything_was_accepted_leaves_all_to_the_caller():
    """Nothing was processed; the next connection would fare no better, and is not tried."""
    scenario = Scenario([Script(verdict=SHUTDOWN, after=0)])
    scenario.send(message(3))
    assert scenario.claims[0].result.retry().tokens == numbered(3)
    assert not scenario.claims[0].result.errors and not scenario.claims[0].result.failed
    assert len(scenario.finish().gateway.connections) == 1


class RefusesCertificate(Gateway):
    """A gateway that refuses the certificate only when something is done with the connection."""

    can_detect_close = True
    refuses_in = "read"

    def get_new_connection(self, address, certificate, timeout=None):
        connection = super(RefusesCertificate, self).get_new_connection(
            address, certificate, timeout)

        def refuse(*_):
            raise CertificateRefused("by script")

        setattr(connection, self.refuses_in, refuse)
        return connection


@pytest.mark.parametrize("call", ["read", "write"])
def test_a_certificate_that_is_refused_late_raises_as_if_connecting_had_failed(call):
    """TLS 1.3 tells it with the first read; nothing was processed, there is no result."""
    gateway = RefusesCertificate([])
    gateway.refuses_in = call
    session = Session(gateway, read_tail_timeout=3)
    connection = session.get_connection(("gateway", 1), cert_string="x")
    with pytest.raises(CertificateRefused):
        APNs(connection).send(message(2))
    results = APNs(connection).send_many([message(2), message(2, first=10)])
    with pytest.raises(CertificateRefused):
        list(results)
    assert all(one.is_closed for one in gateway.connections)


def test_an_exception_of_the_iterable_comes_after_the_results_of_what_was_sent():
    """Each message that was taken has its result; the connection goes back to the pool."""
    def messages():
        yield message(1)
        yield message(1, first=10)
        raise KeyError("of the caller")

    scenario = Scenario([])
    results = []
    with pytest.raises(KeyError):
        for result in scenario.apns.send_many(messages()):
            results.append(result)
    assert len(results) == 2 and not any(one.needs_retry() for one in results)
    scenario.session.shutdown()
    assert scenario.gateway.connections[0].is_closed


def test_a_generator_that_is_abandoned_gives_its_connection_back():
    """What the gateway says later of the messages without result is a late result."""
    late = []
    gateway = Gateway([Script(verdict=REFUSE, after=1, hold=2)])
    session = Session(gateway, read_tail_timeout=3, on_late_result=late.append)
    apns = APNs(session.get_connection(("gateway", 1), cert_string="x"))

    results = apns.send_many(message(2, first=10 * index) for index in range(3))
    # Nothing is taken before the first result is asked for.
    assert gateway.attempts == 0
    next(results)
    results.close()
    session.shutdown()
    assert gateway.connections[0].is_closed


def test_a_message_that_cannot_be_encoded_opens_no_connection():
    """The error comes first, from send() and from send_many()."""
    scenario = Scenario([])
    for bad, error in ((Message("00", payload="x" * 65536), ValueError),
                       (Message("00", alert=object()), TypeError)):
        with pytest.raises(error):
            scenario.apns.send(bad)
        with pytest.raises(error):
            list(scenario.apns.send_many([bad]))
    assert scenario.gateway.attempts == 0


def test_late_results_without_a_listener_are_counted_in_a_warning(caplog):
    """The log tells how many tokens of how many messages, and no token."""
    gateway = Gateway([Script(verdict=REFUSE, after=1, hold=2)])
    session = Session(gateway, read_tail_timeout=3)
    apns = APNs(session.get_connection(("gateway", 1), cert_string="x"))
    apns.send(message(4))
    apns.send(message(1, first=10))
    assert "3 tokens of 1 messages" in caplog.text
    assert "00000001" not in caplog.text


def test_a_listener_that_raises_does_not_disturb_the_sending(caplog):
    """Its exception is logged; the current message and further late results go on."""
    def listener(result):
        raise KeyError("of the listener")

    gateway = Gateway([Script(verdict=REFUSE, after=1, hold=2)])
    session = Session(gateway, read_tail_timeout=3, on_late_result=listener)
    apns = APNs(session.get_connection(("gateway", 1), cert_string="x"))
    apns.send(message(4))
    assert not apns.send(message(1, first=10)).needs_retry()
    assert "of the listener" in caplog.text


def test_a_back_end_that_raises_what_is_no_failure_of_a_connection_is_heard():
    """What was written is unknown, and the connection is not used any more."""
    scenario = Scenario([])
    scenario.send(message(1))
    [connection] = scenario.gateway.connections

    def fail():
        raise KeyError("of the back-end")

    connection.unacknowledged = fail
    results = scenario.apns.send_many([message(2, first=10), message(1, first=20)])
    assert [next(results).unknown for _ in range(2)] == [numbered(2, 10), numbered(1, 20)]
    with pytest.raises(KeyError):
        next(results)
    assert connection.is_closed
    scenario.send(message(1, first=30))
    assert not scenario.claims[-1].result.needs_retry()
