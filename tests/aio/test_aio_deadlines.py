"""A notification whose time is over already is not sent, and what has ended needs no time."""

import asyncio

import pytest

from apnsclient.aio import errors
from apnsclient.aio._deadlines import Deadlines
from apnsclient.aio.api import create_client
from apnsclient.aio.connection import Request
from net_support import make_tokens

pytestmark = pytest.mark.anyio

TOKENS = make_tokens(50)
CONTENT = {"aps": {"alert": "x"}}


@pytest.mark.parametrize("option", ["timeout", "deadline"])
async def test_what_is_late_when_it_comes_is_not_sent(apple, ca_file, cert_file, option):
    """Not even with room for it; the kind says so, and others that come with it are sent."""
    loop = asyncio.get_running_loop()
    async with create_client(cert_file, apple.provider_address, cafile=ca_file) as client:
        late = {option: -1 if option == "timeout" else loop.time() - 1}
        outcomes = await asyncio.gather(*[
            client.send(token, CONTENT, topic="com.example.app", **(late if number % 2 else {}))
            for number, token in enumerate(TOKENS)])
        assert {outcome.kind for outcome in outcomes[1::2]} == {errors.Kind.unprocessed}
        assert {type(outcome.error) for outcome in outcomes[1::2]} == {errors.Timeout}
        assert all(outcome.is_accepted for outcome in outcomes[::2])
    assert sorted(apple.accepted_tokens()) == sorted(TOKENS[::2])


async def test_a_time_of_0_is_over(apple, ca_file, cert_file):
    """One after the other, too."""
    async with create_client(cert_file, apple.provider_address, cafile=ca_file) as client:
        for token in TOKENS[:3]:
            with pytest.raises(errors.Timeout):
                await client.send_notification(token, CONTENT, topic="com.example.app", timeout=0)
    assert apple.accepted_tokens() == []


@pytest.mark.parametrize("option", ["timeout", "deadline"])
async def test_what_is_no_time_is_an_error_at_once(apple, ca_file, cert_file, option):
    """Among the deadlines of others it would be in nobody's order, and theirs would never come."""
    strange = {option: float("nan")}
    async with create_client(cert_file, apple.provider_address, cafile=ca_file) as client:
        with pytest.raises(ValueError, match="nan"):
            await client.send_notification(TOKENS[0], CONTENT, topic="com.example.app", **strange)
        with pytest.raises(ValueError, match="nan"):
            Request.new("/3/device/" + TOKENS[0], None, CONTENT, **strange)
        assert client.pool.pending == 0
    assert apple.accepted_tokens() == []


class Waiter:
    """What has a deadline."""

    is_over = False

    def expire(self):
        """Note that its time is over."""
        assert not self.is_over
        self.is_over = True


async def test_what_has_ended_is_no_reason_to_wake_up():
    """However many there are before the first that has not, and although it comes last."""
    deadlines, waiters = Deadlines(), [Waiter() for _ in range(10)]
    for number, waiter in enumerate(waiters):
        deadlines.add(float(number), waiter)
    for waiter in waiters[:3] + waiters[4:9]:
        waiter.is_over = True
    assert deadlines.first() == 3.0
    deadlines.expire(8.0)
    assert waiters[3].is_over and deadlines.first() == 9.0
    waiters[9].is_over = True
    assert deadlines.first() is None and len(deadlines) == 0


async def test_little_is_kept_of_what_has_ended_before_its_time():
    """Whatever waits in front of it; what has not ended is kept, in order."""
    deadlines, waiting = Deadlines(), [Waiter() for _ in range(10)]
    for number, waiter in enumerate(waiting):
        deadlines.add(float(number), waiter)
    for _ in range(10000):
        waiter = Waiter()
        deadlines.add(100.0, waiter)
        waiter.is_over = True
    assert len(deadlines) < 2000
    for number, waiter in enumerate(waiting):
        assert deadlines.first() == float(number)
        deadlines.expire(float(number))
        assert waiter.is_over
    # It looks at some of them at a time.
    before, found = len(deadlines), deadlines.first()
    assert (found, before - len(deadlines)) == (100.0, 256)
    assert [deadlines.first() for _ in range(10)][-1] is None
