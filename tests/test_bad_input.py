"""What cannot be sent, loaded or understood: who is told what, and what goes on regardless."""

from __future__ import absolute_import, division, print_function

import datetime
import logging
import re
import traceback
from functools import partial

import pytest

from apnsclient import APNs, Message
from apnsclient.errors import CertificateError, CertificateRefused
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import FeedbackScript, Script, Simulator
from net_support import SILENCE, client_of, make_tokens, tokens_of
from simulated_apple import Apple
from simulated_time import serve_bytes

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(6)
TOPIC = "com.example.app"


# Tokens.

#: What is no token, and the code of the failure.
NO_TOKENS = [
    ("not hexadecimal!", 8), (b"\xff\xfe", 8), (u"\u20ac\u20ac", 8), ("abc", 8), ("", 2), (b"", 2),
    (None, 2), ("ab" * 65536, 8), (42, 8), (" " + TOKENS[0][1:], 8), (["a list"], 8),
]


def test_a_token_that_no_frame_can_carry_is_reported_and_all_others_are_sent(apple):
    """It is in failed with the gateway's code and a clear text, and costs nobody anything."""
    client = apple.client()
    for count in (6, 60):
        tokens = make_tokens(count)
        for bad, code in NO_TOKENS:
            apple.forget()
            batch = tokens[:2] + [bad] + tokens[2:] + [bad]
            result = client.send(Message(batch, alert="hello"))
            [(key, (found, text))] = result.failed.items()
            assert key == (bad if not isinstance(bad, list) else repr(bad))
            assert (bad, found) == (bad, code)
            assert re.match("(Invalid token|Missing device token): the token ", text)
            assert (result.errors, result.retry()) == ([], None)
            assert not result.needs_retry()
            assert apple.accepted_tokens() == tokens
    assert apple.connections == 1


def test_bad_tokens_of_both_kinds_are_reported_together(apple):
    """What the gateway refuses and what cannot be sent are in one result; the retry has neither."""
    apple.devices.bad(TOKENS[2])
    batch = ["zz"] + TOKENS[:4] + ["odd"] + TOKENS[4:] + [None]
    result = apple.client().send(Message(batch, alert="hello"))
    assert {key: value[0] for key, value in result.failed.items()} == {
        "zz": 8, TOKENS[2]: 8, "odd": 8, None: 2}
    assert tokens_of(result.retry()) == TOKENS[3:]
    assert apple.accepted_tokens() == TOKENS[:2]


def test_nothing_but_bad_tokens_is_an_ordinary_result(apple):
    """A message none of whose tokens can be sent waits for no response."""
    result = apple.client().send(Message(["zz", None, ""], alert="hello"))
    assert sorted(code for code, _ in result.failed.values()) == [2, 2, 8]
    assert (result.errors, result.retry()) == ([], None)
    assert apple.accepted_count == 0


def test_the_explanation_does_not_repeat_the_token(apple):
    """Neither the text nor the result's representation shows a token."""
    bad = "secret-device-token-" * 4
    result = apple.client().send(Message([bad], alert="hello"))
    assert "secret" not in result.failed[bad][1]
    assert "secret" not in repr(result) + repr(result.message)


# Timeouts.

def test_a_timeout_that_is_no_time_raises_before_anything_is_sent(apple):
    """At once: ``send_many()`` does not wait for the first result, and takes no message."""
    def messages():
        raise AssertionError("it was asked for a message")
        yield

    for given in (0, -1, -0.5, float("nan"), float("-inf"), "5", b"5", True, False, [5],
                  datetime.timedelta(5)):
        for client in (apple.client(), apple.provider_client()):
            for call in (partial(client.send, Message(TOKENS, alert="hello"), given),
                         partial(client.send_many, messages(), timeout=given)):
                with pytest.raises(ValueError) as caught:
                    call()
                assert str(caught.value) == (
                    "timeout is %r, expected seconds above 0, or None for no limit" % (given,))
    assert apple.connections == apple.provider_connections == apple.accepted_count == 0


