"""One connection by itself: requests, responses, back pressure, and its end."""

import asyncio
import threading

import pytest

from aio_peers import (
    ALERT,
    TOKEN,
    connection_to,
    failure_of,
    happens,
    in_thread,
    new_request,
    started,
    until,
)
from apnsclient.aio.connection import Request
from apnsclient.aio.errors import Blocked, Closed, Kind, StreamReset, Timeout
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import accept, accept_all, serve
from http2_support import headers, response, status_block
from stdio_support import Gate

pytestmark = pytest.mark.anyio

LIMIT_1 = [(frames.MAX_CONCURRENT_STREAMS, 1)]


def kinds(errors):
    """Return type and kind of each error."""
    return [(type(error), error.kind) for error in errors]


# Requests and responses.


async def test_a_response_is_a_value(apple, tmp_path):
    """Whatever its status: code, header, data, and what of them has a name."""
    apple.script_provider(ProviderScript(response_at={2: "BadPriority", 3: (503, None)},
                                         upper_case_ids=True))
    async with connection_to(tmp_path, apple) as connection:
        accepted, rejected, bare = [
            await connection.post(new_request(data=data))
            for data in (ALERT, '{"aps":{"alert":"text"}}', b'{"aps":{"alert":"bytes"}}')]
        other = await connection.post(new_request("not a token", method="GET"))

    assert (accepted.code, accepted.data, accepted.reason) == (200, None, None)
    assert accepted.apns_id == accepted.header["apns-id"].lower() != accepted.header["apns-id"]
    assert (rejected.code, rejected.data, rejected.reason) == (
        400, {"reason": "BadPriority"}, "BadPriority")
    assert (bare.code, bare.data, bare.reason) == (503, None, None)
    assert (other.code, other.reason) == (405, "MethodNotAllowed")
    assert repr(accepted).endswith("Response 200>") and "BadPriority" in repr(rejected)
    assert apple.accepted[0].payload == b'{"aps":{"alert":"hello"}}'


async def test_a_body_over_several_frames_is_whole(apple, tmp_path):
    """One byte in each of them, with padding."""
    apple.script_provider(ProviderScript(response_at={1: "DeviceTokenNotForTopic"}, split=1,
                                         padding=3))
    async with connection_to(tmp_path, apple) as connection:
        said = await connection.post(new_request())

    assert said.reason == "DeviceTokenNotForTopic"


async def test_responses_are_matched_by_stream(tmp_path):
    """They come in the opposite order, and all in one piece."""
    def turn_round(peer):
        peer.greet()
        streams = peer.requests(20)
        peer.say(*[headers(stream, status_block(200 + stream)) for stream in reversed(streams)])
        peer.read_to_end()

    with serve(turn_round) as server:
        async with connection_to(tmp_path, server) as connection:
            said = await asyncio.gather(*[connection.post(new_request()) for _ in range(20)])

    assert [each.code for each in said] == [201 + 2 * number for number in range(20)]


async def test_five_thousand_errors_stall_nothing(apple, tmp_path):
    """Their bodies are many times as long as the windows."""
    apple.devices.add("%064x" % 0)
    apple.devices.strict = True
    async with connection_to(tmp_path, apple) as connection:
        statuses = []
        while len(statuses) < 5000:
            said = await asyncio.gather(*[connection.post(new_request()) for _ in range(50)])
            statuses += [each.code for each in said]
        last = await connection.post(new_request("%064x" % 0))

    assert (set(statuses), last.code, apple.provider_connections) == ({400}, 200, 1)


# Back pressure.


async def test_a_connection_without_room_is_blocked(tmp_path):
    """It says so, it says when that is over, and takes nothing in between."""
    gate = Gate()

    def hesitate(peer):
        peer.greet(LIMIT_1)
        streams = peer.requests(1)
        gate.wait()
        peer.say(headers(streams[0]))
        accept(peer)

    with serve(hesitate) as server:
        async with connection_to(tmp_path, server) as connection:
            assert not connection.blocked
            await connection.wait_until_unblocked()
            first, = await started(connection.post(new_request()))
            assert connection.blocked
            assert kinds([await failure_of(connection.post(new_request()))]) == [
                (Blocked, Kind.unprocessed)]
            waiters = await started(*[connection.wait_until_unblocked() for _ in range(3)])
            waiters[0].cancel()
            gate.open()
            await asyncio.wait(waiters)
            assert not connection.blocked and waiters[0].cancelled()
            assert (await first).code == (await connection.post(new_request())).code == 200


async def test_a_higher_limit_of_streams_unblocks(tmp_path):
    """Without a response to anything."""
    gate = Gate()

    def allow(peer):
        peer.greet(LIMIT_1)
        peer.requests(1)
        gate.wait()
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 2)]))
        peer.say(*[headers(stream) for stream in peer.requests(2)])
        accept(peer)

    with serve(allow) as server:
        async with connection_to(tmp_path, server) as connection:
            first, = await started(connection.post(new_request()))
            assert connection.blocked
            gate.open()
            await connection.wait_until_unblocked()
            assert not first.done()
            assert (await connection.post(new_request())).code == (await first).code == 200


