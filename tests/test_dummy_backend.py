"""The back-end without a network responds by its script."""

from __future__ import absolute_import, division, print_function

import datetime
import hashlib
import logging

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.backends.dummy import Backend, Certificate
from apnsclient.errors import ConnectionLost, Timeout

TOKENS = ["%064x" % index for index in range(3)]


def session_for(**options):
    backend = Backend(**options)
    return backend, Session(backend)


def apns_of(session, cert_string="x"):
    return APNs(session.get_connection("push_sandbox", cert_string=cert_string))


@pytest.mark.parametrize("options", [{}, {"push": [None], "feedback": 1}])
def test_exactly_one_script_is_needed(options):
    """Push or feedback."""
    with pytest.raises(ValueError, match="exactly one"):
        Backend(**options)


def test_silence_is_success_and_the_connection_is_kept():
    """The counters are where the documents say."""
    backend, session = session_for(push=[None])
    assert (backend.new_connections, backend.push_result_pos) == (0, -1)
    for _ in range(3):
        result = apns_of(session).send(Message(TOKENS))
        assert not (result.failed or result.errors or result.needs_retry())
    assert (backend.new_connections, backend.push_result_pos) == (1, 0)


def test_each_new_connection_responds_by_its_entry():
    """A code is the status of the first token of the message; behind the list there is silence."""
    backend, session = session_for(push=[8, 3, 10, 1, None])
    apns = apns_of(session)
    result = apns.send(Message(TOKENS))
    assert result.failed == {TOKENS[0]: (8, "Invalid token")}
    assert result.retry().tokens == TOKENS[1:]
    assert apns.send(Message(TOKENS)).errors == [(3, "Missing topic")]
    assert apns.send(Message(TOKENS)).retry().tokens == TOKENS[1:]
    assert apns.send(Message(TOKENS)).retry().tokens == TOKENS
    assert not apns.send(Message(TOKENS)).needs_retry()
    assert (backend.new_connections, backend.push_result_pos) == (5, 4)
    session.shutdown()
    assert not apns.send(Message(TOKENS)).needs_retry()
    assert (backend.new_connections, backend.push_result_pos) == (6, 5)


def test_a_test_may_set_the_position_for_pooled_connections():
    """A pooled connection responds by where the position stands now."""
    backend, session = session_for(push=[None, 8])
    apns = apns_of(session)
    assert not apns.send(Message(TOKENS)).failed
    backend.push_result_pos = 1
    assert apns.send(Message(TOKENS)).failed == {TOKENS[0]: (8, "Invalid token")}
    assert backend.new_connections == 1


def test_the_error_frame_names_the_first_token_of_a_message_in_many_chunks():
    """Whatever the write buffer."""
    for size in (1, 100, 100000):
        session = Session(Backend(push=[8]), write_buffer_size=size)
        result = apns_of(session).send(Message(TOKENS))
        assert list(result.failed) == TOKENS[:1]
        assert result.retry().tokens == TOKENS[1:]


def test_a_pool_of_size_0_opens_a_connection_each_time():
    """Options of the base class pass through."""
    backend, session = session_for(push=[], pool_size=0)
    for _ in range(3):
        apns_of(session).send(Message(TOKENS))
    assert backend.new_connections == 3


def test_as_a_module_name():
    """The class is called Backend."""
    session = Session("apnsclient.backends.dummy", push=[8], pool_size=1)
    assert apns_of(session).send(Message(TOKENS)).failed


@pytest.mark.parametrize("count", [0, 1, 20])
def test_feedback_has_that_many_rows(count):
    """Each connection has them again; tokens are hexadecimal bytes, times datetimes."""
    backend, session = session_for(feedback=count)
    apns = APNs(session.new_connection("feedback_sandbox", cert_string="x"))
    for number in (1, 2):
        rows = list(apns.feedback())
        assert len(rows) == count == len(set(token for token, _ in rows))
        for token, when in rows:
            assert len(token) == 64 and isinstance(token, bytes) and token == token.lower()
            assert isinstance(when, datetime.datetime)
        assert backend.new_connections == number


