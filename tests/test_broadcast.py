"""Channels are managed and broadcast to, over real TLS, against the simulator."""

from __future__ import absolute_import, division, print_function

import copy
import json
import pickle

import pytest

from apnsclient import Message, ProviderToken, Session
from apnsclient.broadcast import Broadcast, Channel, Channels
from apnsclient.errors import ConnectError, ConnectionLost, ProtocolError, RequestRejected
from apnsclient.testing.simulator import ProviderScript, Simulator

APP = "com.example.dinner"


@pytest.fixture(scope="module")
def simulator():
    """A simulator for all tests of the module; each uses channels of its own."""
    with Simulator() as running:
        yield running


@pytest.fixture
def session(simulator):
    """A session that trusts the simulator; its connections are closed after the test."""
    session = Session(protocol="http2", ca_string=simulator.ca_string, read_timeout=20)
    yield session
    session.shutdown()


@pytest.fixture(params=["token", "certificate"])
def credential(request, simulator):
    """Arguments of a connection, for either kind of credential."""
    if request.param == "token":
        return {"certificate": ProviderToken(**simulator.token_parameters)}
    return {"cert_string": simulator.client_certificate(topic=APP)}


@pytest.fixture
def channels(simulator, session, credential):
    """The channels of the application; those that are left are deleted after the test."""
    channels = Channels(session.get_connection(simulator.channels_address, **credential), APP)
    yield channels
    for channel_id in channels.list():
        channels.delete(channel_id)


@pytest.fixture
def broadcast(simulator, session, credential):
    """What sends to the channels of the application."""
    return Broadcast(session.get_connection(simulator.provider_address, **credential), APP)


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_channel_is_created_read_listed_and_deleted(channels, is_stored):
    """The four requests of the management, one after the other."""
    channel_id = channels.create(is_stored)

    assert channels.read(channel_id) == Channel(channel_id, is_stored, "LiveActivity")
    assert channels.list() == [channel_id]
    channels.delete(channel_id)
    assert channels.list() == []


def test_there_may_be_more_channels_than_one_window_of_their_names(channels, simulator):
    """A long list takes several frames, and the windows that they use up are given back."""
    made = sorted(simulator.channels.create(APP) for _ in range(4000))

    for _ in range(2):
        assert sorted(channels.list()) == made
    for channel_id in made:
        simulator.channels.delete(APP, channel_id)


def test_a_broadcast_reaches_the_channel(simulator, channels, broadcast):
    """Header and payload are those of the message."""
    channel_id = channels.create()
    simulator.forget()

    request_id = broadcast.send(channel_id, Message(
        [], payload={"aps": {"event": "update"}}, expiry=0, priority=5,
        apns_id="8b2d9c1e-0000-4000-8000-00000000abcd"))

    assert request_id.lower() == "8b2d9c1e-0000-4000-8000-00000000abcd"
    [accepted] = simulator.accepted
    headers = dict(accepted.headers)
    assert accepted.payload == b'{"aps":{"event":"update"}}'
    assert (accepted.expiry, accepted.priority, accepted.push_type) == (0, 5, "liveactivity")
    assert channel_id in [value for value in headers.values()]


def test_a_channel_that_there_is_not(channels, broadcast):
    """The error has Apple's status and reason."""
    for attempt in (lambda: channels.read("AAAAAAAAAAAAAAAAAAAAAA=="),
                    lambda: broadcast.send("AAAAAAAAAAAAAAAAAAAAAA==", Message([], expiry=0))):
        with pytest.raises(RequestRejected) as caught:
            attempt()
        assert caught.value.status == 400
        assert caught.value.reason == "ChannelNotRegistered"
        assert "ChannelNotRegistered" in str(caught.value)


def new_expiry(broadcast, simulator, channel, message):
    simulator.forget()
    broadcast.send(channel, message)
    accepted, = simulator.accepted
    return accepted.expiry


