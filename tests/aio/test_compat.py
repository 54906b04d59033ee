"""Programs for both generations of aapns run, and its faults have not come along.

Only the name of the package in them is replaced, and where they send to.
"""

import asyncio
import json
import threading
import time
import uuid
from datetime import datetime, timezone

import pytest

from apnsclient.aio import errors
from apnsclient.aio.api import APNS, APNSBaseClient, Server, Target, create_client
from apnsclient.aio.config import Priority
from apnsclient.aio.connection import Connection, Request, create_ssl_context
from apnsclient.aio.models import Alert, InterruptionLevel, Localized, Notification, PushType
from apnsclient.aio.pool import Pool
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import serve
from http2_support import OK, headers
from net_support import make_tokens
from stdio_support import AUTHORITY, CLIENT

pytestmark = pytest.mark.anyio

TOPIC = "com.example.app"
TOKEN, *TOKENS = make_tokens(101)

#: The quickstart in the README of the older generation, and that of the later one.
OLDER = """
from aapns.api import create_client
from aapns.config import Priority, Production
from aapns.models import Notification, Alert, Localized

async def send_hello_world():
    client = await create_client('/path/to/push/cert.pem', Production)
    apns_id = await client.send_notification(
        'my-device-token',
        Notification(
            alert=Alert(
                body=Localized(
                    key='Hello World!',
                    args=['foo', 'bar']
                ),
            ),
            badge=42
        ),
        priority=Priority.immediately
    )
    print(f'Sent push notification with ID {apns_id}')
    await client.close()
"""
LATER = """
from aapns.api import Server
from aapns.config import Priority
from aapns.models import Notification, Alert, Localized

async def send_hello_world():
    client = await Server.production('/path/to/push/cert.pem').create_client()
    apns_id = await client.send_notification(
        'my-device-token',
        Notification(
            alert=Alert(
                body=Localized(
                    key='Hello World!',
                    args=['foo', 'bar']
                ),
            ),
            badge=42
        ),
        priority=Priority.immediately
    )
    print(f'Sent push notification with ID {apns_id}')
    await client.close()
"""


@pytest.fixture
def push_file(apple, tmp_path):
    """The path of a file with a client certificate that names its topic."""
    path = tmp_path / "push.pem"
    path.write_text(apple.client_certificate(topic=TOPIC))
    return str(path)


@pytest.fixture
def server(apple, ca_file, push_file):
    """The simulator, as programs for the later generation name it."""
    return Server(push_file, *apple.provider_address, ca_file, pool_size=1)


@pytest.fixture
def origin(apple):
    """The simulator, as the lower levels name it."""
    return "https://localhost:%d" % apple.provider_address[1]


@pytest.fixture
def ssl(ca_file, push_file):
    """Certificate and trust for the lower levels."""
    context = create_ssl_context()
    context.load_cert_chain(push_file)
    context.load_verify_locations(cafile=ca_file)
    return context


def new_request(token, **times):
    return Request.new("/3/device/" + token, {"apns-topic": TOPIC, "apns-push-type": "alert"},
                       {"aps": {"alert": "x"}}, **times)


def payload_of(sent):
    return json.loads(sent.payload.decode("utf-8"))


@pytest.mark.parametrize("program, call, instead", [
    (OLDER, "create_client('/path/to/push/cert.pem', Production)",
     "create_client(PUSH_FILE, SERVER, cafile=CA_FILE)"),
    (LATER, "Server.production('/path/to/push/cert.pem')",
     "Server(PUSH_FILE, *SERVER, ca_file=CA_FILE)")])
async def test_the_quickstart_runs(program, call, instead, apple, ca_file, push_file, capsys):
    """Word for word, but for the name of the package and for where it sends to."""
    assert program.count(call) == program.count("my-device-token") == 1
    program = program.replace("aapns", "apnsclient.aio").replace(call, instead)
    names = {"PUSH_FILE": push_file, "SERVER": apple.provider_address, "CA_FILE": ca_file}
    exec(program.replace("my-device-token", TOKEN), names)
    await names["send_hello_world"]()
    sent, = apple.accepted
    assert payload_of(sent) == {
        "aps": {"alert": {"loc-key": "Hello World!", "loc-args": ["foo", "bar"]}, "badge": 42}}
    assert (sent.token, sent.priority, sent.push_type) == (TOKEN, 10, "alert")
    said = capsys.readouterr().out
    assert said.startswith("Sent push notification with ID ")
    uuid.UUID(said.split()[-1])


