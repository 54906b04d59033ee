"""What the tests of this folder share: clients of the simulator and of peers, and waiting for them.

Peers and the simulator run in threads, so whoever waits for them does so in a thread as well.
"""

import asyncio
import contextlib
import gc
from typing import Any, AsyncIterator, Callable

from apnsclient import ProviderToken
from apnsclient.aio.api import create_client
from apnsclient.aio.connection import Connection, Request, create_ssl_context
from apnsclient.aio.pool import Pool
from apnsclient.feedback_store import MemoryStore
from frame_peers import TOPIC
from stdio_support import AUTHORITY, CLIENT, SOON

#: A payload.
ALERT = {"aps": {"alert": "hello"}}
TOKEN = "%064x" % 1


def new_request(token: str = TOKEN, timeout: Any = SOON, data: Any = ALERT,
                **options: Any) -> Request:
    """Return a request that the simulator accepts."""
    header = {"apns-topic": TOPIC, "apns-push-type": "alert"}
    return Request.new("/3/device/" + token, header, data, timeout=timeout, **options)


def _where(place: Any) -> Any:
    """Return address, trusted authority and client certificate of a simulator or a peer."""
    if hasattr(place, "provider_address"):
        return place.provider_address, place.ca_string, place.cert_string
    return place.address, AUTHORITY.ca_string, CLIENT.pem


def client_of(place: Any, credential: Any = None, **options: Any) -> Any:
    """Make a client of a simulator or a peer; see ``create_client``."""
    address, authority, certificate = _where(place)
    options.setdefault("ca_string", authority)
    options.setdefault("topic", TOPIC)
    options.setdefault("timeout", SOON)
    # What a process shares would come out in another test.
    options.setdefault("feedback_store", MemoryStore())
    return create_client(credential or certificate, address, **options)


def provider_token(simulator: Any) -> ProviderToken:
    """Return a provider token that a simulator accepts."""
    return ProviderToken(**simulator.token_parameters)


def _context(tmp_path: Any, place: Any) -> Any:
    address, authority, certificate = _where(place)
    path = tmp_path / "certificate.pem"
    path.write_text(certificate)
    context = create_ssl_context()
    context.load_cert_chain(str(path))
    context.load_verify_locations(cadata=authority)
    return address, context


@contextlib.asynccontextmanager
async def connection_to(tmp_path: Any, place: Any, **options: Any) -> AsyncIterator[Connection]:
    """A connection, which is closed in the end."""
    address, context = _context(tmp_path, place)
    connection = await Connection.create(address, context, **options)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def pool_of(tmp_path: Any, place: Any, size: int = 2, **options: Any) -> AsyncIterator[Pool]:
    """A pool, which is closed in the end."""
    address, context = _context(tmp_path, place)
    pool = await Pool.create(address, size, context, **options)
    try:
        yield pool
    finally:
        await pool.close(0)


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns that takes its time."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def happens(place: Any, condition: Callable[[], Any]) -> None:
    """Wait until something is true of a simulator or a proxy."""
    assert await in_thread(place.wait_for, condition, SOON), "it never happened"


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something is true that changes in the loop."""
    deadline = asyncio.get_running_loop().time() + SOON
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never happened"
        # The loop waits for sockets in between, and does not spin.
        await asyncio.sleep(0.001)


async def started(*coroutines: Any) -> Any:
    """Return tasks of coroutines, each of which has come to where it waits."""
    tasks = [asyncio.get_running_loop().create_task(each) for each in coroutines]
    await asyncio.sleep(0)
    return tasks


async def failure_of(awaitable: Any) -> Any:
    """Return what is raised."""
    try:
        found = await awaitable
    except Exception as error:  # pylint: disable=broad-except
        return error
    raise AssertionError("it returned %r" % (found,))


def collect() -> None:
    """Have the garbage collector tell what it has to complain about."""
    for _ in range(3):
        gc.collect()
