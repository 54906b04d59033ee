"""What happens in the same moment, or in an order that nobody wants: a caller has one outcome."""

import asyncio
import gc

import pytest

from apnsclient.aio import errors
from apnsclient.aio._link import Link
from apnsclient.aio.api import create_client
from apnsclient.aio.connection import Connection, Request, create_ssl_context
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

TOKEN = "ab" * 32
PAYLOAD = {"aps": {"alert": "x"}}


def new_client(apple, **options):
    """Begin to make a client of the simulator."""
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


# If a connect is cancelled in the moment in which it has succeeded, asyncio leaves the socket to
# the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
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