async def test_a_program_for_the_later_generation_runs(apple, server):
    """Every argument of its send_notification, its models, and its exceptions."""
    apple.devices.bad(TOKENS[1])
    assert isinstance(server, Target)
    client = await server.create_client()
    assert isinstance(client, APNSBaseClient) and isinstance(client, APNS)
    identifier = str(uuid.uuid4())
    notification = Notification(
        Alert(Localized("BODY"), Localized("TITLE", ["a"]), "subtitle", "open", "launch.png"),
        PushType.alert, 1, "default", True, "category", "thread", True, "target", {"key": [1]})
    assert await client.send_notification(
        TOKEN, notification, apns_id=identifier, expiration=2000000000, priority=Priority.normal,
        topic=TOPIC, collapse_id="collapse") == identifier
    sent, = apple.accepted
    assert (sent.apns_id, sent.expiry, sent.priority, sent.topic, sent.collapse_id) == (
        identifier, 2000000000, 5, TOPIC, "collapse")
    assert payload_of(sent) == notification.get_dict() == {"key": [1], "aps": {
        "alert": {"loc-key": "BODY", "title-loc-key": "TITLE", "title-loc-args": ["a"],
                  "subtitle": "subtitle", "action-loc-key": "open", "launch-image": "launch.png"},
        "badge": 1, "sound": "default", "content-available": 1, "category": "category",
        "thread-id": "thread", "mutable-content": 1, "target-content-id": "target"}}
    with pytest.raises(errors.BadDeviceToken) as caught:
        await client.send_notification(TOKENS[1], notification, apns_id=identifier)
    assert isinstance(caught.value, (errors.ResponseError, errors.APNSError))
    assert (caught.value.reason, caught.value.codename, caught.value.apns_id) == (
        "BadDeviceToken", "BadDeviceToken", identifier)
    with pytest.raises(ValueError, match="4096"):
        await client.send_notification(TOKEN, Notification(Alert("x" * 4096)))
    await client.close()


async def test_a_program_for_connections_runs(apple, origin, ssl):
    """Requests and responses as they are, and what a connection says of itself."""
    apple.devices.bad(TOKENS[1])
    connection = await Connection.create(origin, ssl=ssl)
    assert (connection.state, connection.closing, connection.closed, connection.outcome) == (
        "active", False, False, None)
    assert (connection.inflight, connection.buffered, connection.pending, connection.blocked) == (
        0, 0, 0, False)
    response = await connection.post(new_request(TOKEN))
    assert (response.code, response.reason, response.data) == (200, None, None)
    assert str(uuid.UUID(response.apns_id)) == response.apns_id == response.header["apns-id"]
    response = await connection.post(new_request(TOKENS[1]))
    assert (response.code, response.reason, response.data) == (
        400, "BadDeviceToken", {"reason": "BadDeviceToken"})
    for late in [new_request(TOKEN, deadline=time.monotonic() - 1),
                 new_request(TOKEN, expiration=time.time() - 1), new_request(TOKEN, timeout=-1)]:
        with pytest.raises(errors.Timeout) as caught:
            await connection.post(late)
        assert caught.value.kind is errors.Kind.unprocessed
    await connection.close()
    assert (connection.state, connection.closing, connection.closed) == ("closed", True, True)
    assert connection.outcome
    with pytest.raises(errors.Closed):
        await connection.post(new_request(TOKEN))
    assert apple.accepted_tokens() == [TOKEN]