async def test_a_peer_that_does_not_read_blocks(tmp_path):
    """What it does not take is not collected without bound; once it reads, everything arrives."""
    gate = Gate()

    def stop_reading(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, frames.LARGEST_WINDOW),
                    (frames.MAX_CONCURRENT_STREAMS, 1000000)])
        peer.say(frames.window_update(0, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW))
        gate.wait()
        accept(peer)

    with serve(stop_reading) as server:
        async with connection_to(tmp_path, server) as connection:
            data = "x" * 200000
            tasks = []
            while not connection.blocked:
                tasks += await started(connection.post(new_request(data=data)))
                assert len(tasks) < 1000
                await asyncio.sleep(0)
            gate.open()
            await connection.wait_until_unblocked()
            assert {each.code for each in await asyncio.gather(*tasks)} == {200}


async def test_whoever_waits_for_room_hears_of_the_end(tmp_path):
    """No room will ever be there."""
    gate = Gate()

    def leave(peer):
        peer.greet(LIMIT_1)
        peer.requests(1)
        gate.wait()

    with serve(leave) as server:
        async with connection_to(tmp_path, server) as connection:
            first, waiter = await started(connection.post(new_request()),
                                          connection.wait_until_unblocked())
            await asyncio.sleep(0)
            gate.open()
            errors = [await failure_of(first), await failure_of(waiter)]

    assert kinds(errors) == [(Closed, Kind.unknown), (Closed, Kind.unprocessed)]


# What goes wrong with single requests.


async def test_a_refused_stream_hangs_nobody(apple, tmp_path):
    """It was not processed, and goes out again over the same connection."""
    apple.script_provider(ProviderScript(reset_at={
        number: frames.REFUSED_STREAM for number in range(3, 8)}))
    async with connection_to(tmp_path, apple) as connection:
        said = await asyncio.gather(*[
            connection.post(new_request("%064x" % number)) for number in range(20)])

    assert [each.code for each in said] == [200] * 20
    assert sorted(int(token, 16) for token in apple.accepted_tokens()) == list(range(20))


async def test_a_stream_that_is_reset_is_unknown(apple, tmp_path):
    """The server may have processed it, and others are none the worse for it."""
    apple.script_provider(ProviderScript(reset_at={2: frames.INTERNAL_ERROR}))
    async with connection_to(tmp_path, apple) as connection:
        first, error, third = [
            await connection.post(new_request()),
            await failure_of(connection.post(new_request())),
            await connection.post(new_request())]

    assert (first.code, third.code) == (200, 200)
    assert kinds([error]) == [(StreamReset, Kind.unknown)] and "INTERNAL_ERROR" in str(error)
    assert apple.accepted_count == 3


async def test_a_request_has_its_time(tmp_path):
    """Then its stream is reset, and others go on."""
    def forget(peer):
        peer.greet()
        stream, = peer.requests(1)
        peer.await_frame((frames.RST_STREAM, 0, stream, b"\0\0\0\x08"))
        # Where it took long, the client wants to know whether anybody is there.
        for kind, flags, _, payload in peer.seen:
            if kind == frames.PING and not flags & frames.ACK:
                peer.say(frames.ping(payload, True))
        accept(peer)

    with serve(forget) as server:
        async with connection_to(tmp_path, server) as connection:
            # A slow machine has to write it in that time.
            error = await failure_of(connection.post(new_request(timeout=0.5)))
            assert (await connection.post(new_request())).code == 200
            assert (connection.pending, connection.inflight) == (0, 0)

    assert kinds([error]) == [(Timeout, Kind.unknown)]


async def test_a_header_field_that_cannot_be_sent_is_an_error_at_once():
    """The name and the value are checked where the request is made."""
    for header in {"a b": "c"}, {"a": "b\nc"}, {"a": ""}, {"": "b"}:
        with pytest.raises(ValueError, match="header field"):
            Request.new("/", header, b"")


# The end.


async def test_goaway_loses_no_response(apple, tmp_path):
    """Those that are late come; what the server has not processed says so."""
    apple.script_provider(ProviderScript(goaway_after=4, late=2, goaway_delay=0.05,
                                         goaway_reason="Shutdown"))
    async with connection_to(tmp_path, apple) as connection:
        tasks = await started(*[connection.post(new_request()) for _ in range(6)])
        await until(lambda: connection.closing)
        late = await failure_of(connection.post(new_request()))
        said = await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: connection.closed)
        assert "Shutdown" in connection.outcome and "Shutdown" in repr(connection)

    assert [each.code for each in said[:4]] == [200] * 4
    assert kinds(said[4:] + [late]) == [(Closed, Kind.unprocessed)] * 3
    assert apple.accepted_count == 4


