"""Channels are managed and broadcast to from an event loop, against the simulator."""

import asyncio
import datetime
import time
import uuid

import pytest

from apnsclient import ProviderToken, _channels
from apnsclient.aio import config, errors
from apnsclient.aio.api import create_client
from apnsclient.aio.broadcast import Channel, Channels
from apnsclient.aio.connection import Request
from apnsclient.aio.models import LiveActivity, Notification, PushType, RawNotification
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

APP = "com.example.dinner"
UPDATE = LiveActivity.update({"table": 4}, timestamp=1700000000)
NOWHERE = "AAAAAAAAAAAAAAAAAAAAAA=="


def connect(apple, address=None, credential=None, **options):
    """Return a client for the simulator, to be entered."""
    return create_client(credential or ProviderToken(**apple.token_parameters),
                         address or apple.provider_address, ca_string=apple.ca_string,
                         feedback_store=MemoryStore(), **dict({"timeout": 30}, **options))


def manage(apple, **options):
    """Return a client for the management of channels."""
    return connect(apple, apple.channels_address, **options)


async def expiration_of(client, apple, channel, notification=UPDATE, **options):
    """Return the expiration that a broadcast arrives with."""
    apple.forget()
    await client.broadcast(APP, channel, notification, **options)
    push, = apple.accepted
    return push.expiry