def test_the_hook_for_feedback_times_can_be_overridden():
    """It gets seconds since 1970."""
    class Raw(APNs):
        def _datetime_from_timestamp(self, timestamp):
            return timestamp

    session = Session(Backend(feedback=2))
    times = [when for _, when in Raw(session.new_connection(cert_string="x")).feedback()]
    assert times == [1400000000, 1400003600]


def test_an_abandoned_feedback_generator_closes_its_connection():
    """Also where the caller has taken nothing but the first row."""
    opened = []

    class Watched(Backend):
        def get_new_connection(self, *arguments, **options):
            opened.append(super(Watched, self).get_new_connection(*arguments, **options))
            return opened[-1]

    session = Session(Watched(feedback=1000), read_buffer_size=100)
    rows = APNs(session.new_connection(cert_string="x")).feedback()
    assert opened == []
    next(rows)
    assert not opened[0].closed()
    rows.close()
    assert opened[0].closed()


@pytest.mark.parametrize("tokens", [[], ()])
def test_a_message_without_tokens_is_not_sent(tokens, caplog):
    """A result with nothing in it, and a warning."""
    backend, session = session_for(push=[8])
    with caplog.at_level(logging.WARNING):
        result = apns_of(session).send(Message(tokens))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert "without tokens" in caplog.text
    assert backend.new_connections == 0


def test_bad_tokens_fail_and_the_others_are_sent():
    """With the code that the gateway would give; the batch goes on."""
    _, session = session_for(push=[None])
    result = apns_of(session).send(Message(
        [TOKENS[0], "zz", TOKENS[1], None, "", "abc", "00" * 65536, TOKENS[2]]))
    assert dict((token, code) for token, (code, _) in result.failed.items()) == {
        "zz": 8, None: 2, "": 2, "abc": 8, "00" * 65536: 8}
    assert not result.needs_retry() and not result.errors


def test_a_connection_keeps_the_contract():
    """Peek tells nothing yet from the end; what comes after close fails."""
    backend = Backend(push=[8])
    connection = backend.get_new_connection(("h", 1), backend.get_certificate({}), 5)
    assert connection.peek(10) is None
    with pytest.raises(Timeout):
        connection.read(10, 0.1)
    connection.write(next(Message(TOKENS).batch(1))[1], 1)
    assert not connection.closed()
    assert connection.peek(2) == b"\x08\x08"
    assert connection.read(100, 1) == b"\0\0\0\0"
    assert connection.closed()
    assert connection.peek(10) == b""
    assert connection.read(10, 1) is None
    connection.close()
    connection.close()
    with pytest.raises(ConnectionLost):
        connection.write(b"x", 1)
    feedback = Backend(feedback=1).get_new_connection(("h", 1), backend.get_certificate({}))
    feedback.reset()
    assert feedback.read(10, 1) is None


def test_certificates_compare_by_their_text():
    """As str or bytes; a file is not opened, its name stands for its content."""
    backend = Backend(push=[])
    assert backend.get_certificate({"cert_string": "a"}) == Certificate(cert_string=b"a")
    assert Certificate(cert_file="a") != Certificate(cert_file="b")
    assert Certificate() == Certificate(key_string="x", passphrase="y")


def test_equality_by_digest_or_by_the_whole_dump():
    """``equality_check`` names the digest; None compares everything; the two are not equal."""
    class Whole(Certificate):
        equality_check = None

    class Sha256(Certificate):
        equality_check = "sha256"

    same = [kind(cert_string="a") for kind in (Certificate, Whole, Sha256) for _ in range(2)]
    for first, second in zip(same[::2], same[1::2]):
        assert first == second and hash(first) == hash(second) and not first != second
    assert same[0] != same[2] and same[2] != same[4] and same[0] != same[4]
    assert same[0] != "a"
    assert same[2]._BaseCertificate__identity == b"a"
    assert same[4]._BaseCertificate__identity == hashlib.sha256(b"a").digest()
    assert same[0].get_context() is None
    assert "a" == Certificate(cert_string="a").dump_certificate(b"a").decode("ascii")