def test_infinity_is_no_limit(apple):
    """As None is, over either protocol."""
    for client in (apple.client(), apple.provider_client(read_timeout=None)):
        result = client.send(Message(TOKENS, alert="hello", apns_topic=TOPIC), float("inf"))
        assert (result.failed, result.errors, result.retry()) == ({}, [], None)


# Payloads.

@pytest.mark.parametrize("payload, error", [
    ({"aps": {}, "when": datetime.datetime(2014, 1, 1)}, TypeError),
    ({"aps": {}, "text": "x" * 66000}, ValueError),
    (b"x" * 65536, ValueError),
], ids=["not JSON", "too large", "too large text"])
def test_a_payload_that_cannot_be_sent_raises_before_a_connection_is_opened(apple, payload, error):
    """The exception is that of JSON, or names the size; nothing is connected, nothing sent."""
    client = apple.client()
    message = Message(TOKENS, payload=payload)
    with pytest.raises(error) as caught:
        client.send(message)
    with pytest.raises(error):
        list(client.send_many([message]))
    if error is ValueError:
        size = len(message.get_json_payload())
        assert str(size) in str(caught.value)
        assert "65535" in str(caught.value)
    assert apple.connections == apple.refused == 0


def test_what_json_cannot_say_raises_before_a_connection_is_opened(apple):
    """NaN, infinity, half of a surrogate pair; over either protocol."""
    nan, infinity = float("nan"), float("inf")
    for given in ({"payload": {"aps": {"badge": nan}}}, {"badge": infinity}, {"k": [nan]},
                  {"extra": {"k": {"k": -infinity}}}, {"alert": u"half \ud83d"},
                  {"payload": u'{"aps":{"alert":"\udc00"}}'}):
        message = Message(TOKENS, apns_topic=TOPIC, **given)
        for client in (apple.client(), apple.provider_client()):
            with pytest.raises(ValueError):
                client.send(message)
            with pytest.raises(ValueError):
                list(client.send_many([message]))
    assert apple.connections == apple.refused == 0


def test_the_largest_payload_that_a_frame_carries_is_sent():
    """65 535 bytes are not too many for a frame; whether they are for the gateway, it says."""
    payload = b'{"aps":{}}' + b" " * (65535 - 10)
    with Apple(payload_size=65535) as gateway:
        assert gateway.client().send(Message(TOKENS, payload=payload)).retry() is None
        assert gateway.accepted_count == len(TOKENS)
        assert gateway.accepted[0].payload == payload


# Fields.

def test_a_value_that_does_not_fit_its_field_is_refused_at_construction():
    """The error names the field, the value and the range."""
    for field, value in [
            ("expiry", -1), ("expiry", 1 << 32), ("expiry", datetime.timedelta(days=60000)),
            ("expiry", datetime.datetime(1900, 1, 1)), ("expiry", "tomorrow"),
            ("expiry", float("nan")),
            ("priority", -1), ("priority", 256), ("priority", "high")]:
        with pytest.raises(ValueError) as caught:
            Message(TOKENS, alert="hello", **{field: value})
        text = str(caught.value)
        assert field in text
        assert "from 0 to %d" % {"expiry": 0xFFFFFFFF, "priority": 0xFF}[field] in text
        if isinstance(value, int):
            assert str(value) in text


# Certificates.

AUTHORITY = Authority()
PASSPHRASE = "correct horse battery staple"
GOOD = AUTHORITY.issue("good")
OTHER = AUTHORITY.issue("other")
LOCKED = AUTHORITY.issue("locked", passphrase=PASSPHRASE)
#: A line of each private key that must never be seen.
KEY_LINES = [line for one in (GOOD, OTHER, LOCKED) for line in one.key_string.splitlines()
             if "-----" not in line]

