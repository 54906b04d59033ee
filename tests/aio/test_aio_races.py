"""What happens in the same moment, or in an order that nobody wants: a caller has one outcome."""

import asyncio
import gc
import threading

import pytest

from apnsclient import ProviderToken
from apnsclient.aio import errors
from apnsclient.aio._link import Link
from apnsclient.aio.api import create_client
from apnsclient.aio.connection import Connection, Request, create_ssl_context, new_endpoint
from apnsclient.aio.pool import Pool
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import ProviderScript
from stdio_support import SOON

pytestmark = pytest.mark.anyio

TOKEN = "ab" * 32
PAYLOAD = {"aps": {"alert": "x"}}


def new_client(apple, **options):
    """Begin to make a client of the simulator."""
    options.setdefault("timeout", SOON)
    return create_client(apple.cert_string, apple.provider_address, ca_string=apple.ca_string,
                         topic="com.example.app", **options)


async def until(predicate):
    """Wait until something is true of the simulator, in a thread: the loop goes on."""
    await asyncio.get_running_loop().run_in_executor(None, predicate)


def held(apple, count):
    """Return what waits until so many responses are held back."""
    return lambda: apple.wait_for(lambda: apple.held >= count, 30)


# A credential that is refused.


async def test_nothing_is_started_after_a_refused_credential(apple):
    """What waits is not sent, and says so; what is in flight has its response."""
    apple.script_provider(ProviderScript(hold=True, response_at={1: "BadCertificate"},
                                         settings={"max_concurrent_streams": 10}))
    async with new_client(apple, pool_size=1) as client:
        sending = [asyncio.ensure_future(client.send(TOKEN, PAYLOAD)) for _ in range(100)]
        await until(held(apple, 10))
        apple.release_held()
        outcomes = await asyncio.gather(*sending)

    kinds = [outcome.kind.value for outcome in outcomes]
    assert kinds == ["rejected"] + 9 * ["accepted"] + 90 * ["undelivered"]
    assert apple.accepted_count == 9
    assert {outcome.reason for outcome in outcomes} == {None, "BadCertificate"}


async def test_each_caller_raises_an_exception_of_its_own(apple):
    """One that many raise would keep the frames of them all."""
    apple.script_provider(ProviderScript(response_at={1: "BadCertificate"}))
    raised = []
    async with new_client(apple) as client:
        for _ in range(3):
            with pytest.raises(errors.BadCertificate) as caught:
                await client.send_notification(TOKEN, PAYLOAD)
            raised.append(caught.value)

    assert len(set(map(id, raised))) == 3
    assert [error.kind.value for error in raised] == ["rejected", "undelivered", "undelivered"]
    assert str(raised[0]) == str(raised[1]) == str(raised[2])


async def test_a_connection_without_a_credential_outlives_a_refused_one(apple):
    """Its requests bring their own: what is wrong with one says nothing of the others."""
    context = create_ssl_context()
    context.load_verify_locations(cadata=apple.ca_string)
    connection = await Connection.create(apple.provider_address, context)

    def request():
        return Request.new("/3/device/" + TOKEN, {
            "authorization": "bearer x", "apns-topic": "com.example.app"}, PAYLOAD)

    responses = [await connection.post(request()) for _ in range(2)]
    state = connection.state
    await connection.close()

    assert [response.reason for response in responses] == 2 * ["InvalidProviderToken"]
    assert state == "active"


async def test_a_connection_ends_with_its_credential(apple, cert_file, ca_file):
    """It takes nothing more, and says why."""
    apple.script_provider(ProviderScript(response_at={1: "BadCertificate"}))
    context = create_ssl_context()
    context.load_cert_chain(cert_file)
    context.load_verify_locations(ca_file)
    connection = await Connection.create(apple.provider_address, context)
    header = {"apns-topic": "com.example.app"}

    response = await connection.post(Request.new("/3/device/" + TOKEN, header, PAYLOAD))
    with pytest.raises(errors.BadCertificate):
        await connection.post(Request.new("/3/device/" + TOKEN, header, PAYLOAD))
    await connection.close()

    assert response.reason == "BadCertificate" and "BadCertificate" in connection.outcome


# Time.


class HeldUp:
    """An event loop a minute later than it is: something has held it up for so long."""

    def __init__(self, loop):
        self._loop = loop

    def time(self):
        """Return the time by its clock."""
        return self._loop.time() + 60

    def __getattr__(self, name):
        return getattr(self._loop, name)


