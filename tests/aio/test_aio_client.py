"""What a client promises: what arrives, what comes back, and that nobody waits for ever."""

import asyncio
import datetime
import json
import uuid

import pytest

from aio_peers import ALERT, TOKEN, client_of, failure_of, happens, in_thread
from apnsclient.aio import errors
from apnsclient.aio.errors import CODES, Closed, Kind
from apnsclient.aio.models import Notification
from apnsclient.protocols.http2 import frames
from apnsclient.reasons import RESPONSES
from apnsclient.testing.simulator import ProviderScript
from frame_peers import TOPIC

pytestmark = pytest.mark.anyio


def token(number):
    """Return a device token."""
    return "%064x" % number


# What arrives.


async def test_values_that_are_false_arrive(simulator):
    """A badge of 0 takes the number off the icon, an expiration of 0 stores nothing."""
    async with client_of(simulator) as client:
        await client.send_notification(TOKEN, Notification(alert="", badge=0), expiration=0)
        await client.send_notification(TOKEN, Notification(badge=0))
        await client.send_notification(TOKEN, {"aps": {"badge": 0}, "zero": 0}, expiration=0)
        await client.send_notification(TOKEN, Notification(alert="x", expiration=0))

    first, second, third, fourth = simulator.accepted
    assert json.loads(first.payload)["aps"]["badge"] == 0
    assert (first.expiry, second.expiry, third.expiry, fourth.expiry) == (0, None, 0, 0)
    assert json.loads(second.payload) == {"aps": {"badge": 0}}
    assert json.loads(third.payload) == {"aps": {"badge": 0}, "zero": 0}


async def test_what_a_request_says_arrives(simulator):
    """Each argument is a header field, and time-sensitive is none."""
    identifier = uuid.uuid4()
    moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    async with client_of(simulator) as client:
        found = await client.send_notification(
            TOKEN.upper(), Notification(alert="hello"), apns_id=identifier, expiration=moment,
            priority=1, topic="com.example.other", collapse_id="one", push_type="voip",
            time_sensitive=True)

    accepted, = simulator.accepted
    assert found == str(identifier)
    assert (accepted.token, accepted.expiry, accepted.priority, accepted.topic) == (
        TOKEN, int(moment.timestamp()), 1, "com.example.other.voip")
    assert (accepted.push_type, accepted.collapse_id) == ("voip", "one")
    assert json.loads(accepted.payload)["aps"]["interruption-level"] == "time-sensitive"


# What comes back.


async def test_each_reason_is_raised_as_its_class(simulator):
    """As an exception, and as a value with the very same."""
    names = [name for name in sorted(RESPONSES) if name in CODES
             and not RESPONSES[name].stops_everything
             and not RESPONSES[name].is_unprocessed and RESPONSES[name].status]
    responses = {number: (RESPONSES[name].status, name) for number, name in enumerate(names, 1)}
    simulator.script_provider(*[ProviderScript(response_at=responses)] * 2)
    async with client_of(simulator) as client:
        raised = [await failure_of(client.send_notification(TOKEN, ALERT)) for _ in names]
    async with client_of(simulator) as client:
        outcomes = [await client.send(TOKEN, ALERT) for _ in names]

    assert [type(error) for error in raised] == [CODES[name] for name in names]
    assert [type(outcome.error) for outcome in outcomes] == [CODES[name] for name in names]
    assert [outcome.reason for outcome in outcomes] == names
    assert [outcome.kind for outcome in outcomes] == [error.kind for error in raised]
    assert all(error.apns_id for error in raised) and len(names) > 15


async def test_an_unknown_reason_survives(simulator):
    """Apple adds some now and then; nor is there a body always."""
    simulator.script_provider(ProviderScript(
        response_at={1: (400, "Novelty"), 2: (418, None)}, split=1))
    async with client_of(simulator) as client:
        named, nameless = [await failure_of(client.send_notification(TOKEN, ALERT))
                           for _ in range(2)]

    assert type(named) is type(nameless) is errors.UnknownResponseError
    assert (named.reason, nameless.reason) == ("Novelty", None)
    assert (named.status, nameless.status) == (400, 418) and "418" in str(nameless)


async def test_a_dead_token_has_its_time(simulator):
    """With it the program decides whether to delete the token."""
    since = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    simulator.devices.uninstall(TOKEN, int(since.timestamp()))
    async with client_of(simulator) as client:
        error = await failure_of(client.send_notification(TOKEN, ALERT))

    assert (type(error), error.timestamp, error.status) == (errors.Unregistered, since, 410)


async def test_a_closed_client_is_a_named_error(simulator):
    """Nothing is sent, and closing it again does nothing."""
    client = await client_of(simulator)
    await client.send_notification(TOKEN, ALERT)
    await asyncio.gather(client.close(), client.aclose())
    await client.close()
    found = await failure_of(client.send_notification(TOKEN, ALERT))
    outcome = await client.send(TOKEN, ALERT)
    with pytest.raises(Closed):
        client.send_many([])

    assert (type(found), found.kind, outcome.kind) == (Closed, Kind.unprocessed, Kind.unprocessed)
    assert (client.closing, client.closed, simulator.accepted_count) == (True, True, 1)


async def test_another_loop_is_a_named_error(simulator):
    """For each way of sending."""
    async with client_of(simulator) as client:
        def use():
            return [asyncio.run(failure_of(make())) for make in (
                lambda: client.send_notification(TOKEN, ALERT), lambda: client.send(TOKEN, ALERT))]

        found = await in_thread(use)
        assert await client.send_notification(TOKEN, ALERT)

    assert [type(error) for error in found] == [RuntimeError] * 2
    assert all("another event loop" in str(error) for error in found)


async def test_closing_waits_for_responses_so_long_as_it_is_told(simulator):
    """What comes in time is returned; what does not is unknown."""
    simulator.script_provider(*[ProviderScript(hold=True)] * 2)
    for timeout, expected in (None, Kind.accepted), (0, Kind.unknown):
        client = await client_of(simulator)
        task = asyncio.ensure_future(client.send(TOKEN, ALERT))
        await happens(simulator, lambda: simulator.held)
        closing = asyncio.ensure_future(client.close(timeout))
        await asyncio.sleep(0)
        assert client.closing
        if timeout is None:
            await in_thread(simulator.release_held)
        assert (await task).kind is expected
        await closing
        assert client.closed


async def test_a_server_that_resets_everything_holds_up_nobody(simulator):
    """Each caller learns that its outcome is unknown, and none twice."""
    simulator.script_provider(*[ProviderScript(reset_at={
        number: frames.INTERNAL_ERROR for number in range(1, 4000)})] * 5)
    async with client_of(simulator) as client:
        outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(500)])

    kinds = {outcome.kind for outcome in outcomes}
    assert kinds <= {Kind.unknown, Kind.unprocessed} and Kind.unknown in kinds
    assert simulator.accepted_count == len(set(simulator.accepted_tokens()))
    assert {each.topic for each in simulator.accepted} == {TOPIC}