@pytest.mark.parametrize("is_stored", [False, True])
def test_the_defaults_are_broadcast_to_either_kind_of_channel(
        channels, broadcast, simulator, is_stored):
    """A channel that stores nothing takes expiration 0 alone."""
    channel_id = channels.create(is_stored) if is_stored else channels.create()
    channel = channels.read(channel_id)
    message = Message([], payload={"aps": {"event": "update", "content-state": {}}})

    assert new_expiry(broadcast, simulator, channel_id, message) == 0
    assert new_expiry(broadcast, simulator, channel, message) == message.expiry * is_stored
    # A message that comes out of a queue was given no more than before.
    for other in (Message(**json.loads(json.dumps(message.__getstate__()))), copy.copy(message),
                  pickle.loads(pickle.dumps(message, 2))):
        assert new_expiry(broadcast, simulator, channel_id, other) == 0
        assert new_expiry(broadcast, simulator, channel, other) == other.expiry * is_stored
    if is_stored:
        # What was given is sent, whoever gave it.
        given = Message([], payload=message.payload, expiry=message.expiry)
        for other in (given, Message(**given.__getstate__())):
            assert new_expiry(broadcast, simulator, channel_id, other) == message.expiry
        message.expiry += 1
        assert new_expiry(broadcast, simulator, channel_id, message) == message.expiry


@pytest.mark.parametrize("reason, remedy", [
    ("BadExpirationDate", "but 0"), ("ChannelNotRegistered", "other environment"),
    ("FeatureNotEnabled", "developer account"), ("CannotCreateChannelConfig", "10 000"),
    ("MissingChannelId", "create"), ("BadChannelId", "create"), ("BadRequestParams", "bundle"),
    ("BadRequestPayload", "payload"), ("PayloadEmpty", "payload"), ("BadMessageId", "UUID"),
    ("MissingPushType", "Live Activities"), ("InvalidPushType", "Live Activities"),
    ("TopicDisallowed", "suffix"), ("BadPriority", "10"), ("TopicMismatch", "certificate"),
    ("BadPath", "hosts of their own"), ("PayloadTooLarge", "5120")])
def test_a_rejection_says_what_to_do(reason, remedy):
    """For each reason that Apple has for channels, and that of a request at the wrong address."""
    class Refusing(object):
        def request(self, method, path, fields, content):
            return _response(400, b'{"reason":"%s"}' % reason.encode("ascii"))

    with pytest.raises(RequestRejected, match="%s; .*%s" % (reason, remedy)):
        Channels(Refusing(), APP).list()


@pytest.mark.parametrize("name, field", [
    ("expiry", "expiry"), ("priority", "priority"), ("apns_id", "apns-request-id"),
    ("apns_push_type", "apns-push-type")])
def test_what_was_set_later_is_checked_before_it_is_broadcast(broadcast, name, field):
    """Nothing is sent."""
    message = Message([], expiry=0)
    setattr(message, name, "0\r\nevil: 1")
    with pytest.raises(ValueError, match=field):
        broadcast.send("AAAA", message)


def test_an_expired_provider_token_is_made_anew_once(simulator, session):
    """The first rejection is not the caller's business, the second is."""
    token = ProviderToken(**simulator.token_parameters)
    broadcast = Broadcast(session.get_connection(simulator.provider_address, certificate=token),
                          APP)
    channel_id = simulator.channels.create(APP)
    expired = ProviderScript(response_at={1: "ExpiredProviderToken"})
    session.shutdown()
    simulator.script_provider(expired)

    broadcast.send(channel_id, Message([], expiry=0))

    session.shutdown()
    simulator.script_provider(expired, expired)
    with pytest.raises(RequestRejected) as caught:
        broadcast.send(channel_id, Message([], expiry=0))
    assert caught.value.reason == "ExpiredProviderToken"
    simulator.channels.delete(APP, channel_id)


def test_what_another_connection_cures_is_asked_once_more(simulator, session):
    """A key that is not related to the first one, or a server in front that processed nothing."""
    broadcast = Broadcast(session.get_connection(
        simulator.provider_address, certificate=ProviderToken(**simulator.token_parameters)), APP)
    channel_id = simulator.channels.create(APP)
    for response in "UnrelatedKeyIdInToken", (421, None):
        session.shutdown()
        simulator.script_provider(ProviderScript(response_at={1: response}))
        broadcast.send(channel_id, Message([], expiry=0))
    session.shutdown()
    simulator.script_provider(*[ProviderScript(response_at={1: (421, None)})] * 2)
    with pytest.raises(RequestRejected) as caught:
        broadcast.send(channel_id, Message([], expiry=0))
    assert caught.value.status == 421
    broadcast.send(channel_id, Message([], expiry=0))
    simulator.channels.delete(APP, channel_id)