@pytest.mark.parametrize("wake", ["schedule", "_expire"])
async def test_a_loop_that_was_held_up_reads_before_it_gives_up(apple, monkeypatch, wake):
    """A response that has come in time counts, although nobody could look at it."""
    apple.script_provider(ProviderScript(hold=True))
    async with new_client(apple, timeout=30) as client:
        hub = client.pool.hub
        sending = asyncio.ensure_future(client.send(TOKEN, PAYLOAD))
        await until(held(apple, 1))
        apple.release_held()
        monkeypatch.setattr(hub, "_loop", HeldUp(asyncio.get_running_loop()))
        # It looks at the connection, or at the time, before what has come is read.
        getattr(hub, wake)()
        outcome = await sending

    assert outcome.is_accepted


# Opening.


async def test_a_client_that_is_cancelled_in_the_making_leaves_nothing(apple, caplog):
    """At whatever moment that is."""
    cancelled = 0
    for rounds in range(40):
        making = asyncio.ensure_future(new_client(apple).__aenter__())
        if rounds >= 10:
            await until(lambda: apple.wait_for(lambda: apple.open_provider_connections, 30))
        for _ in range(rounds % 10):
            await asyncio.sleep(0)
        was_done = making.done()
        making.cancel()
        try:
            client = await making
        except asyncio.CancelledError:
            cancelled += 1
        else:
            assert was_done
            await client.close()
        del making
        await until(lambda: apple.wait_for(lambda: not apple.open_provider_connections, 30))
    gc.collect()

    assert cancelled >= 10 and not caplog.records


async def test_a_connection_that_nobody_waits_for_any_more_is_closed(apple, monkeypatch):
    """The maker is cancelled in the moment in which it is ready."""
    opened = []

    async def open_and_cancel(hub, timeout):
        opened.append(await real_open(hub, timeout))
        making.cancel()
        return opened[0]

    real_open = Link.open
    monkeypatch.setattr(Link, "open", open_and_cancel)
    making = asyncio.ensure_future(new_client(apple).__aenter__())
    with pytest.raises(asyncio.CancelledError):
        await making

    await until(lambda: apple.wait_for(lambda: not apple.open_provider_connections, 30))


async def test_a_server_that_says_nothing_is_left_when_the_maker_is_cancelled(apple):
    """In the TLS handshake there is no connection yet that could be closed in order."""
    apple.script_provider(ProviderScript(stall_handshake=True))
    tasks = asyncio.all_tasks()
    making = asyncio.ensure_future(new_client(apple).__aenter__())
    for _ in range(100):
        await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert asyncio.all_tasks() == tasks


# Closing.


async def test_a_client_may_be_closed_by_several_one_of_whom_is_cancelled(apple):
    """Nobody waits for responses that cannot come any more."""
    apple.script_provider(ProviderScript(hold=True))
    client = await new_client(apple)
    sending = asyncio.ensure_future(client.send(TOKEN, PAYLOAD))
    await until(held(apple, 1))
    closing = [asyncio.ensure_future(client.close(timeout=None)) for _ in range(3)]
    await asyncio.sleep(0)

    closing[0].cancel()
    await asyncio.wait(closing)
    outcome = await sending

    assert outcome.kind is errors.Kind.unknown and closing[1].result() is None
    await until(lambda: apple.wait_for(lambda: not apple.open_provider_connections, 30))


async def test_a_client_that_is_connecting_leaves_no_task_when_it_is_closed(apple):
    """Not even one that is about to end."""
    tasks = asyncio.all_tasks()
    client = await new_client(apple)
    apple.script_provider(ProviderScript(stall_handshake=True))
    apple.disconnect_providers()
    await ended(client)
    sending = asyncio.ensure_future(client.send(TOKEN, PAYLOAD))
    while not client.pool.starting:
        await asyncio.sleep(0)
    await client.close(timeout=0)

    assert asyncio.all_tasks() - tasks <= {sending}
    assert (await sending).kind is errors.Kind.unprocessed


async def ended(client):
    """Wait until the client knows that it has no connection."""
    while client.pool.hub.links:
        await asyncio.sleep(0.001)


async def test_a_client_is_closed_when_the_last_caller_has_left(apple):
    """Also where that one waits for a connection, so that nothing else happens."""
    client = await new_client(apple)
    apple.stop()
    await ended(client)
    sending = asyncio.ensure_future(client.send(TOKEN, PAYLOAD, timeout=None))
    client.pool._delay_after = lambda count: 3600
    while not client.pool.starting or not client.pool._failure_count:
        await asyncio.sleep(0)
    closing = asyncio.ensure_future(client.close(timeout=None))
    await asyncio.sleep(0)
    sending.cancel()

    await closing


async def test_a_client_is_closed_in_its_own_loop_only(apple):
    """Elsewhere nothing is done at all."""
    async with new_client(apple) as client:
        def close():
            asyncio.run(client.close())

        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await asyncio.get_running_loop().run_in_executor(None, close)
        assert not client.closing
        assert (await client.send(TOKEN, PAYLOAD)).is_accepted


