"""Certificates and provider tokens that are refused or expire: what that ends, and what not."""

import asyncio

import pytest

from aio_peers import (
    ALERT,
    TOKEN,
    client_of,
    failure_of,
    happens,
    in_thread,
    provider_token,
    started,
    until,
)
from apnsclient import ProviderToken
from apnsclient.aio import errors
from apnsclient.aio.errors import Kind
from apnsclient.errors import CertificateRefused, ConnectError
from apnsclient.protocols.http2 import frames
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import ProviderScript
from frame_peers import Peer, accept, serve
from http2_support import headers
from stdio_support import AUTHORITY, SSL, Server, hold, over_tls, server_context

pytestmark = pytest.mark.anyio


def token(number):
    """Return a device token."""
    return "%064x" % number


def reasons(found):
    """Return codename and kind of each error."""
    return [(error.codename, error.kind) for error in found]


# Provider tokens.


async def test_the_first_request_is_alone_until_a_token_was_accepted(simulator):
    """Apple allows one stream until then; afterwards there is no such limit."""
    simulator.script_provider(ProviderScript(hold=True))
    async with client_of(simulator, provider_token(simulator), pool_size=1) as client:
        tasks = await started(*[client.send_notification(token(n), ALERT) for n in range(50)])
        await happens(simulator, lambda: simulator.held)
        assert (client.pool.inflight, simulator.held) == (1, 1)
        await in_thread(simulator.release_held)
        await happens(simulator, lambda: simulator.held == 49)
        await in_thread(simulator.release_held)
        assert len(await asyncio.gather(*tasks)) == 50

    assert simulator.accepted_tokens() == [token(n) for n in range(50)]


async def test_an_expired_token_is_renewed_over_another_connection(simulator):
    """Nobody hears of it, and the rejected request is sent again."""
    simulator.script_provider(ProviderScript(response_at={1: "ExpiredProviderToken"}))
    credential = provider_token(simulator)
    before = credential.bearer()
    async with client_of(simulator, credential) as client:
        outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(300)])

    assert all(outcome.is_accepted for outcome in outcomes)
    assert simulator.accepted_tokens() == [token(n) for n in range(300)]
    assert simulator.provider_connections == 2 and credential.bearer() != before


async def test_a_token_that_is_expired_again_ends_the_client(simulator):
    """The clock must be wrong by more than a new token can make up for."""
    simulator.script_provider(*[ProviderScript(response_at={1: "ExpiredProviderToken"})] * 3)
    async with client_of(simulator, provider_token(simulator)) as client:
        found = await asyncio.gather(*[
            failure_of(client.send_notification(token(n), ALERT)) for n in range(30)])
        assert {each.codename for each in found} == {"ExpiredProviderToken"}
        assert client.closing

    assert (simulator.provider_connections, simulator.accepted_count) == (2, 0)


async def test_a_revoked_key_ends_the_pool_with_its_reason(simulator):
    """Callers that wait get it, in the queue or for a place, and so do those who come later."""
    async with client_of(simulator, provider_token(simulator), pool_size=1, queue_size=2) as client:
        await client.send_notification(TOKEN, ALERT)
        simulator.revoke_key(simulator.key_id)
        first = failure_of(client.send_notification(token(1), ALERT))
        tasks = await started(first, *[
            failure_of(client.send_notification(token(n), ALERT)) for n in range(2, 20)])
        found = await asyncio.gather(*tasks)
        found.append(await failure_of(client.send_notification(TOKEN, ALERT)))
        outcome = await client.send(TOKEN, ALERT)
        assert client.closing and "InvalidProviderToken" in client.pool.outcome
        await until(lambda: client.closed)

    assert {type(each) for each in found} == {errors.InvalidProviderToken}
    assert found[0].apns_id is not None
    assert (outcome.kind, type(outcome.error)) == (Kind.undelivered, errors.InvalidProviderToken)
    assert (simulator.accepted_count, simulator.provider_connections) == (1, 1)


async def test_what_concerns_one_topic_ends_nothing(simulator):
    """Nor does having renewed the provider token too often, which is over some time later."""
    simulator.script_provider(ProviderScript(
        response_at={2: "TopicMismatch", 3: "TooManyProviderTokenUpdates", 4: "TopicDisallowed"}))
    async with client_of(simulator) as client:
        await client.send_notification(TOKEN, ALERT)
        found = [await failure_of(client.send_notification(TOKEN, ALERT)) for _ in range(3)]
        await client.send_notification(TOKEN, ALERT)
        assert (client.closing, client.pool.active) == (False, 1)

    assert reasons(found) == [
        ("TopicMismatch", Kind.rejected), ("TooManyProviderTokenUpdates", Kind.unprocessed),
        ("TopicDisallowed", Kind.rejected)]
    assert found[1].retry_after is not None


async def test_a_reason_that_concerns_one_request_leaves_others_where_they_are(simulator):
    """They wait behind it, and are sent although it stops a call of the synchronous client."""
    simulator.script_provider(ProviderScript(
        response_at={1: "TopicMismatch"}, settings={"max_concurrent_streams": 1}))
    async with client_of(simulator, pool_size=1) as client:
        outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(20)])

    assert [each.is_accepted for each in outcomes] == [False] + [True] * 19
    assert outcomes[0].reason == "TopicMismatch"


