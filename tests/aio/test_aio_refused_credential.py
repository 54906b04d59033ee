"""What callers learn when Apple refuses the credential: nothing more can be sent with it."""

import asyncio
import traceback

import pytest

from apnsclient import ProviderToken
from apnsclient.aio import Kind, Notification, create_client
from apnsclient.aio.errors import InvalidProviderToken
from apnsclient.errors import CertificateRefused
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

_TOKENS = ["%064x" % number for number in range(30)]


@pytest.fixture
def new_client(apple):
    """A function that makes a client whose provider token is refused at once."""
    apple.script_provider(ProviderScript(response_at={1: "InvalidProviderToken"}))

    def make(**options):
        return create_client(
            ProviderToken(**apple.token_parameters), apple.provider_address,
            ca_string=apple.ca_string, topic="com.example.dinner", **options)

    return make


async def test_what_was_not_sent_is_undelivered(new_client, apple):
    """One has the response; others wait in the queue, or for a place in it, or come later."""
    async with new_client(queue_size=5) as client:
        outcomes = await asyncio.gather(*[
            client.send(token, Notification("x")) for token in _TOKENS[:-1]])
        outcomes.append(await client.send(_TOKENS[-1], Notification("x")))

    assert {outcome.reason for outcome in outcomes} == {"InvalidProviderToken"}
    assert [(outcome.kind, outcome.status) for outcome in outcomes] == [
        (Kind.rejected, 403)] + [(Kind.undelivered, None)] * 29
    assert len(apple.errors) == 1 and not apple.accepted


async def test_each_caller_has_an_exception_of_its_own(new_client):
    """A traceback keeps what its frames have, and would grow with each caller."""
    async with new_client(queue_size=5) as client:
        errors = await asyncio.gather(*[
            client.send_notification(token, Notification("x")) for token in _TOKENS],
            return_exceptions=True)
        for _ in range(3):
            with pytest.raises(InvalidProviderToken) as raised:
                await client.send_notification(_TOKENS[0], Notification("x"))
            errors.append(raised.value)

    assert len({id(error) for error in errors}) == len(errors)
    assert {type(error) for error in errors} == {InvalidProviderToken}
    assert all(len(list(traceback.walk_tb(error.__traceback__))) < 10 for error in errors)


async def test_a_certificate_that_is_refused_later_is_an_outcome(apple):
    """It was good when the client was made; then the server of a further connection refuses it."""
    certificate = apple.client_certificate(topic="com.example.dinner")
    async with create_client(certificate, apple.provider_address,
                             ca_string=apple.ca_string) as client:
        client.pool.hub.failure = CertificateRefused("certificate revoked")
        client.pool.hub.schedule()
        outcomes = [await client.send(token, Notification("x")) for token in _TOKENS[:2]]
        with pytest.raises(CertificateRefused):
            await client.send_notification(_TOKENS[2], Notification("x"))

    assert [(outcome.kind, type(outcome.error)) for outcome in outcomes] == [
        (Kind.undelivered, CertificateRefused)] * 2
    assert not apple.accepted
