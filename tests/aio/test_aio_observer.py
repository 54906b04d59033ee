"""What an asynchronous client tells its observer, on both loops."""

import asyncio
import logging
from typing import Any, Dict, List

import pytest

from aio_peers import TOKEN, client_of, provider_token
from apnsclient import events
from apnsclient.errors import ConnectError
from apnsclient.testing.simulator import ProviderScript
from observer_support import Notes

pytestmark = pytest.mark.anyio

TOKENS = ["%064x" % number for number in range(30)]
CONTENT = {"aps": {"alert": "hello"}}


def kinds(outcomes: List[Any]) -> Dict[str, int]:
    counts: Dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.kind.value] = counts.get(outcome.kind.value, 0) + 1
    return counts


async def test_outcomes_are_told_as_the_client_has_them(apple: Any) -> None:
    """Of single notifications and of campaigns, and nothing that is a secret."""
    notes = Notes()
    apple.devices.bad(TOKENS[3], reason="BadDeviceToken")
    async with client_of(apple, observer=notes) as client:
        outcomes = [await client.send(token, CONTENT) for token in TOKENS[:5]]
        outcomes += [outcome async for outcome in client.send_many(
            (token, CONTENT) for token in TOKENS + ["nonsense"])]
    assert notes.outcomes() == kinds(outcomes) == {
        "accepted": 33, "rejected": 2, "undelivered": 1}
    assert notes.reasons()["rejected", 400, "BadDeviceToken"] == 2
    assert notes.reasons()["undelivered", None, "malformed token"] == 1
    opened, closed = notes.one(events.ConnectionOpened), notes.one(events.ConnectionClosed)
    assert opened.address == apple.provider_address and opened.seconds > 0
    assert opened.is_resumed is False and opened.certificate_days is not None
    assert (closed.reason, closed.notifications) == ("done", 35)
    assert sum(each.count for each in notes.of(events.Responses)) == 35
    assert not any(token in repr(notes.events) for token in TOKENS)


async def test_connections_and_tokens_are_told(apple: Any) -> None:
    """What the server says at the end, what is sent again, and which key has signed."""
    notes = Notes()
    apple.script_provider(ProviderScript(goaway_after=3, goaway_reason="Shutdown"))
    credential = provider_token(apple)
    async with client_of(apple, credential, observer=notes) as client:
        for token in TOKENS[:6]:
            assert (await client.send(token, CONTENT)).is_accepted
    ends = [(each.reason, each.detail) for each in notes.of(events.ConnectionClosed)]
    assert sorted(ends) == [("done", None), ("goaway", "Shutdown")]
    assert len(notes.of(events.ConnectionOpened)) == 2
    assert {each.key_id for each in notes.of(events.ProviderTokenTaken)} == {credential.key_id}
    assert credential.bearer().decode("ascii")[7:] not in repr(notes.events)


async def test_a_client_that_cannot_be_made_has_told_why(apple: Any) -> None:
    """Before the exception."""
    notes = Notes()
    apple.script_provider(ProviderScript(refuse=True))
    with pytest.raises(ConnectError):
        async with client_of(apple, observer=notes):
            pass
    assert notes.one(events.ConnectFailed).seconds >= 0


async def test_waiting_for_a_place_in_the_queue_is_told(apple: Any) -> None:
    """Of each request that has found it full."""
    notes = Notes()
    apple.script_provider(ProviderScript(settings={"max_concurrent_streams": 1}))
    async with client_of(apple, observer=notes, queue_size=1, pool_size=1) as client:
        await asyncio.gather(*[client.send_notification(token, CONTENT) for token in TOKENS[:4]])
    assert "queue" in {each.reason for each in notes.of(events.Waited)}
    assert notes.outcomes() == {"accepted": 4}


async def test_an_observer_that_raises_harms_nothing(apple: Any, caplog: Any) -> None:
    """Its exception is logged once for each kind of event."""
    def observe(event: Any) -> None:
        raise ValueError("the observer is broken")

    with caplog.at_level(logging.ERROR):
        async with client_of(apple, observer=observe) as client:
            for token in TOKENS[:5]:
                assert (await client.send(token, CONTENT)).is_accepted
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == len(set(texts))
    assert "the observer of a client has failed with ConnectionOpened" in texts


async def test_an_observer_may_use_the_client(apple: Any) -> None:
    """In tasks of its own, about what it is told; and close it."""
    notes = Notes()
    tasks: List[Any] = []

    def observe(event: Any) -> None:
        notes(event)
        if type(event) is events.NotificationOutcomes and len(tasks) < 3:
            tasks.append(asyncio.ensure_future(
                client.close() if len(tasks) == 2 else client.send(TOKENS[7], CONTENT)))

    client = await client_of(apple, observer=observe)
    assert (await client.send(TOKEN, CONTENT)).is_accepted
    while len(tasks) < 3:
        await asyncio.sleep(0.001)
    await asyncio.gather(*tasks)
    assert notes.outcomes() == {"accepted": 3}


async def test_an_observer_has_to_be_something_to_call(apple: Any) -> None:
    """Early, and by name."""
    with pytest.raises(TypeError, match="the observer is of type str"):
        await client_of(apple, observer="log")