async def in_thread(function, *arguments):
    """Call what waits for the simulator's thread."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


# Management.


async def test_a_channel_is_created_read_listed_and_deleted(apple):
    """With either kind of credential; another application has channels of its own."""
    for credential in (None, apple.client_certificate(topic=APP)):
        async with manage(apple, credential=credential) as client:
            channels = Channels(client, APP)
            for is_stored in (False, True):
                channel_id = await channels.create(is_stored)

                assert await channels.read(channel_id) == Channel(
                    channel_id, is_stored, "LiveActivity")
                assert await channels.list() == [channel_id] == apple.channels.ids(APP)
                assert await channels.delete(channel_id) is None
                assert await channels.list() == []
            assert client.pool.completed == 10
            assert repr(channels).startswith("<apnsclient.aio.broadcast.Channels of " + APP)


async def test_there_may_be_more_channels_than_one_window_of_their_names(apple):
    """A long list takes several frames, and the windows that they use up are given back."""
    made = sorted(apple.channels.create(APP) for _ in range(4000))
    async with manage(apple) as client:
        for _ in range(2):
            assert sorted(await Channels(client, APP).list()) == made


async def test_requests_share_a_connection(apple):
    """Also those of several applications, and each gets its own response."""
    apps = ["com.example.app%d" % number for number in range(50)]
    async with manage(apple, pool_size=1) as client:
        made = await asyncio.gather(*[Channels(client, app).create() for app in apps])
        found = await asyncio.gather(*[Channels(client, app).list() for app in apps])

    assert found == [[channel_id] for channel_id in made]
    assert apple.channel_connections == 1


async def test_what_cannot_stand_in_a_header_is_refused(apple):
    """Before anything is sent."""
    async with manage(apple) as client:
        for channel_id in ("", "a\r\nb: c", "\xe9", " a"):
            for method in (Channels(client, APP).read, Channels(client, APP).delete):
                with pytest.raises(ValueError, match="apns-channel-id"):
                    await method(channel_id)
        assert client.pool.completed == client.pool.errors == 0


async def test_an_application_is_quoted_in_the_path(apple):
    """No bundle identifier leads to another path."""
    async with manage(apple) as client:
        with pytest.raises(errors.BadPath):
            await Channels(client, "com.example/../other?x").list()
    assert apple.errors[-1].path == "/1/apps/com.example%2F..%2Fother%3Fx/all-channels"


async def test_a_response_that_cannot_be_understood(apple):
    """It raises an exception of ours, whatever it is."""
    bodies = [b"", b"[]", b"{", b"{}", b'{"channels": 1}', b"[" * 200000, b"\xff"]
    for body in bodies:
        with pytest.raises(ValueError):
            _channels.to_list(APP).read({}, body)
    async with manage(apple) as client:
        # Apple responds with 200 where a channel is deleted that there is: a body without a name.
        for request in (_channels.to_list(APP), _channels.to_create(APP, False)):
            wrong = request._replace(method="GET", path="/1/apps/%s/channels" % APP, fields=[
                ("apns-channel-id", apple.channels.create(APP))])
            apart = _Apart(client, wrong)
            with pytest.raises(errors.FormatError) as caught:
                await apart.list()
            assert caught.value.kind is errors.Kind.unknown


class _Apart(Channels):
    """Sends another request in place of each."""

    def __init__(self, client, request):
        super().__init__(client, APP)
        self._request = request

    async def list(self):
        return await self._ask(self._request)


# Broadcasts.


async def test_a_broadcast_reaches_the_channel(apple):
    """Header and payload are those of the notification."""
    channel_id = apple.channels.create(APP)
    given = "8B2D9C1E-0000-4000-8000-00000000ABCD"
    async with connect(apple) as client:
        assert await client.broadcast(APP, channel_id, UPDATE, priority=5,
                                      apns_id=given) == given.lower()
        assert uuid.UUID(await client.broadcast(APP, channel_id, UPDATE.get_dict()))

    first, second = apple.accepted
    assert first.payload == second.payload == UPDATE.encode()
    assert (first.token, first.expiry, first.priority, first.push_type) == (
        "", 0, 5, "liveactivity")
    assert (second.expiry, second.priority, second.push_type) == (0, 10, "liveactivity")
    assert first.headers["apns-channel-id"] == channel_id
    assert first.headers["apns-request-id"] == given
    assert first.headers[":path"] == "/4/broadcasts/apps/" + APP
    assert "apns-topic" not in first.headers


async def test_the_notification_says_what_is_not_given(apple):
    """Priority and expiration; what is given counts more."""
    channel_id = apple.channels.create(APP, 1)
    update = LiveActivity.update({}, priority=5, expiration=1700000000)
    async with connect(apple) as client:
        await client.broadcast(APP, channel_id, update)
        await client.broadcast(APP, channel_id, update, priority=10, expiration=0)
        await client.broadcast(APP, channel_id, RawNotification(
            {"aps": {}}, PushType.liveactivity, priority=1))

    assert [(push.priority, push.expiry) for push in apple.accepted] == [
        (5, 1700000000), (10, 0), (1, 0)]


async def test_the_default_expiration_suits_the_channel(apple):
    """A channel that stores nothing takes 0 alone; an identifier does not say what it stores."""
    async with connect(apple) as client, manage(apple) as manager:
        channels = Channels(manager, APP)
        for is_stored in (False, True):
            channel = await channels.read(await channels.create(is_stored))
            assert await expiration_of(client, apple, channel.channel_id) == 0
            before = time.time()
            found = await expiration_of(client, apple, channel)
            assert found == 0 if not is_stored else 28799 <= found - before <= 28800 + 120
        # It is the one that stores.
        moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
        for given, seconds in ((1893456000, 1893456000), (moment, 1893456000), (0, 0)):
            assert await expiration_of(client, apple, channel, expiration=given) == seconds
        later = await expiration_of(client, apple, channel.channel_id,
                                    expiration=datetime.timedelta(hours=1))
        assert later > before + 3000


async def test_a_channel_that_stores_nothing_takes_no_other_expiration(apple):
    """What was given is sent, and the error says what to do."""
    async with connect(apple) as client:
        with pytest.raises(errors.BadExpirationDate, match="stores nothing.* but 0"):
            await client.broadcast(APP, apple.channels.create(APP), UPDATE, expiration=1900000000)


async def test_a_payload_has_5120_bytes_at_most(apple):
    """1024 more than one to a device, and it is seen before anything is sent."""
    channel_id = apple.channels.create(APP)
    size = len(LiveActivity.update({"text": ""}, timestamp=1).encode())
    full = LiveActivity.update({"text": "x" * (5120 - size)}, timestamp=1)
    more = LiveActivity.update({"text": "x" * (5121 - size)}, timestamp=1)
    async with connect(apple) as client:
        await client.broadcast(APP, channel_id, full)
        for content in (more, more.get_dict()):
            with pytest.raises(ValueError, match="5121 bytes, Apple takes 5120"):
                await client.broadcast(APP, channel_id, content)
        assert client.pool.completed == 1


async def test_what_cannot_be_broadcast_is_refused(apple):
    """Before anything is sent."""
    async with connect(apple) as client:
        for content in (Notification("Hello"), RawNotification({"aps": {"alert": "Hello"}})):
            with pytest.raises(ValueError, match="push type of the notification is alert"):
                await client.broadcast(APP, NOWHERE, content)
        for options, field in (({"expiration": -1}, "expiration"), ({"priority": 256}, "priority"),
                               ({"apns_id": "0\r\nevil: 1"}, "apns-request-id")):
            with pytest.raises(ValueError, match=field):
                await client.broadcast(APP, NOWHERE, UPDATE, **options)
        with pytest.raises(ValueError, match="apns-channel-id"):
            await client.broadcast(APP, "", UPDATE)
        assert client.pool.completed == client.pool.errors == 0
        assert apple.error_count == 0


# Failures.


REASONS = [
    ("BadChannelId", 400), ("BadExpirationDate", 400), ("BadMessageId", 400), ("BadPriority", 400),
    ("BadRequestParams", 400), ("BadRequestPayload", 400), ("CannotCreateChannelConfig", 400),
    ("ChannelNotRegistered", 400), ("FeatureNotEnabled", 400), ("InvalidPushType", 400),
    ("MissingChannelId", 400), ("MissingPushType", 400), ("PayloadEmpty", 400),
    ("PayloadTooLarge", 413), ("TopicDisallowed", 400), ("TopicMismatch", 403), ("BadPath", 404),
    ("MethodNotAllowed", 405), ("InternalServerError", 500), ("TooManyRequests", 429),
    ("Newest", 400)]


async def test_each_reason_has_its_class(apple):
    """And the text says what to do about it where channels are concerned."""
    script = ProviderScript(response_at={
        number: (status, reason) for number, (reason, status) in enumerate(REASONS, 1)})
    apple.script_provider(script)
    apple.script_channels(script)
    async with connect(apple) as client, manage(apple) as manager:
        for ask in (lambda: client.broadcast(APP, NOWHERE, UPDATE),
                    lambda: Channels(manager, APP).list()):
            for reason, status in REASONS:
                with pytest.raises(errors.ResponseError) as caught:
                    await ask()
                error = caught.value
                assert type(error) is errors.CODES.get(reason, errors.UnknownResponseError)
                assert (error.reason, error.status, error.is_gone) == (reason, status, False)
                assert error.kind == ("unprocessed" if status in (429, 500) else "rejected")
                assert str(error).startswith(reason + ": ")
                if reason in _channels.REMEDIES:
                    assert str(error) == reason + ": " + _channels.REMEDIES[reason]
        assert not client.closing, "it was about one application"
    assert {reason for reason, _ in REASONS} >= set(_channels.REMEDIES)


async def test_the_error_has_the_identifier_of_the_request(apple):
    """In lower case."""
    async with connect(apple) as client:
        with pytest.raises(errors.ChannelNotRegistered) as caught:
            await client.broadcast(APP, NOWHERE, UPDATE,
                                   apns_id="8B2D9C1E-0000-4000-8000-00000000ABCD")
        assert caught.value.apns_id == "8b2d9c1e-0000-4000-8000-00000000abcd"


async def test_a_wrong_host_says_so(apple):
    """Channels are not managed where notifications are sent to, and the other way round."""
    async with connect(apple) as client, manage(apple) as manager:
        with pytest.raises(errors.BadPath, match="hosts of their own"):
            await Channels(client, APP).list()
        with pytest.raises(errors.BadPath, match="hosts of their own"):
            await manager.broadcast(APP, NOWHERE, UPDATE)


async def test_an_expired_provider_token_is_made_anew_once(apple):
    """The first rejection is not the caller's business, the second is, and ends the client."""
    expired = ProviderScript(response_at={1: "ExpiredProviderToken"})
    channel_id = apple.channels.create(APP)
    apple.script_provider(expired)
    async with connect(apple, pool_size=1) as client:
        await client.broadcast(APP, channel_id, UPDATE)
    apple.script_provider(expired, expired)
    async with connect(apple, pool_size=1) as client:
        for _ in range(2):
            with pytest.raises(errors.ExpiredProviderToken):
                await client.broadcast(APP, channel_id, UPDATE)
        assert client.closing


