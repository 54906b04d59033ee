"""A notification whose time is over already is not sent."""

import asyncio

import pytest

from apnsclient.aio import errors
from apnsclient.aio.api import create_client
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