async def test_a_pool_that_is_closed_in_the_making_has_no_connection(apple):
    """Whoever made it is told."""
    context = create_ssl_context()
    context.load_verify_locations(cadata=apple.ca_string)
    pool = Pool(new_endpoint(apple.provider_address, context))
    starting = asyncio.ensure_future(pool.start())
    await asyncio.sleep(0)
    await pool.close()

    with pytest.raises(errors.Closed):
        await starting
    await until(lambda: apple.wait_for(lambda: not apple.open_provider_connections, 30))


# Places in the queue.


async def test_whoever_cannot_take_its_place_leaves_it_to_the_next(apple):
    """A request that cannot be made, or a caller that has gone, strands nobody."""
    apple.script_provider(ProviderScript(hold=True, settings={"max_concurrent_streams": 1}))
    async with new_client(apple, queue_size=1, pool_size=1) as client:
        pool = client.pool
        sending = [asyncio.ensure_future(client.send(TOKEN, PAYLOAD))]
        await until(held(apple, 1))
        sending += [asyncio.ensure_future(client.send(TOKEN, PAYLOAD)) for _ in range(3)]
        while not pool.blocked:
            await asyncio.sleep(0)
        bad = [asyncio.ensure_future(pool.post(Request(path, {}, b"{}", None)))
               for path in ("/3/device/\u00fc", "/\u00fc")]
        leaving = [asyncio.ensure_future(client.send(TOKEN, PAYLOAD)) for _ in range(50)]
        sending.append(asyncio.ensure_future(client.send(TOKEN, PAYLOAD)))
        await asyncio.sleep(0)
        for task in leaving:
            task.cancel()
        await asyncio.wait(leaving)
        assert len(pool.hub.queue._outside) <= 4
        while not all(task.done() for task in sending):
            apple.release_held()
            await asyncio.sleep(0.001)

    assert [task.result().kind.value for task in sending] == 5 * ["accepted"]
    assert all(isinstance(task.exception(), ValueError) for task in bad)


async def test_tokens_that_are_none_hold_up_nobody(apple):
    """However many there are: nothing is written for them, so that nothing comes back either."""
    async with new_client(apple, timeout=None) as client:
        sending = [asyncio.ensure_future(client.send(token, PAYLOAD))
                   for token in 400 * ["no token"] + 2 * [TOKEN]]
        outcomes = await asyncio.gather(*sending)

    kinds = [outcome.kind.value for outcome in outcomes]
    assert kinds == 400 * ["undelivered"] + 2 * ["accepted"]


async def test_a_queue_has_room_for_one_at_least(apple):
    """With none, everybody would wait for ever."""
    with pytest.raises(ValueError, match="queue_size is 0, expected 1 or more"):
        await new_client(apple, queue_size=0)


# Connects.


async def test_connects_are_delayed_while_a_connection_shuts_down(apple):
    """That it accepted something once is no proof of what the server does now."""
    delays = []
    apple.script_provider(ProviderScript(goaway_after=2, late=1, goaway_delay=3600),
                          *10 * [ProviderScript(refuse=True)])
    async with new_client(apple, timeout=None) as client:
        client.pool._delay_after = lambda count: delays.append(count) or 0.0
        sending = [asyncio.ensure_future(client.send(TOKEN, PAYLOAD)) for _ in range(2)]
        while len(delays) < 5:
            await asyncio.sleep(0.001)
        for task in sending:
            task.cancel()
        await asyncio.wait(sending)

    assert delays[:5] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("reason", [None, "Unregistered", "BadDeviceToken"])
async def test_a_server_that_responds_is_no_reason_for_a_delay(apple, reason):
    """Not even if it accepts nothing, and ends the connection with the response."""
    delays = []
    apple.script_provider(*10 * [ProviderScript(
        goaway_after=1, response_at={1: reason} if reason else {})])
    async with new_client(apple) as client:
        client.pool._delay_after = lambda count: delays.append(count) or 0.0
        outcomes = []
        for _ in range(5):
            outcomes.append(await client.send(TOKEN, PAYLOAD))
            await ended(client)

    assert [outcome.reason for outcome in outcomes] == 5 * [reason]
    assert not delays


async def test_a_server_that_is_out_of_order_is_left_alone_for_longer_each_time(apple):
    """Each response costs a connection, since another one is tried for each request once."""
    delays = []
    apple.script_provider(*20 * [ProviderScript(response_at={
        number: (421, None) for number in range(1, 10)})])
    async with new_client(apple) as client:
        client.pool._delay_after = lambda count: delays.append(count) or 0.0
        outcomes = [await client.send(TOKEN, PAYLOAD) for _ in range(4)]

    assert {outcome.status for outcome in outcomes} == {421}
    assert delays == [1, 2, 3]