async def test_what_another_connection_cures_is_asked_once_more(apple):
    """A server in front that processed nothing."""
    apple.script_channels(*[ProviderScript(response_at={1: (421, None)})] * 2)
    async with manage(apple, pool_size=1) as client:
        channels = Channels(client, APP)
        with pytest.raises(errors.ResponseError) as caught:
            await channels.list()
        assert (caught.value.status, caught.value.kind) == (421, "unprocessed")
        assert await channels.list() == []
    assert apple.channel_connections == 2


async def test_a_refused_request_is_sent_again(apple):
    """Whatever its method: the server says that it was not processed."""
    apple.script_channels(ProviderScript(reset_at={1: 7, 3: 7, 5: 7}))
    async with manage(apple) as client:
        channels = Channels(client, APP)
        channel_id = await channels.create()
        assert await channels.list() == [channel_id]
        await channels.delete(channel_id)
    assert apple.channels.ids(APP) == []


async def test_servers_that_process_nothing_are_left_behind(apple):
    """The request waits for one that does, however many it takes."""
    refusing = ProviderScript(reset_at={number: 7 for number in range(1, 200)})
    apple.script_channels(*[refusing] * 4)
    async with manage(apple, pool_size=1) as client:
        assert await Channels(client, APP, timeout=50).list() == []
        assert client.pool.pending == 0