async def test_a_program_for_pools_runs(apple, origin, ssl):
    """Its size can be changed, and all that it counts is in its repr, too."""
    pool = await Pool.create(origin, size=1, ssl=ssl)
    responses = await asyncio.gather(*[pool.post(new_request(token)) for token in TOKENS])
    assert {response.code for response in responses} == {200}
    counts = ["active", "dying", "errors", "retrying", "completed", "inflight", "buffered"]
    assert [getattr(pool, name) for name in counts] == [1, 0, 0, 0, len(TOKENS), 0, 0]
    assert (pool.state, pool.closing, pool.closed, pool.outcome, pool.pending) == (
        "active", False, False, None, 0)
    pool.resize(3)
    for size in (0, -1):
        with pytest.raises(ValueError, match="expected 1 or more"):
            pool.resize(size)
    assert not [name for name in counts + [pool.state] if name not in repr(pool)]
    client = APNS(pool)
    assert await client.send_notification(TOKEN, Notification("x"), topic=TOPIC)
    assert pool.completed == len(TOKENS) + 1
    await client.close()
    assert (pool.state, pool.closing, pool.closed) == ("closed", True, True) and pool.outcome


def test_the_servers_of_the_later_generation_are_apples():
    """Each of its class methods takes the file of the certificate."""
    for name, host, port in [("production", "api.push.apple.com", 443),
                             ("production_alt_port", "api.push.apple.com", 2197),
                             ("development", "api.sandbox.push.apple.com", 443),
                             ("development_alt_port", "api.sandbox.push.apple.com", 2197)]:
        server = getattr(Server, name)("push.pem")
        assert (name, server.host, server.port) == (name, host, port)
        assert "push.pem" not in repr(server) and host in repr(server)


# Its faults.


async def test_0_is_sent(apple, server):
    """A badge of 0 removes the badge, and expiration 0 has nothing stored: it dropped both."""
    async with server.create_client() as client:
        await client.send_notification(TOKEN, Notification("x", badge=0), expiration=0)
    sent, = apple.accepted
    assert payload_of(sent)["aps"]["badge"] == 0
    assert sent.headers["apns-expiration"] == "0"


async def test_time_sensitive_is_in_the_payload(apple, server):
    """Apple knows no header of that name, which is what it was sent as."""
    notification = Notification("x")
    async with server.create_client() as client:
        await client.send_notification(TOKEN, notification, time_sensitive=True)
    sent, = apple.accepted
    assert payload_of(sent) == {"aps": {"alert": "x", "interruption-level": "time-sensitive"}}
    assert not [name for name in sent.headers if "sensitive" in name]
    assert payload_of(sent) == Notification(
        "x", interruption_level=InterruptionLevel.time_sensitive).get_dict()


async def test_a_background_push_needs_no_alert(apple, server):
    """It could not be made without one, and Apple wants none."""
    async with server.create_client() as client:
        await client.send_notification(
            TOKEN, Notification(push_type=PushType.background, content_available=True))
    sent, = apple.accepted
    assert (payload_of(sent), sent.push_type, sent.priority) == (
        {"aps": {"content-available": 1}}, "background", 5)


async def test_a_dead_token_has_its_time(apple, server):
    """It was thrown away."""
    apple.devices.uninstall(TOKEN, 1454402113)
    async with server.create_client() as client:
        with pytest.raises(errors.Unregistered) as caught:
            await client.send_notification(TOKEN, Notification("x"))
    assert caught.value.timestamp == datetime(2016, 2, 2, 8, 35, 13, tzinfo=timezone.utc)
    assert caught.value.is_gone and caught.value.status == 410


async def test_newer_reasons_have_classes(apple, server):
    """Those that Apple has added since, and one that nobody knows yet."""
    new = ["ExpiredToken", "InvalidPushType"]
    apple.script_provider(ProviderScript(response_at=dict(
        enumerate(new + [(429, "Newest")], 1))))
    async with server.create_client() as client:
        for name in new:
            with pytest.raises(getattr(errors, name)):
                await client.send_notification(TOKEN, Notification("x"))
        with pytest.raises(errors.UnknownResponseError) as caught:
            await client.send_notification(TOKEN, Notification("x"))
    assert (caught.value.reason, caught.value.status, caught.value.retry_after) == (
        "Newest", 429, 60)


