"""Topics and push types, and what a program that names neither sends to a simulator of Apple."""

from __future__ import absolute_import, division, print_function

import logging
import pickle

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message
from apnsclient.topics import SUFFIXES, split_topic, topic_for, with_suffix
from net_support import make_tokens
from tables import each

APP = "com.example.app"

#: As on Apple's page.
TOPICS = [
    ("alert", APP), ("background", APP), ("mdm", APP), ("voip", APP + ".voip"),
    ("complication", APP + ".complication"), ("fileprovider", APP + ".pushkit.fileprovider"),
    ("location", APP + ".location-query"), ("pushtotalk", APP + ".voip-ptt"),
    ("liveactivity", APP + ".push-type.liveactivity"), ("widgets", APP + ".push-type.widgets"),
    ("controls", APP + ".push-type.controls"),
]
NO_SUFFIX = ("alert", "background", "mdm")


def test_the_table_has_all_push_types():
    """Those that Apple documents, each once."""
    assert set(SUFFIXES) == set(push_type for push_type, _ in TOPICS)


@each("push_type, topic", TOPICS)
def test_a_topic_is_the_bundle_identifier_and_a_suffix(push_type, topic):
    """And the way back; what has no suffix does not tell which of three it is for."""
    assert topic_for(APP, push_type) == topic
    assert split_topic(topic) == (APP, None if push_type in NO_SUFFIX else push_type)


@each("push_type, topic", TOPICS)
def test_a_suffix_is_added_to_what_has_none(push_type, topic):
    """A topic that has one says what it is for; of an unknown push type nobody knows the suffix."""
    assert with_suffix(APP, push_type) == topic == with_suffix(topic, push_type)
    assert with_suffix(APP + ".location-query", push_type) == APP + ".location-query"
    assert with_suffix(topic, "of-tomorrow") == topic


@each("topic", ["", "com.example.voipapp", ".voip", "voip", "com.example.app.VOIP", "com.voip.app"])
def test_what_looks_like_a_suffix_is_none(topic):
    """It stands at the end, in lower case, behind something."""
    assert split_topic(topic) == (topic, None)


@each("push_type", ["", "Voip", None, 5, ".voip", "x" * 1000])
def test_a_push_type_that_is_not_known_is_named(push_type):
    """With those that are; a new one of Apple's needs a topic in full."""
    with pytest.raises(ValueError, match="alert, background, .*widgets") as caught:
        topic_for(APP, push_type)
    assert len(str(caught.value)) < 500


#: Certificates by what they are called and what their subject has, a push type that is given, and
#: what is sent.
CERTIFICATES = [
    ("VoIP Services: ", APP + ".voip", None, (APP + ".voip", "voip")),
    ("VoIP Services: ", APP, None, (APP + ".voip", "voip")),
    ("Apple Push Services: ", APP, None, (APP, "alert")),
    ("Apple Push Services: ", APP, "voip", (APP + ".voip", "voip")),
    ("Apple Push Services: ", APP, "complication", (APP + ".complication", "complication")),
]


def test_any_certificate_and_one_changed_argument_deliver(simulator, session):
    """A program of the binary protocol names neither topic nor push type."""
    for name, topic, push_type, sent in CERTIFICATES:
        certificate = simulator.client_certificate(
            name + APP, topic=topic, topics=[APP, APP + ".voip", APP + ".complication"])
        client = APNs(session.get_connection(
            simulator.provider_address, cert_string=certificate))
        result = client.send(Message(make_tokens(1), alert="ring", apns_push_type=push_type))
        assert not (result.failed or result.errors or result.undelivered)
        assert [(one.topic, one.push_type, one.priority) for one in simulator.accepted] == [
            sent + (10,)]
        simulator.forget()


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_silent_pushes_make_no_warning(apple, caplog):
    """Nobody asked for the priority that Apple refuses; nor did a worker that got the message."""
    client = apple.provider_client()
    messages = [Message(make_tokens(1), content_available=1),
                Message(make_tokens(1), payload={"aps": {"content-available": 1}})]
    messages += [pickle.loads(pickle.dumps(message, 2)) for message in messages]
    with caplog.at_level(logging.DEBUG):
        for message in messages:
            assert not client.send(message).errors
    assert warnings_in(caplog) == []
    assert set((one.push_type, one.priority) for one in apple.accepted) == {("background", 5)}


def test_a_priority_that_is_not_sent_is_told_once_a_session(apple, caplog):
    """Over whichever of its handles, and however many messages have it."""
    sessions = [apple.session(protocol="http2") for _ in range(2)]
    messages = [Message([token], content_available=1, priority=10) for token in make_tokens(20)]
    with caplog.at_level(logging.DEBUG):
        for count, session in enumerate(sessions, 1):
            for _ in range(2):
                client = APNs(session.get_connection(
                    apple.provider_address, cert_string=apple.cert_string))
                client.send(messages[0])
                assert not any(result.errors for result in client.send_many(messages))
            said = warnings_in(caplog)
            assert len(said) == count and "priority 10" in said[-1]
    assert set(one.priority for one in apple.accepted) == {5}