async def test_a_request_without_a_response_is_not_sent_again(apple):
    """Nobody knows what became of it: the channel was created, and another one would be too many.
    """
    apple.script_channels(ProviderScript(close_after=1, late=1))
    async with manage(apple) as client:
        channels = Channels(client, APP)
        with pytest.raises(errors.Closed) as caught:
            await channels.create()
        assert caught.value.kind is errors.Kind.unknown
        assert len(await channels.list()) == 1


async def test_time_is_bounded(apple):
    """That of each request, and the broadcast's is the client's, or its own."""
    channel, kinds = apple.channels.create(APP), []
    for limit in (0.05, 1, 5):
        apple.script_channels(ProviderScript(hold=True))
        apple.script_provider(ProviderScript(hold=True))
        async with manage(apple) as manager, connect(apple, timeout=limit) as client:
            for ask in (lambda: Channels(manager, APP, timeout=limit).list(),
                        lambda: client.broadcast(APP, channel, UPDATE),
                        lambda: client.broadcast(
                            APP, channel, UPDATE, timeout=None,
                            deadline=asyncio.get_running_loop().time() + limit)):
                with pytest.raises(asyncio.TimeoutError) as caught:
                    await ask()
                assert type(caught.value) is errors.Timeout
                kinds.append(caught.value.kind)
            apple.release_held()
        # With less time a slow machine may not have written the request.
        if kinds[-3:] == [errors.Kind.unknown] * 3:
            break
    else:
        pytest.fail("%s" % kinds)


async def test_a_caller_who_leaves_strands_nobody(apple, caplog):
    """Of requests that are in flight, and of those that have not been written."""
    apple.script_channels(ProviderScript(hold=True, settings={"max_concurrent_streams": 20}))
    async with manage(apple, credential=apple.cert_string, pool_size=1) as client:
        channels = Channels(client, APP)
        tasks = [asyncio.ensure_future(channels.list()) for _ in range(20)]
        await in_thread(apple.wait_for, lambda: apple.held == 20, 30)
        late = asyncio.ensure_future(channels.list())
        await asyncio.sleep(0)
        for task in [late] + tasks[::2]:
            task.cancel()
        await asyncio.wait([late] + tasks[::2])
        apple.release_held()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in found] == [asyncio.CancelledError, list] * 10
        assert late.cancelled() and client.pool.pending == 0
    assert caplog.text.count("its outcome is unknown") == 10