BAD_CERTIFICATES = {
    "garbage": (dict(cert_string="this is no certificate"), "garbage"),
    "damaged": (dict(cert_string=re.sub("\n[^-].{9}", "\nAAAAAAAAAA", GOOD.pem, count=1)),
                "garbage"),
    "no key": (dict(cert_string=GOOD.certificate_string), "no private key"),
    "wrong passphrase": (dict(cert_string=LOCKED.pem, passphrase="open sesame 1234"),
                         "wrong passphrase"),
    "key alone": (dict(cert_string=GOOD.key_string), "a private key, and no certificate; give the"),
    "no passphrase": (dict(cert_string=LOCKED.pem), "no passphrase"),
    "another key": (dict(cert_string=GOOD.certificate_string, key_string=OTHER.key_string),
                    "another certificate"),
    "garbage for a key": (dict(cert_string=GOOD.certificate_string, key_string="no key at all"),
                          "no private key"),
    "damaged key": (dict(cert_string=GOOD.certificate_string, key_string=re.sub(
        "\n[^-].{9}", "\nAAAAAAAAAA", GOOD.key_string, count=1)), "key"),
    "nothing": (dict(), "no certificate given"),
    "no such file": (dict(cert_file="/nowhere/at/all.pem"), "/nowhere/at/all.pem"),
}


@pytest.mark.parametrize("name", sorted(BAD_CERTIFICATES))
def test_a_certificate_that_cannot_be_used_says_why_and_gives_nothing_away(
        simulator, new_session, caplog, name):
    """One type of exception says which fault it is; key and passphrase are nowhere to be seen."""
    parameters, words = BAD_CERTIFICATES[name]
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(CertificateError) as caught:
            new_session().get_connection(simulator.gateway_address, **parameters)
    error = caught.value
    assert words in str(error)
    shown = "".join([str(error), repr(error), repr(error.args), caplog.text] + _chained(error)
                    + traceback.format_exception(caught.type, error, caught.tb))
    for secret in KEY_LINES + ["open sesame 1234", PASSPHRASE]:
        assert secret not in shown
    assert simulator.connections == simulator.refused == 0


def _chained(error):
    """Return the texts of the exceptions behind one (Python 3 keeps them)."""
    behind = getattr(error, "__cause__", None) or getattr(error, "__context__", None)
    return [str(behind), repr(behind)] + _chained(behind) if behind is not None else []


def test_a_session_in_use_shows_neither_key_nor_passphrase(simulator, new_session, caplog):
    """Representations of all objects, and the log at its most talkative, keep the secret."""
    locked = simulator.authority.issue("locked", passphrase=PASSPHRASE)
    session = new_session(read_tail_timeout=SILENCE)
    simulator.devices.bad(TOKENS[3])
    with caplog.at_level(logging.DEBUG):
        handle = session.get_connection(simulator.gateway_address, cert_string=locked.pem,
                                        passphrase=PASSPHRASE)
        result = APNs(handle).send(Message(TOKENS, alert="hello"))
    certificate = handle.certificate
    shown = "".join(map(repr, [session, handle, certificate, result, session.pool,
                               certificate.get_context()])) + caplog.text
    for secret in [PASSPHRASE] + [line for line in locked.key_string.splitlines()
                                  if "-----" not in line]:
        assert secret not in shown
    for token in TOKENS:
        assert token not in shown


@pytest.mark.parametrize("tls_1_3", [False, True])
def test_an_expired_certificate_loads_with_a_warning_and_the_refusal_says_why(
        new_session, caplog, tls_1_3):
    """The log names the date; when the gateway refuses the certificate, so does the exception."""
    with Simulator(tls_1_3=tls_1_3) as gateway:
        expired = gateway.client_certificate(not_after=datetime.datetime(2020, 3, 4))
        with caplog.at_level(logging.WARNING):
            client = client_of(new_session(ca_string=gateway.ca_string), gateway,
                               cert_string=expired)
        assert "expired on 2020-03-04" in caplog.text
        with pytest.raises(CertificateRefused) as caught:
            client.send(Message(TOKENS, alert="hello"))
        assert "expired on 2020-03-04" in str(caught.value)
        assert gateway.accepted_count == 0