async def test_what_was_written_and_not_answered_is_unknown(apple, tmp_path):
    """Where the connection ends; nothing is sent again."""
    for ending in "close_after", "reset_after", "garbage_after":
        before = apple.accepted_count
        apple.script_provider(ProviderScript(late=2, **{ending: 3}))
        async with connection_to(tmp_path, apple) as connection:
            said = await asyncio.gather(*[connection.post(new_request()) for _ in range(3)],
                                        return_exceptions=True)
            await until(lambda: connection.closed)  # pylint: disable=cell-var-from-loop
            assert kinds([await failure_of(connection.post(new_request()))]) == [
                (Closed, Kind.unprocessed)]

        assert said[0].code == 200 and kinds(said[1:]) == [(Closed, Kind.unknown)] * 2
        assert apple.accepted_count == before + 3


async def test_the_states_of_a_connection(tmp_path):
    """Active, closing while responses are to come, closed."""
    gates = Gate(), Gate()

    def leave(peer):
        peer.greet()
        streams = peer.requests(2)
        gates[0].wait()
        peer.say(frames.goaway(streams[-1], frames.NO_ERROR))
        gates[1].wait()
        peer.say(response(streams[1], 410, b'{"reason":"Unregistered","timestamp":5}'),
                 headers(streams[0]))
        peer.read_to_end()

    with serve(leave) as server:
        async with connection_to(tmp_path, server) as connection:
            def seen():
                return (connection.state, connection.closing, connection.closed, connection.blocked,
                        connection.pending, connection.inflight, connection.buffered)

            assert seen() == ("active", False, False, False, 0, 0, 0)
            assert connection.outcome is None
            tasks = await started(*[connection.post(new_request()) for _ in range(2)])
            assert seen() == ("active", False, False, False, 2, 0, 2)
            await until(lambda: connection.inflight)
            assert seen() == ("active", False, False, False, 2, 2, 0)
            gates[0].open()
            await until(lambda: connection.closing)
            assert seen() == ("closing", True, False, True, 2, 2, 0)
            gates[1].open()
            assert [each.code for each in await asyncio.gather(*tasks)] == [200, 410]
            await until(lambda: connection.closed)
            assert seen() == ("closed", True, True, True, 0, 0, 0)
            assert "NO_ERROR" in connection.outcome


async def test_closing_leaves_nobody_behind(tmp_path):
    """What is in flight is unknown; the server is told, and hears the end of TLS."""
    heard = Gate()

    def listen(peer):
        peer.greet()
        peer.requests(2)
        peer.read_to_end()
        if peer.seen[-1][0] == frames.GOAWAY:
            heard.open()

    with serve(listen) as server:
        async with connection_to(tmp_path, server) as connection:
            tasks = await started(*[connection.post(new_request()) for _ in range(2)])
            await until(lambda: connection.inflight)
            await asyncio.gather(connection.close(), connection.close())
            errors = [await failure_of(task) for task in tasks]
            errors.append(await failure_of(connection.post(new_request())))
            await in_thread(heard.wait)

    assert kinds(errors) == [(Closed, Kind.unknown)] * 2 + [(Closed, Kind.unprocessed)]
    assert connection.closed and connection.outcome == "it was closed"


async def test_another_loop_is_a_named_error(apple, tmp_path):
    """Not a hang."""
    async with connection_to(tmp_path, apple) as connection:
        errors = []

        def use():
            errors.append(asyncio.run(failure_of(connection.post(new_request()))))

        thread = threading.Thread(target=use)
        thread.start()
        await in_thread(thread.join)
        assert (await connection.post(new_request())).code == 200

    assert isinstance(errors[0], RuntimeError) and "another event loop" in str(errors[0])


async def test_a_connection_serves_others_than_devices(apple, tmp_path):
    """The path is anything, the method too."""
    async with connection_to(tmp_path, apple) as connection:
        said = await connection.post(Request.new("/no/such/path", None, {}))

    assert (said.code, said.reason) == (404, "BadPath")


async def test_peers_of_any_manner_are_understood(apple, tmp_path):
    """Compressed headers, trailers, interim responses, PINGs, and frames of unknown types."""
    apple.script_provider(ProviderScript(
        compressed=True, trailers=True, interim=True, pings=2, noise=True, piece=3,
        response_at={5: "Unregistered"}))
    async with connection_to(tmp_path, apple) as connection:
        said = [await connection.post(new_request(TOKEN)) for _ in range(10)]
        await happens(apple, lambda: apple.accepted_count == 9)

    assert [each.code for each in said] == [200] * 4 + [410] + [200] * 5


async def test_accepting_peers_need_no_certificate(tmp_path):
    """A context without one presents none."""
    with serve(accept_all, asks_client=False) as server:
        async with connection_to(tmp_path, server) as connection:
            assert (await connection.post(new_request())).code == 200