async def test_a_closed_client_sends_nothing(apple):
    """The error is the same as for a notification."""
    async with manage(apple) as client:
        channels = Channels(client, APP)
    for ask in (channels.list(), client.broadcast(APP, NOWHERE, UPDATE)):
        with pytest.raises(errors.Closed) as caught:
            await ask
        assert caught.value.kind is errors.Kind.unprocessed


# Requests of one's own.


async def test_a_pool_sends_any_request(apple):
    """With another method, to another path, with or without a body."""
    path = "/1/apps/%s/channels" % APP
    async with manage(apple) as client:
        made = await client.pool.post(Request.new(path, None, {
            "push-type": "LiveActivity", "message-storage-policy": 1}))
        assert made.code == 201
        named = {"apns-channel-id": made.header["apns-channel-id"]}
        read = await client.pool.post(Request.new(path, named, b"", method="GET"))
        assert (read.code, read.data["message-storage-policy"], read.reason) == (200, 1, None)
        gone = await client.pool.post(Request.new(path, named, b"", method="DELETE"))
        assert (gone.code, gone.data) == (204, None)
        missing = await client.pool.post(Request.new(path, named, b"", method="GET"))
        assert (missing.code, missing.reason) == (400, "ChannelNotRegistered")
        refused = await client.pool.post(Request.new(path, named, b"", method="PUT"))
        assert (refused.code, refused.reason) == (405, "MethodNotAllowed")


async def test_broadcasts_and_notifications_go_side_by_side(apple):
    """Over one connection, and none is lost between the others."""
    channel_id, token = apple.channels.create(APP), "ab" * 32
    async with connect(apple, pool_size=1, topic=APP) as client:
        calls = [client.broadcast(APP, channel_id, UPDATE) if number % 7 == 3 else
                 client.send_notification(token, {"aps": {"badge": number}})
                 for number in range(300)]
        await asyncio.gather(*calls)

    broadcasts = [push for push in apple.accepted if push.push_type == "liveactivity"]
    assert len(broadcasts) == 43
    assert sorted(push.payload for push in apple.accepted if push.token) == sorted(
        b'{"aps":{"badge":%d}}' % number for number in range(300) if number % 7 != 3)
    assert apple.provider_connections == 1


async def test_a_refused_credential_ends_what_waits(apple):
    """Whatever kind of request was the first to be told."""
    apple.script_provider(ProviderScript(response_at={1: "InvalidProviderToken"}))
    channel_id = apple.channels.create(APP)
    async with connect(apple, pool_size=1, topic=APP) as client:
        calls = [client.broadcast(APP, channel_id, UPDATE)] + [
            client.send_notification("ab" * 32, {"aps": {"badge": 1}}) for _ in range(5)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(error) for error in found} == {errors.InvalidProviderToken}
        with pytest.raises(errors.InvalidProviderToken):
            await client.broadcast(APP, channel_id, UPDATE)
        assert client.closing


async def test_a_broadcast_for_another_application_ends_nothing(apple):
    """The certificate is for one application, and goes on for that."""
    other = "com.example.other"
    channel_id = apple.channels.create(other)
    async with connect(apple, credential=apple.client_certificate(topic=APP)) as client:
        with pytest.raises(errors.ResponseError):
            await client.broadcast(other, channel_id, UPDATE)
        await client.broadcast(APP, apple.channels.create(APP), UPDATE)
        assert not client.closing


def test_the_hosts_are_apples():
    """They are those of the synchronous client, with its ports."""
    assert config.ProductionChannels == ("api-manage-broadcast.push.apple.com", 2196)
    assert config.SandboxChannels == ("api-manage-broadcast.sandbox.push.apple.com", 2195)
    assert config.DevelopmentChannels is config.SandboxChannels
