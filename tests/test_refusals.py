"""A server that refuses every token is hardly right about all, and the caller is told so."""

from __future__ import absolute_import, division, print_function

import logging
import pickle

import pytest

pytest.importorskip("hpack")

from apnsclient import APNs, Message
from frame_peers import TOKENS

FEW, MANY = 9, 10


@pytest.fixture
def warnings(caplog):
    """A function that returns the warnings so far."""
    def texts():
        return [record.getMessage() for record in caplog.records
                if record.levelno >= logging.WARNING]

    return texts


def refuse(apple, tokens, reason="BadDeviceToken"):
    for token in tokens:
        apple.devices.bad(token, reason=reason)


def test_the_tokens_of_the_other_environment_are_nothing_to_delete(apple, warnings):
    """A thousand are refused: none is gone, and one warning says what to check."""
    refuse(apple, TOKENS[:1000])
    client = apple.provider_client()
    result = client.send(Message(TOKENS[:1000], alert="hello"))
    assert (len(result.failed), result.gone, result.errors) == (1000, {}, [])
    assert "check address and topic before you delete anything" in result.hint
    assert "refused by apple.test:443 " in result.hint
    assert warnings() == [result.hint]
    assert not any(token in result.hint for token in TOKENS)


@pytest.mark.parametrize("way", ["send", "send_many", "a new handle"])
def test_a_campaign_of_single_messages_is_warned_about_once(apple, warnings, way):
    """Each message is for one token, and each result from the tenth on has the hint."""
    refuse(apple, TOKENS[:300:2])
    refuse(apple, TOKENS[1:300:2], "DeviceTokenNotForTopic")
    session = apple.session(protocol="http2")

    def client():
        return APNs(session.get_connection(apple.provider_address, cert_string=apple.cert_string))

    messages = [Message([token], alert="hello") for token in TOKENS[:300]]
    if way == "send_many":
        results = list(client().send_many(messages))
    else:
        shared = client()
        results = [(shared if way == "send" else client()).send(message) for message in messages]
    assert [result.hint is not None for result in results] == [False] * FEW + [True] * 291
    assert warnings() == [results[FEW].hint]


def test_a_few_that_are_refused_are_nothing_to_be_warned_about(apple, warnings):
    """Least of all a single one; nor are those that cannot be sent at all."""
    refuse(apple, TOKENS[:FEW])
    client = apple.provider_client()
    assert client.send(Message(TOKENS[:1], alert="hello")).hint is None
    assert client.send(Message(TOKENS[1:FEW] + ["x"] * 50, alert="hello")).hint is None
    assert warnings() == []


def test_other_failures_say_nothing_of_address_and_topic(apple, warnings):
    """Tokens that are malformed, a server that is busy, a message that is refused."""
    for reason in ("TooManyRequests", "InternalServerError", "BadTopic", "MissingDeviceToken"):
        refuse(apple, TOKENS[:50], reason)
        assert apple.provider_client().send(Message(TOKENS[:50], alert="hello")).hint is None
    assert apple.provider_client().send(Message(["x"] * 50, alert="hello")).hint is None
    assert warnings() == []


@pytest.mark.parametrize("is_alive", [True, False])
def test_one_token_that_is_known_there_proves_the_place_right(apple, warnings, is_alive):
    """It was accepted, or has been dead since a certain time; the count starts over."""
    refuse(apple, TOKENS[:100])
    known = TOKENS[100]
    if not is_alive:
        apple.devices.uninstall(known)
    client = apple.provider_client()
    assert client.send(Message(TOKENS[:50] + [known], alert="hello")).hint is None
    for tokens in (TOKENS[:FEW], [known], TOKENS[:FEW]):
        assert client.send(Message(tokens, alert="hello")).hint is None
    assert warnings() == []
    assert client.send(Message(TOKENS[:1], alert="hello")).hint is not None
    assert client.send(Message([known], alert="hello")).hint is None


def test_tokens_without_a_response_prove_nothing(apple):
    """Neither malformed ones nor such as are to be sent again stand against the hint."""
    refuse(apple, TOKENS[:MANY])
    refuse(apple, TOKENS[MANY:20], "ServiceUnavailable")
    result = apple.provider_client().send(Message(TOKENS[:20] + ["x"], alert="hello"))
    assert result.retry().tokens == TOKENS[MANY:20]
    assert result.hint is not None


def test_each_session_counts_for_itself(apple, warnings):
    """Each of its credentials, too; it warns once for each address."""
    refuse(apple, TOKENS[:MANY])
    for _ in range(2):
        client = apple.provider_client()
        for _ in range(3):
            client.send(Message(TOKENS[:MANY], alert="hello"))
    assert len(warnings()) == 2
    session = apple.session(protocol="http2")
    certificates = [apple.cert_string, apple.client_certificate("another")]
    for number in range(2 * FEW):
        client = APNs(session.get_connection(
            apple.provider_address, cert_string=certificates[number % 2]))
        assert client.send(Message(TOKENS[:1], alert="hello", apns_topic="x.y")).hint is None
    assert len(warnings()) == 2


def test_a_hint_crosses_the_borders_of_processes(apple):
    """A result that was pickled before there were hints has none."""
    refuse(apple, TOKENS[:MANY])
    client = apple.provider_client()
    result = client.send(Message(TOKENS[:MANY], alert="hello"))
    assert pickle.loads(pickle.dumps(result)).hint == result.hint is not None
    accepted = client.send(Message(TOKENS[MANY:20], alert="hello"))
    assert "hint" not in vars(accepted)
    assert accepted.hint is None