def test_a_certificate_that_is_not_valid_yet_loads_with_a_warning(simulator, new_session, caplog):
    """The log names the date from which on it is valid, and so does the refusal."""
    begin = datetime.datetime(2090, 5, 17)
    early = simulator.client_certificate(not_before=begin)
    with caplog.at_level(logging.WARNING):
        client = client_of(new_session(), simulator, cert_string=early)
    assert "not valid before 2090-05-17" in caplog.text
    with pytest.raises(CertificateRefused, match="not valid before 2090-05-17"):
        client.send(Message(TOKENS, alert="hello"))
    assert simulator.accepted_count == 0


def test_a_certificate_of_another_authority_is_refused(simulator, new_session):
    """A gateway that does not know who issued our certificate refuses it, and send raises."""
    client = client_of(new_session(), simulator,
                       cert_string=simulator.client_certificate(foreign=True))
    with pytest.raises(CertificateRefused):
        client.send(Message(TOKENS, alert="hello"))
    assert simulator.accepted_count == 0


# Frames and records.

NONSENSE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00", b"\x09\x08\x00\x00\x00\x01",
    # An identifier that was never sent, and frames that are cut.
    b"\x08\x08\xff\xff\xff\xff", b"\x08\x08\x00", b"\x08", b"\x07" * 100000,
]


@pytest.mark.parametrize("after", [0, 3])
def test_a_frame_that_the_protocol_does_not_know_leaves_the_outcome_unknown(apple, after):
    """The connection is closed, all is in the retry, and the next message goes its way."""
    client = apple.client()
    for garbage in NONSENSE:
        apple.forget()
        apple.script(Script(garbage_after=after, garbage=garbage))
        begin = apple.clock.now
        result = client.send(Message(TOKENS, alert="hello"))
        assert apple.clock.now == begin
        assert (garbage, result.failed, result.errors) == (garbage, {}, [(None, "Unknown")])
        assert tokens_of(result.retry()) == TOKENS
        assert apple.open_connections == 0
        assert client.send(result.retry()).retry() is None
        assert apple.accepted_tokens() == TOKENS[:after] + TOKENS
        assert apple.disconnect_all() == 1


def test_a_gateway_that_sends_nonsense_and_stays_is_left():
    """The connection is closed by us, at once, where the gateway does not close it."""
    def babble(peer):
        yield peer.read()
        peer.say(b"\x42" * 6)
        yield peer.end()

    with serve_bytes(babble) as server:
        begin = server.clock.now
        result = server.client().send(Message(TOKENS, alert="hello"))
        assert server.clock.now == begin
        assert (result.failed, result.errors) == ({}, [(None, "Unknown")])
        assert tokens_of(result.retry()) == TOKENS
        assert server.accepted[0].has_left


@pytest.mark.parametrize("script, words", [
    (FeedbackScript(garbage=b"\x53\x2c\x00\x00\x00\x00"), "without a token"),
    (FeedbackScript(close_after=6 * 38 - 1), "37 bytes into a record"),
    (FeedbackScript(close_after=5 * 38 + 1), "1 bytes into a record"),
], ids=["length 0", "cut before its end", "cut at its start"])
def test_a_feedback_record_that_is_none_ends_the_generator(
        apple, caplog, script, words):
    """What was whole is yielded, the rest is logged, the generator ends."""
    for token in TOKENS:
        apple.devices.uninstall(token, 1400000000)
    apple.script_feedback(script)
    client = APNs(apple.session().new_connection(
        apple.feedback_address, cert_string=apple.cert_string))
    with caplog.at_level(logging.WARNING):
        tokens = [token.decode("ascii") for token, _ in client.feedback()]
    assert tokens == (TOKENS if script.garbage else TOKENS[:5])
    assert words in caplog.text
