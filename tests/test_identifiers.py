"""Identifiers of notifications: those that a message gives, and those that Apple responds with."""

from __future__ import absolute_import, division, print_function

import json
import logging
import pickle
import uuid

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message
from apnsclient.outcomes import RequestOutcomes
from apnsclient.testing.simulator import ProviderScript, Simulator
from net_support import make_tokens
from simulated_apple import Apple
from tables import each

TOKENS = make_tokens(300)
NAMESPACE = uuid.UUID("eabeae54-14a8-11e5-b60b-1697f925ec7b")


def identifier_of(token):
    """Return what a token gets, by another way."""
    return str(uuid.uuid5(NAMESPACE, str(token.lower())))


def client_of(apple, **options):
    return APNs(apple.session(protocol="http2", **options).get_connection(
        apple.provider_address, cert_string=apple.cert_string))


def recorded(apple):
    """Return ``{token: apns-id}`` of what the simulator accepted, each token once."""
    found = dict((one.token, one.apns_id) for one in apple.accepted)
    assert len(found) == apple.accepted_count
    return found


# Those of a message.


@pytest.mark.parametrize("namespace", [NAMESPACE, str(NAMESPACE), str(NAMESPACE).upper()])
def test_each_token_has_an_identifier_of_its_own(apple, namespace):
    """It follows from namespace and token, whichever letters the token has."""
    tokens = TOKENS + ["AB" * 32, "cd" * 10]
    message = Message(tokens, alert="x", apns_id_namespace=namespace)
    assert not client_of(apple).send(message).errors
    found = recorded(apple)
    assert len(found) == len(tokens) == len(set(found.values()))
    assert found == dict((token.lower(), identifier_of(token)) for token in tokens)


def test_messages_to_one_token_each_have_them_too(apple):
    """Those with a namespace beside those without, and of every size."""
    messages = [Message([token], alert="x" * (number * 50 % 4000),
                        apns_id_namespace=NAMESPACE if number % 3 else None)
                for number, token in enumerate(TOKENS)]
    assert not any(result.errors for result in client_of(apple).send_many(messages))
    found = recorded(apple)
    for number, token in enumerate(TOKENS):
        assert (found[token] == identifier_of(token)) == bool(number % 3)
        assert number % 3 or found[token] is None


def test_what_is_sent_again_has_the_same_identifier(apple):
    """By the session, by the caller, and by another process that got the state."""
    client = client_of(apple)
    apple.script_provider(ProviderScript(
        goaway_after=50, response_at={7: "TooManyRequests", 9: "InternalServerError"}))
    retry = client.send(Message(TOKENS, alert="x", apns_id_namespace=NAMESPACE)).retry()
    assert retry.tokens == [TOKENS[6], TOKENS[8]]
    for other in (Message(**json.loads(json.dumps(retry.__getstate__()))),
                  pickle.loads(pickle.dumps(retry, 2))):
        assert other.apns_id_namespace == str(NAMESPACE)
    assert not client.send(other).errors
    assert recorded(apple) == dict((token, identifier_of(token)) for token in TOKENS)


@each("namespace", ["", "x", 5, [], b"\xff", "eabeae54-14a8-11e5-b60b", object()])
def test_what_is_no_uuid_is_refused(namespace):
    """At once, and where it is used."""
    with pytest.raises(ValueError, match="apns_id_namespace"):
        Message(TOKENS, apns_id_namespace=namespace)
    message = Message(TOKENS)
    message.apns_id_namespace = namespace
    with pytest.raises(ValueError, match="apns_id_namespace"):
        message.request_template()


def test_an_identifier_and_a_namespace_exclude_each_other():
    """Nobody could say which of them counts."""
    with pytest.raises(ValueError, match="one of the two"):
        Message(TOKENS[0], apns_id=NAMESPACE, apns_id_namespace=NAMESPACE)
    message = Message(TOKENS[0], apns_id_namespace=NAMESPACE)
    message.apns_id = "x"
    with pytest.raises(ValueError, match="one of the two"):
        message.request_template()


def test_one_identifier_for_several_tokens_is_warned_of_once(apple, caplog):
    """It is sent all the same."""
    client = client_of(apple)
    with caplog.at_level(logging.WARNING):
        for message in [Message(TOKENS[:1], apns_id=NAMESPACE),
                        Message(TOKENS[:3], apns_id_namespace=NAMESPACE)]:
            client.send(message)
        assert caplog.records == []
        for _ in range(3):
            client.send(Message(TOKENS[:3], apns_id=NAMESPACE))
    assert ["apns_id_namespace" in record.getMessage() for record in caplog.records] == [True]
    assert [one.apns_id for one in apple.accepted][-9:] == [str(NAMESPACE)] * 9


