"""A program that uses the asynchronous client: the type checkers read it, and nothing runs it."""

import asyncio
from datetime import datetime, timedelta
from typing import AsyncIterator, Dict, List, Tuple

from apnsclient import ProviderToken
from apnsclient.aio.api import Client, create_client
from apnsclient.aio.config import Priority, Sandbox
from apnsclient.aio.connection import Connection, Request
from apnsclient.aio.errors import APNSError, ResponseError, Timeout, Unregistered
from apnsclient.aio.models import Alert, BackgroundUpdate, Localized, Notification, PushType
from apnsclient.aio.outcome import Kind, Outcome
from apnsclient.aio.pool import Pool

HELLO = Notification(Alert(body=Localized(key="Hello", args=["Ann"])), badge=0)


async def greet(client: Client, token: str) -> str:
    try:
        return await client.send_notification(
            token, HELLO, priority=Priority.immediately, push_type=PushType.alert,
            expiration=timedelta(hours=1), timeout=5)
    except Unregistered as error:
        when: datetime = error.timestamp or datetime.now()
        return "gone since %d" % when.year
    except ResponseError as error:
        return error.codename + (error.reason or "")
    except Timeout as error:
        return error.kind.value
    except APNSError as error:
        return str(error)


async def count(client: Client, tokens: List[str]) -> Dict[Kind, int]:
    async def notifications() -> AsyncIterator[Tuple[str, BackgroundUpdate]]:
        for token in tokens:
            yield token, BackgroundUpdate()

    found: Dict[Kind, int] = {}
    async for outcome in client.send_many(notifications(), ordered=True):
        found[outcome.kind] = found.get(outcome.kind, 0) + 1
    async for _ in client.send_many([(token, HELLO) for token in tokens]):
        break
    async for gone, since in client.feedback():
        print(gone.upper(), since.year)
    return found


async def main() -> None:
    credential = ProviderToken(key_id="A", team_id="B", key_file="key.p8")
    async with create_client(credential, Sandbox, topic="org.example.app", pool_size=3) as client:
        print(await greet(client, "aa" * 32))
        outcome: Outcome = await client.send("aa" * 32, HELLO)
        print(outcome.is_accepted, outcome.apns_id, (outcome.retry_after or 0) + 1)
        print(await count(client, ["aa" * 32]))
    other = await create_client("cert.pem", ("localhost", 2197), cafile="ca.pem")
    await other.close()


async def post() -> None:
    request = Request.new("/3/device/aa", {"apns-topic": "org.example.app"}, {"aps": {}})
    connection = await Connection.create("https://localhost:2197")
    response = await connection.post(request)
    print(response.code + 1, response.reason or "", response.apns_id)
    pool = await Pool.create("https://localhost:2197", size=2)
    pool.resize(pool.active + 1)
    await asyncio.gather(connection.close(), pool.close())


if __name__ == "__main__":
    asyncio.run(main())