async def test_a_pool_that_shrinks_while_it_connects_has_no_surplus(apple):
    """The connection that comes is one too many."""
    async with new_client(apple, pool_size=2) as client:
        pool = client.pool
        connecting = asyncio.ensure_future(pool._connect("another"))
        await asyncio.sleep(0)
        pool.resize(1)
        await connecting

        assert pool.active == 1
        await until(lambda: apple.wait_for(lambda: apple.open_provider_connections == 1, 30))


# Callers.


async def test_a_coroutine_that_is_closed_leaves_nothing(apple):
    """As the garbage collector does it with those of a loop that has ended."""
    apple.script_provider(ProviderScript(hold=True))
    async with new_client(apple) as client:
        sending = client.send_notification(TOKEN, PAYLOAD)
        sending.send(None)
        sending.close()
        del sending
        gc.collect()
        await asyncio.sleep(0)

        assert client.pool.pending == 0


# A connection by itself.


async def test_whoever_waits_for_a_connection_is_told_of_its_end(apple):
    """Callers that have left meanwhile are forgotten."""
    apple.script_provider(ProviderScript(settings={"max_concurrent_streams": 0}))
    context = create_ssl_context()
    context.load_verify_locations(cadata=apple.ca_string)
    connection = await Connection.create(apple.provider_address, context)
    leaving = [asyncio.ensure_future(connection.wait_until_unblocked()) for _ in range(50)]
    waiting = asyncio.ensure_future(connection.wait_until_unblocked())
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    assert len(connection._waiters) == 1

    with pytest.raises(RuntimeError, match="belongs to another event loop"):
        await asyncio.get_running_loop().run_in_executor(
            None, lambda: asyncio.run(connection.close()))
    assert connection.state == "active"
    await connection.close()
    with pytest.raises(errors.Closed):
        await waiting


# What fails.


async def test_nobody_waits_for_a_client_that_has_failed(apple, caplog):
    """A token cannot be signed, as with a key in hardware: all callers are told, and why."""
    def fail():
        raise OSError("no key")

    async with create_client(ProviderToken(**apple.token_parameters), apple.provider_address,
                             ca_string=apple.ca_string, topic="com.example.app") as client:
        await client.send_notification(TOKEN, PAYLOAD)
        for link in client.pool.hub.links:
            link.state.refresh_token = fail
        waiting = [client.send("%064x" % number, PAYLOAD, timeout=None) for number in range(2000)]
        for outcome in await asyncio.gather(*waiting):
            assert outcome.explanation == "the client has failed: no key"
        assert client.closed and client.pool.pending == 0
        assert (await client.send(TOKEN, PAYLOAD)).kind is errors.Kind.unprocessed
    assert "has failed" in caplog.text


@pytest.mark.parametrize("step", ["expire_requests", "receive", "lose"])
async def test_nobody_waits_where_a_callback_of_the_loop_has_failed(apple, caplog, step):
    """Whether it was called for the time, for what has come, or for the end of the connection."""
    def fail(*_):
        raise ZeroDivisionError("a fault")

    apple.script_provider(ProviderScript(hold=True, settings={"max_concurrent_streams": 2}))
    async with new_client(apple, pool_size=1, queue_size=1, timeout=None) as client:
        hub = client.pool.hub
        waiting = [asyncio.ensure_future(client.send(TOKEN, PAYLOAD)) for _ in range(8)]
        await until(held(apple, 2))
        setattr(hub._sender, step, fail)
        if step == "expire_requests":
            hub._expire()
        elif step == "receive":
            await until(apple.release_held)
        else:
            apple.disconnect_providers()
        outcomes = await asyncio.gather(*waiting)
        assert client.closed and client.pool.pending == 0

    assert {outcome.explanation for outcome in outcomes} == {"the client has failed: a fault"}
    kinds = [outcome.kind.value for outcome in outcomes]
    assert kinds[:2] == 2 * ["unknown"] and kinds[-3:] == 3 * ["unprocessed"]
    assert "has failed" in caplog.text


async def test_closing_does_not_wait_for_ever_for_a_store(apple, caplog):
    """It has as much time as the responses; what it has not taken then is in the log."""
    apple.devices.uninstall(TOKEN)
    may_go_on = threading.Event()

    class Stuck(MemoryStore):
        """Takes until it is told to go on."""

        def add(self, source, rows):
            assert may_go_on.wait(60)

    client = await new_client(apple, feedback_store=Stuck())
    await client.send(TOKEN, PAYLOAD)
    try:
        await client.close(timeout=0.01)
    finally:
        may_go_on.set()
    assert "has not taken the dead tokens" in caplog.text