# Those that come back.


@pytest.mark.parametrize("upper_case", [False, True])
@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
def test_results_have_the_identifiers_of_what_was_accepted(apple, is_many, upper_case):
    """In lower case; nothing of what was not accepted is there."""
    client = client_of(apple, keep_ids=True)
    apple.script_provider(ProviderScript(upper_case_ids=upper_case, response_at={
        3: "BadDeviceToken", 5: "TooManyRequests"}, reset_at={8: 7}), None)
    messages = [Message(tokens, alert="x", apns_id_namespace=NAMESPACE)
                for tokens in ([[token] for token in TOKENS] if is_many else [TOKENS])]
    results = list(client.send_many(messages))
    found, unique = {}, {}
    for result in results:
        found.update(result.apns_ids)
        unique.update(result.apns_unique_ids)
        assert result.apns_ids is not result.apns_ids
    expected = recorded(apple)
    assert len(expected) == len(TOKENS) - 2
    assert set(found) == set(unique) == set(expected)
    assert all(found[token] == identifier.lower() for token, identifier in expected.items())
    assert len(set(unique.values())) == len(unique) and not set(unique.values()) & set(
        found.values())
    assert all(type(value) is str for value in list(found.values()) + list(unique.values()))


def test_nothing_is_kept_unless_it_is_asked_for(apple):
    """Also where a session that keeps them has used the same connection before."""
    keeping, other = (apple.session(protocol="http2", **options)
                      for options in ({"keep_ids": True}, {}))
    other.pool = keeping.pool
    for session, count in [(keeping, 5), (other, 0), (keeping, 5)]:
        client = APNs(session.get_connection(
            apple.provider_address, cert_string=apple.cert_string))
        result = client.send(Message(TOKENS[:5], alert="x"))
        assert (len(result.apns_ids), len(result.apns_unique_ids)) == (count, count)
        assert (result._outcomes._accepted is None) == (count == 0)
    assert apple.provider_connections == 1


def test_production_gives_no_identifier_for_the_delivery_log():
    """There is none for what is delivered to everybody."""
    with Apple(production=True) as apple:
        result = client_of(apple, keep_ids=True).send(Message(TOKENS[:2], alert="x"))
        assert sorted(result.apns_ids) == TOKENS[:2]
        assert result.apns_unique_ids == {}


def test_the_binary_protocol_has_no_identifiers(apple):
    """The gateway does not respond to what it accepts."""
    client = APNs(apple.session(keep_ids=True).get_connection(
        apple.gateway_address, cert_string=apple.cert_string))
    result = client.send(Message(TOKENS[:2], alert="x"))
    assert (result.apns_ids, result.apns_unique_ids) == ({}, {})


def test_the_identifiers_cross_the_borders_of_processes(apple):
    """A result that is pickled has them, and no header blocks."""
    result = client_of(apple, keep_ids=True).send(
        Message(TOKENS[:3], alert="x", apns_id_namespace=NAMESPACE))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(result, protocol))
        assert other.apns_ids == result.apns_ids == recorded(apple)
        assert other.apns_unique_ids == result.apns_unique_ids
    assert all(isinstance(kept, tuple) for kept in other._outcomes._accepted.values())


def test_a_response_that_cannot_be_decoded_has_no_identifier():
    """The notification was accepted all the same."""
    outcomes = RequestOutcomes()
    for index, block in enumerate([b"\x88", b"\x88\xff\xff\xff\xff\xff", b"\x88\xbf", []]):
        outcomes.add_accepted(index, block)
    assert list(outcomes.identifiers()) == [(index, (None, None)) for index in range(4)]


def test_they_are_kept_over_tls_too(http2_sessions):
    """By a simulator in a thread, before and after the server has acknowledged our settings."""
    with Simulator() as simulator:
        session = http2_sessions(ca_string=simulator.ca_string, keep_ids=True)
        client = APNs(session.get_connection(
            simulator.provider_address, cert_string=simulator.cert_string))
        found = {}
        for start in range(0, 300, 100):
            found.update(client.send(Message(
                TOKENS[start:start + 100], alert="x", apns_id_namespace=NAMESPACE)).apns_ids)
        assert found == recorded(simulator)
