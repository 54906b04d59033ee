"""Where send_many() has its notifications from: iterables that fail, wait, or never end."""

import asyncio
import gc
import time

import pytest

from apnsclient.aio.api import create_client
from stdio_support import SOON

pytestmark = pytest.mark.anyio

TOKEN = "ab" * 32
PAYLOAD = {"aps": {"alert": "x"}}
GOOD = TOKEN, PAYLOAD


def new_client(apple, **options):
    """Begin to make a client of the simulator."""
    options.setdefault("timeout", SOON)
    return create_client(apple.cert_string, apple.provider_address, ca_string=apple.ca_string,
                         topic="com.example.app", **options)


async def collect(generator):
    """Return the kinds of all outcomes, and what was raised after them."""
    kinds = []
    try:
        async for outcome in generator:
            kinds.append(outcome.kind.value)
    except BaseException as error:  # pylint: disable=broad-except
        return kinds, error
    return kinds, None


async def later(values, error=None):
    """Yield values, and raise an exception."""
    for value in values:
        yield value
    if error is not None:
        raise error


@pytest.mark.parametrize("value", [TOKEN, (TOKEN,), (TOKEN, PAYLOAD, 1), None, 7])
async def test_what_is_no_pair_is_an_error_of_the_iterable(apple, value):
    """It says what was expected, after the outcomes of what came before it."""
    async with new_client(apple) as client:
        for values in [GOOD, value, GOOD], later([GOOD, value, GOOD]):
            kinds, error = await collect(client.send_many(values))
            assert kinds == ["accepted"]
            assert isinstance(error, TypeError) and TOKEN not in str(error)
            assert str(error).endswith("expected (token, notification)")


@pytest.mark.parametrize("is_ordered", [False, True])
async def test_a_notification_that_cannot_be_made_is_an_outcome(apple, is_ordered):
    """Whatever is raised by what the program has given."""
    endless = {}
    endless["endless"] = endless
    deep = PAYLOAD
    for _ in range(100000):
        deep = {"deep": deep}
    async with new_client(apple) as client:
        values = [GOOD, (TOKEN, endless), (TOKEN, deep), (TOKEN, None), GOOD]
        kinds, error = await collect(client.send_many(values, ordered=is_ordered))
        sent = [await client.send(*value) for value in values]

    expected = ["accepted"] + 3 * ["undelivered"] + ["accepted"]
    assert error is None and sorted(kinds) == sorted(expected)
    assert not is_ordered or kinds == expected
    assert [outcome.kind.value for outcome in sent] == expected
    # It is taken apart step by step: the interpreter's stack may be too small for the whole.
    while deep:
        deep = deep.pop("deep", None)


async def test_a_client_that_is_closed_has_an_outcome_for_each(apple):
    """Also for those that could not be sent anyway."""
    client = await new_client(apple)
    generator = client.send_many([GOOD, (TOKEN, None), GOOD])
    await client.close()
    kinds, error = await collect(generator)

    assert error is None
    assert sorted(kinds) == ["undelivered", "unprocessed", "unprocessed"]


async def test_an_iterable_that_is_cancelled_has_not_ended(apple):
    """What it did not yield was not sent, and the caller has to know."""
    async with new_client(apple) as client:
        kinds, error = await collect(client.send_many(later([GOOD], asyncio.CancelledError())))

    assert kinds == ["accepted"] and isinstance(error, asyncio.CancelledError)


async def test_an_iterable_is_closed_before_its_caller_goes_on(apple):
    """What it cleans up is clean."""
    steps = []

    async def endless():
        try:
            while True:
                yield GOOD
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    async with new_client(apple) as client:
        source = endless()
        generator = client.send_many(source, window=1)
        async for _ in generator:
            break
        await generator.aclose()
        await source.aclose()
        steps.append("left")
        assert client.pool.pending == 0

    assert steps == ["cleaned up", "left"]


async def test_the_error_of_an_iterable_is_nothing_to_a_caller_that_has_left(apple):
    """It had yielded more than was asked for; asyncio does not complain either."""
    async with new_client(apple) as client:
        generator = client.send_many(later(5 * [GOOD], ValueError("x")), window=1)
        async for _ in generator:
            break
        await generator.aclose()
        del generator
        gc.collect()
        await asyncio.sleep(0)


async def test_an_iterable_that_takes_its_time_leaves_some_to_others(apple):
    """The loop goes on after a few milliseconds, however slow it is."""
    turns = []

    def slow():
        for number in range(40):
            time.sleep(0.006)
            turns.append(number)
            yield GOOD

    async def count():
        while True:
            turns.append("other")
            await asyncio.sleep(0)

    async with new_client(apple) as client:
        counting = asyncio.ensure_future(count())
        kinds, _ = await collect(client.send_many(slow()))
        counting.cancel()

    assert len(kinds) == 40
    ours = [index for index, turn in enumerate(turns) if turn != "other"]
    assert all(after > before + 1 for before, after in zip(ours, ours[1:]))