def test_a_connection_that_ends_without_a_response(simulator, session):
    """Nobody knows what became of the request, and the error says so."""
    broadcast = Broadcast(session.get_connection(
        simulator.provider_address, certificate=ProviderToken(**simulator.token_parameters)), APP)
    session.shutdown()
    simulator.script_provider(ProviderScript(close_after=1, late=1))

    with pytest.raises(ConnectionLost, match="no response"):
        broadcast.send(simulator.channels.create(APP), Message([], expiry=0))


def test_no_connection_at_all(session):
    """What the back-end raises passes."""
    with Simulator() as stopped:
        address, credential = stopped.channels_address, stopped.token_parameters
    with pytest.raises(ConnectError):
        Channels(session.get_connection(address, **credential), APP).list()


def test_channels_need_http2(simulator):
    """The binary protocol knows none."""
    connection = Session(ca_string=simulator.ca_string).get_connection(
        simulator.gateway_address, cert_string=simulator.cert_string)
    with pytest.raises(TypeError, match="http2"):
        Channels(connection, APP)


def test_a_message_for_tokens_is_no_broadcast(broadcast):
    """Its tokens would get nothing, and nobody would notice."""
    with pytest.raises(ValueError, match="2 tokens"):
        broadcast.send("AAAAAAAAAAAAAAAAAAAAAA==", Message(["aa", "bb"], alert="hi"))


def test_representations_say_whose_channels_they_are(channels, broadcast):
    """They may go into a log."""
    assert repr(channels).startswith("<Channels of com.example.dinner, <Connection to 127.0.0.1:")
    assert repr(broadcast).startswith("<Broadcast of com.example.dinner, <Connection to 127.0.0.1:")


@pytest.mark.parametrize("channel_id", ["", "a\r\nb: c", u"\xe9", " a"])
def test_what_cannot_stand_in_a_header_is_refused(channels, channel_id):
    """Before anything is sent."""
    with pytest.raises(ValueError, match="apns-channel-id"):
        channels.read(channel_id)


def test_an_application_is_quoted_in_the_path(simulator, session):
    """No bundle identifier leads to another path."""
    seen = []

    class Recording(object):
        def request(self, method, path, fields, body):
            seen.append(path)
            raise ConnectionLost("enough")

    with pytest.raises(ConnectionLost):
        Channels(Recording(), "com.example/../other?x").list()
    assert seen == [b"/1/apps/com.example%2F..%2Fother%3Fx/all-channels"]


@pytest.mark.parametrize("body", [
    b"", b"[]", b"{", b"{}", b'{"channels": 1}', b"[" * 200000],
    ids=["nothing", "list", "cut off", "no channels", "number", "deep"])
def test_a_response_that_cannot_be_understood(body):
    """It raises an exception of ours, whatever it is."""
    class Nonsense(object):
        def request(self, method, path, fields, content):
            return _response(200, body)

    with pytest.raises(ProtocolError):
        Channels(Nonsense(), APP).list()


def test_a_server_may_use_any_characters():
    """In names and values of the header, and in the names of channels."""
    class Strange(object):
        def request(self, method, path, fields, content):
            response = _response(200 if method == b"GET" else 201,
                           u'{"channels": ["\xe9", 7]}'.encode("utf-8"))
            return response._replace(block=response.block + [
                (b"\xff\xfe", b"\xff"), (b"apns-channel-id", b"\xe9")])

    channels = Channels(Strange(), APP)
    assert len(channels.create()) in (1, 2)
    assert len(channels.list()) == 2


def test_a_new_channel_without_a_name():
    """A response without the identifier of the channel is an error."""
    class Nameless(object):
        def request(self, method, path, fields, content):
            return _response(201, b"")

    with pytest.raises(ProtocolError):
        Channels(Nameless(), APP).create()


def _response(status, body):
    from apnsclient.protocols.http2.events import Response

    return Response(None, 1, status, [(b":status", b"%d" % status)], body)