async def test_what_was_written_and_not_answered_is_not_sent_again(apple, server):
    """It was sent a second time over another connection, so that devices got it twice."""
    apple.script_provider(ProviderScript(reset_after=1, late=1), ProviderScript())
    async with server.create_client() as client:
        with pytest.raises(errors.APNSError) as caught:
            await client.send_notification(TOKEN, Notification("x"))
        assert caught.value.kind is errors.Kind.unknown
        await client.send_notification(TOKENS[0], Notification("x"))
    assert apple.accepted_tokens() == [TOKEN, TOKENS[0]]


async def test_cancelling_resets_the_stream():
    """It stayed open, and counted against the limit of streams for ever."""
    loop = asyncio.get_running_loop()
    arrived, was_reset = asyncio.Event(), asyncio.Event()

    def talk(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1)])
        stream, = peer.requests(1)
        loop.call_soon_threadsafe(arrived.set)
        peer.await_frame((frames.RST_STREAM, 0, stream, b"\0\0\0\x08"))
        loop.call_soon_threadsafe(was_reset.set)
        peer.say(headers(peer.requests(2)[1], OK))
        peer.read_to_end()

    with serve(talk) as peer:
        async with create_client(CLIENT.pem, peer.address, ca_string=AUTHORITY.ca_string,
                                 pool_size=1, topic=TOPIC, timeout=None) as client:
            task = asyncio.ensure_future(client.send_notification(TOKEN, Notification("x")))
            await arrived.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await was_reset.wait()
            await client.send_notification(TOKENS[0], Notification("x"))


async def test_streams_are_started_by_the_servers_settings():
    """It started 100 before it had read them; a client is not even there before."""
    loop = asyncio.get_running_loop()
    connected, may_greet = asyncio.Event(), threading.Event()
    early = []

    def talk(peer):
        # All that a client may say before it knows the settings of the server.
        preface = b""
        while len(preface) < len(frames.PREFACE):
            preface += peer.tls.recv(len(frames.PREFACE) - len(preface))
        peer.read()
        loop.call_soon_threadsafe(connected.set)
        assert may_greet.wait(60)
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 1)]), frames.SETTINGS_ACK)
        for number in range(1, len(TOKENS) + 1):
            streams = peer.requests(number)
            assert len(streams) == number, "several at a time"
            peer.say(headers(streams[-1], OK))
        peer.read_to_end()

    with serve(talk) as peer:
        creating = asyncio.ensure_future(Server(
            CLIENT.pem, *peer.address, pool_size=1, ca_string=AUTHORITY.ca_string,
            topic=TOPIC).create_client())
        await connected.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        early.append(creating.done())
        may_greet.set()
        async with await creating as client:
            sending = [client.send_notification(token, Notification("dinner")) for token in TOKENS]
            await asyncio.gather(*sending)
    assert early == [False]


async def test_a_connection_that_ends_loses_nothing(apple, server):
    """The responses after GOAWAY were lost, and so was what the server had not processed."""
    apple.script_provider(ProviderScript(goaway_after=30, late=20, goaway_delay=0.01),
                          ProviderScript())
    async with server.create_client() as client:
        await asyncio.gather(*[client.send_notification(token, Notification("x"))
                               for token in TOKENS])
    assert sorted(apple.accepted_tokens()) == sorted(TOKENS)


async def test_what_is_closed_can_be_entered(apple, server, push_file, ca_file, origin, ssl):
    """However it was made: it was not closed, or could not be entered at all."""
    makings = [server.create_client, lambda: create_client(
        push_file, apple.provider_address, cafile=ca_file)]
    for make in makings:
        async with make() as client:
            await client.send_notification(TOKEN, Notification("x"))
        assert client.closed
        async with await make() as client:
            assert not client.closed
        assert client.closed
    assert apple.accepted_tokens() == [TOKEN] * len(makings)
    for low_level in [Connection, Pool]:
        async with await low_level.create(origin, ssl=ssl) as entered:
            assert not entered.closed
        assert entered.closed