async def test_requests_of_several_connections_learn_of_a_refused_credential(simulator):
    """Responses that are on their way are waited for; then the client is closed."""
    simulator.script_provider(ProviderScript(hold=True, response_at={2: "BadCertificate"}))
    async with client_of(simulator, pool_size=1) as client:
        tasks = await started(*[client.send(token(n), ALERT) for n in range(3)])
        await happens(simulator, lambda: simulator.held == 3)
        assert not client.closing
        await in_thread(simulator.release_held)
        outcomes = await asyncio.gather(*tasks)
        await until(lambda: client.closed)

    assert [(each.kind, each.reason) for each in outcomes] == [
        (Kind.accepted, None), (Kind.rejected, "BadCertificate"), (Kind.accepted, None)]


async def test_a_reason_in_goaway_ends_the_client():
    """It says why nothing is taken any more; nothing was processed."""
    def refuse(peer):
        peer.greet()
        peer.requests(1)
        peer.say(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
        peer.read_to_end()

    with serve(refuse) as server:
        async with client_of(server) as client:
            found = await asyncio.gather(*[
                failure_of(client.send_notification(TOKEN, ALERT)) for _ in range(3)])
            assert client.closed and len(server.accepted) == 1

    assert {type(each) for each in found} == {errors.BadCertificate}
    assert {each.kind for each in found} == {Kind.undelivered}


@pytest.mark.parametrize("before", [b"", frames.settings_frame(())], ids=["alone", "behind"])
async def test_a_reason_before_a_connection_can_be_used_ends_the_client(before):
    """Instead of the settings, or in one piece with them; no other connection is tried."""
    def turn_away(peer):
        if is_kind:
            peer.greet()
            peer.say(headers(peer.requests(1)[0]))
        else:
            peer.say(before + frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
            hold(peer.tls)

    is_kind = True
    with serve(turn_away) as server:
        async with client_of(server) as client:
            await client.send_notification(TOKEN, ALERT)
            await until(lambda: not client.pool.hub.links)
            is_kind = False
            found = await asyncio.gather(*[
                failure_of(client.send_notification(TOKEN, ALERT)) for _ in range(3)])
            assert client.closed and len(server.accepted) == 2
        with pytest.raises(ConnectError, match="is ending the connection .BadCertificate"):
            await client_of(server)

    assert {(type(each), each.kind) for each in found} == {
        (errors.BadCertificate, Kind.undelivered)}


async def test_a_token_that_has_expired_by_goaway_is_renewed(simulator):
    """As with a response that says so: nobody hears of it."""
    def take(peer):
        peer.greet()
        if len(server.accepted) == 1:
            peer.requests(1)
            peer.say(frames.goaway(0, frames.NO_ERROR, b'{"reason":"ExpiredProviderToken"}'))
            peer.read_to_end()
        else:
            accept(peer)

    credential = provider_token(simulator)
    before = credential.bearer()
    with serve(take, asks_client=False) as server:
        async with client_of(server, credential) as client:
            outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(30)])

    assert all(outcome.is_accepted for outcome in outcomes)
    assert len(server.accepted) == 2 and credential.bearer() != before


# Certificates.


async def test_a_refused_certificate_is_a_named_error(simulator):
    """With TLS 1.3 the server says so only after the handshake."""
    for certificate in (simulator.client_certificate(foreign=True),
                        simulator.client_certificate(expired=True)):
        with pytest.raises(CertificateRefused, match="certificate"):
            await client_of(simulator, certificate)


async def test_a_certificate_that_is_refused_later_ends_the_pool():
    """Whoever waits for the next connection hears of it, and it is not tried again."""
    def take_one(peer):
        peer.greet()
        peer.say(headers(peer.requests(1)[0]))

    def take(accepted):
        is_first = len(server.accepted) == 1
        context = server_context(client_authority=AUTHORITY if is_first else Authority())
        context.set_alpn_select_callback(lambda tls, offered: b"h2")
        over_tls(lambda tls: take_one(Peer(tls)), context)(accepted)

    with Server(take, ignore=(SSL.Error, EOFError)) as server:
        async with client_of(server) as client:
            await client.send_notification(TOKEN, ALERT)
            await until(lambda: not client.pool.hub.links)
            found = await asyncio.gather(*[
                failure_of(client.send_notification(TOKEN, ALERT)) for _ in range(5)])
            assert client.closed and len(server.accepted) == 2

    assert {type(each) for each in found} == {CertificateRefused}


async def test_no_certificate_is_needed_with_a_provider_token(simulator):
    """The key may come as text; its identifiers are in the token."""
    credential = ProviderToken(key_id=simulator.key_id, team_id=simulator.team_id,
                               key_string=simulator.key_string)
    async with client_of(simulator, credential) as client:
        assert await client.send_notification(TOKEN, ALERT)
