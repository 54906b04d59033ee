"""Scripts of the simulated provider API: each misbehaviour, as a client sees it."""

from __future__ import absolute_import, division, print_function

import threading

import pytest
from OpenSSL import SSL

from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript, RequestScript, Simulator
from provider_client import TOKEN, events, with_certificate, with_token
from simulator_client import reset

pytestmark = pytest.mark.timeout(240)

HANG = 150


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


def scripted(apns, **options):
    """Connect, with a script for the connection."""
    apns.script_provider(ProviderScript(**options))
    return with_certificate(apns)


def send(client, count):
    """Send so many requests to devices 1, 2, ... in one go; return their streams."""
    return [client.request("/3/device/%064x" % number, is_last=number == count)
            for number in range(1, count + 1)]


def accepted(apns):
    return [int(token, 16) for token in apns.accepted_tokens()]


# What becomes of requests.


def test_single_requests_get_other_responses(apns):
    """A documented reason, a made-up one, and a status without a body; none is processed."""
    with scripted(apns, response_at={2: "InternalServerError", 3: (418, "Teapot"),
                                   4: (503, None)}) as client:
        responses = [client.response(stream) for stream in send(client, 5)]

    assert [(response.status, response.said) for response in responses] == [
        (200, None), (500, {"reason": "InternalServerError"}), (418, {"reason": "Teapot"}),
        (503, None), (200, None)]
    assert accepted(apns) == [1, 5]
    assert [(each.status, each.reason) for each in apns.errors] == [
        (500, "InternalServerError"), (418, "Teapot"), (503, None)]


def test_single_streams_are_reset(apns):
    """With REFUSED_STREAM nothing was processed; with other codes it was."""
    with scripted(apns, reset_at={1: frames.REFUSED_STREAM, 2: frames.INTERNAL_ERROR}) as client:
        first, second, third = send(client, 3)
        assert client.was_refused(first) == frames.REFUSED_STREAM
        assert client.was_refused(second) == frames.INTERNAL_ERROR
        assert client.response(third).status == 200
    assert accepted(apns) == [2, 3]


def test_single_requests_are_processed_and_have_no_response(apns):
    """The others have their responses; the stream stays open."""
    with scripted(apns, no_response_at=[1]) as client:
        first, second = send(client, 2)
        assert client.response(second).status == 200
        client.h2.ping(b"12345678")
        client.flush()
        client.wait(lambda: client.of(events.PingAckReceived))
        assert client.of(events.ResponseReceived, first) == []
    assert accepted(apns) == [1, 2]


def test_single_responses_are_late(apns):
    """They come after those of later requests, and they do come."""
    with scripted(apns, delay_at={1: 0.05}) as client:
        first, second = send(client, 2)
        assert client.response(first).status == client.response(second).status == 200
        assert [event.stream_id for event in client.of(events.ResponseReceived)] == [second, first]


def test_all_responses_are_late(apns):
    """Every request is accepted before the first response."""
    with scripted(apns, delay=0.05) as client:
        streams = send(client, 3)
        assert apns.wait_for(lambda: apns.accepted_count == 3, HANG)
        assert [client.response(stream).status for stream in streams] == [200] * 3


def test_responses_that_are_held_back(apns):
    """They come when they are released, and not before; those of a client that left are dropped."""
    with scripted(apns, hold=True) as client:
        streams = send(client, 3)
        assert apns.wait_for(lambda: apns.held == 3, HANG)
        client.h2.ping(b"12345678")
        client.flush()
        client.wait(lambda: client.of(events.PingAckReceived))
        assert client.of(events.ResponseReceived) == []
        assert apns.release_held() == 3
        assert [client.response(stream).status for stream in streams] == [200] * 3
        send(client, 2)
        assert apns.wait_for(lambda: apns.held == 2, HANG)
        reset(client.socket)
    assert apns.wait_for(lambda: apns.held == 0, HANG)
    assert apns.release_held() == 0


def test_the_stream_limit_counts_what_has_no_response(apns):
    """A client that opens more than it may learns so while the responses are held back."""
    with scripted(apns, hold=True, settings={"max_concurrent_streams": 2}) as client:
        client.wait(lambda: client.of(events.RemoteSettingsChanged))
        client.h2.remote_settings[3] = 100
        client.h2.remote_settings.acknowledge()
        streams = send(client, 3)
        assert client.was_refused(streams[2]) == frames.REFUSED_STREAM
        apns.release_held()
        assert [client.response(stream).status for stream in streams[:2]] == [200, 200]
    assert accepted(apns) == [1, 2]


def test_a_late_response_to_a_client_that_left_goes_nowhere(apns, caplog):
    """Neither the simulator nor its log minds."""
    with scripted(apns, delay=0.05) as client:
        send(client, 1)
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
        reset(client.socket)
    assert apns.wait_for(lambda: apns.open_provider_connections == 0, HANG)
    with scripted(apns, delay=0.05) as client:
        assert client.push().status == 200
    assert caplog.records == []


# How the connection ends.


def test_goaway_with_what_is_late(apns):
    """Requests up to the last id have responses, though late; those above it are not processed."""
    with scripted(apns, goaway_after=4, late=2, goaway_reason="Shutdown", goaway_timestamp=7,
                  goaway_code=0, goaway_delay=0.02) as client:
        # h2 takes no responses after GOAWAY, so the frames are looked at.
        raw = []
        client.h2.receive_data = lambda data: raw.append(data) or []
        streams = send(client, 6)
        client.read_to_end()

    seen = [(kind, stream, payload) for kind, _, stream, payload
            in frames.FrameReader().feed(b"".join(raw)) if kind in (frames.HEADERS, frames.GOAWAY)]
    assert [stream for _, stream, _ in seen] == streams[:2] + [0] + streams[2:4]
    assert frames.read_goaway(seen[2][2]) == (
        streams[3], 0, b'{"reason": "Shutdown", "timestamp": 7}')
    assert accepted(apns) == [1, 2, 3, 4]


def test_goaway_closes_in_spite_of_what_gets_no_response(apns):
    """Whether a script of the connection, or of a request, leaves it out; others are waited for."""
    for options, script in [({"no_response_at": [1], "goaway_after": 3}, None),
                            ({"goaway_after": 3}, RequestScript(no_response=True))]:
        if script is not None:
            apns.faults.script_requests(script)
        with scripted(apns, delay_at={2: 0.01}, **options) as client:
            raw = []
            client.h2.receive_data = lambda data: raw.append(data) or []
            streams = send(client, 3)
            client.read_to_end()
        seen = [stream for kind, _, stream, _ in frames.FrameReader().feed(b"".join(raw))
                if kind == frames.HEADERS]
        assert seen == [streams[2], streams[1]]
        assert apns.wait_for(lambda: apns.open_provider_connections == 0, HANG)
    with scripted(apns, no_response_at=[1]) as client:
        send(client, 1)
        assert apns.wait_for(lambda: len(apns.accepted) == 7, HANG)
        assert apns.goaway_all() == 1
        client.read_to_end()


def test_goaway_that_leaves_the_closing_to_the_client(apns):
    """The connection stays open, PINGs are acknowledged, and nothing more is processed."""
    with scripted(apns, goaway_after=1, goaway_stays=True, goaway_last=0,
                  goaway_code=11) as client:
        raw = []
        send(client, 1)
        client.wait(lambda: client.of(events.ConnectionTerminated))
        event, = client.of(events.ConnectionTerminated)
        assert (event.last_stream_id, event.error_code, event.additional_data) == (0, 11, None)
        client.h2.receive_data = lambda data: raw.append(data) or []
        client.tls.sendall(frames.ping(b"12345678"))
        client.wait(lambda: frames.ping(b"12345678", is_ack=True) in b"".join(raw))
        assert apns.open_provider_connections == 1


def test_a_warning_comes_before_goaway(apns):
    """A GOAWAY that allows for all streams changes nothing but that it was sent."""
    with scripted(apns, warning_after=1) as client:
        raw = []
        client.h2.receive_data = lambda data: raw.append(data) or []
        send(client, 3)
        client.wait(lambda: apns.accepted_count == 3)
        client.wait(lambda: b"".join(raw).count(b"apns-id") == 3)
    assert frames.goaway(0x7FFFFFFF, 0) in b"".join(raw)


@pytest.mark.parametrize("late, responses", [(0, 2), (1, 1), (2, 0)])
def test_closing_without_goaway(apns, late, responses):
    """The last requests can be left without a response though they were processed."""
    with scripted(apns, close_after=2, late=late) as client:
        send(client, 4)
        client.read_to_end()
        assert len(client.of(events.ResponseReceived)) == responses
        assert client.of(events.ConnectionTerminated) == []
    assert accepted(apns) == [1, 2]


def test_a_reset_of_the_connection(apns):
    """After two requests, which were processed; at once, before anything."""
    with scripted(apns, reset_after=2) as client:
        send(client, 2)
        assert client.has_been_reset()
    try:
        with scripted(apns, reset_after=0) as client:
            assert client.has_been_reset()
    except SSL.SysCallError:
        # It came before the preface was written.
        pass
    assert accepted(apns) == [1, 2]
    assert apns.provider_connections == 2


def test_stalling_reads_nothing_more(apns):
    """The connection stays open, and what follows is not processed."""
    with scripted(apns, stall_after=1) as client:
        first = send(client, 3)[0]
        assert client.response(first).status == 200
        assert apns.open_provider_connections == 1
    assert accepted(apns) == [1]


def test_silence_processes_and_says_nothing(apns):
    """Neither responses nor PINGs; what came before has been sent."""
    with scripted(apns, silent_after=1) as client:
        first = send(client, 3)[0]
        assert client.response(first).status == 200
        assert apns.wait_for(lambda: apns.accepted_count == 3, HANG)
        client.h2.ping(b"12345678")
        client.flush()
        assert apns.disconnect_providers() == 1
        client.read_to_end()
        assert client.of(events.PingAckReceived) == []
        assert len(client.of(events.ResponseReceived)) == 1
    assert accepted(apns) == [1, 2, 3]


def test_garbage_is_sent_and_the_connection_closed(apns):
    """Bytes that are no frame."""
    with scripted(apns, garbage_after=1, garbage=b"\xff" * 20) as client:
        raw = []
        client.h2.receive_data = lambda data: raw.append(data) or []
        send(client, 2)
        client.read_to_end()
    assert b"".join(raw).endswith(b"\xff" * 20)
    assert accepted(apns) == [1]


def test_refusing_and_stalling_the_handshake(apns):
    """Before TLS: a reset, or nothing at all."""
    with pytest.raises((SSL.Error, EnvironmentError)):
        scripted(apns, refuse=True).__exit__()
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    apns.script_provider(ProviderScript(stall_handshake=True))
    failures = []

    def connect():
        try:
            with_certificate(apns).__exit__()
        except (SSL.Error, EnvironmentError) as error:
            failures.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    engine = apns._engine
    while not engine.loop.ask(lambda: list(engine.services.provider._stalled)):
        assert thread.is_alive()
    apns.stop()
    thread.join(HANG)
    assert len(failures) == 1


# How it talks.


@pytest.mark.parametrize("options", [
    {"padding": 0}, {"padding": 255}, {"piece": 3}, {"split": 3}, {"trailers": True},
    {"interim": True}, {"pings": 5}, {"noise": True}, {"compressed": True},
    {"padding": 7, "piece": 5, "split": 2, "trailers": True, "interim": True, "pings": 1,
     "noise": True, "compressed": True, "upper_case_ids": True, "delay": 0.01},
])
def test_responses_of_every_shape_say_the_same(apns, options):
    """What a correct client makes of them does not depend on how they come."""
    apns.devices.uninstall("%064x" % 2, when=5)
    with scripted(apns, **options) as client:
        responses = [client.response(stream) for stream in send(client, 3)]

    assert [(response.status, response.said) for response in responses] == [
        (200, None), (410, {"reason": "Unregistered", "timestamp": 5000}), (200, None)]
    assert all("apns-id" in response.fields for response in responses)
    assert accepted(apns) == [1, 3]


def test_how_responses_look(apns):
    """Each option does something at all."""
    with scripted(apns, response_at={1: "BadTopic"}, split=4, trailers=True, interim=True, pings=3,
                  noise=True) as client:
        client.push()
        assert max(len(event.data) for event in client.of(events.DataReceived)) == 4
        assert len(client.of(events.TrailersReceived)) == 1
        assert len(client.of(events.InformationalResponseReceived)) == 1
        assert len(client.of(events.PingReceived)) == 3
        assert len(client.of(events.UnknownFrameReceived)) == 1


def test_identifiers_in_upper_case(apns):
    """A client that compares them as text is wrong."""
    own = "abcdef01-2345-6789-abcd-ef0123456789"
    with scripted(apns, upper_case_ids=True) as client:
        assert client.push(apns_id=own).fields["apns-id"] == own.upper()


@pytest.mark.parametrize("interim", [False, True])
@pytest.mark.parametrize("size", [0, 100, 4096, 1 << 20])
def test_compressed_responses_respect_the_table_of_the_client(apns, size, interim):
    """The dynamic table is used as far as the client allows it, from its settings on."""
    apns.script_provider(ProviderScript(compressed=True, interim=interim))
    with with_certificate(apns, settings={frames.HEADER_TABLE_SIZE: size}) as client:
        own = "abcdef01-2345-6789-abcd-ef0123456789"
        for _ in range(5):
            assert client.push(apns_id=own).fields["apns-id"] == own


def test_a_compressed_response_that_nobody_waits_for_changes_no_table(apns):
    """The client resets the stream; it never sees the block, and reads the next ones all the same.
    """
    path, identifiers = "/3/device/" + TOKEN, ["abcdef01-2345-6789-abcd-ef0123456789",
                                               "01234567-89ab-cdef-0123-456789abcdef"]
    with scripted(apns, compressed=True, hold=True) as client:
        streams = [client.request(path, [("apns-id", own)]) for own in identifiers]
        assert apns.wait_for(lambda: apns.held == 2, HANG)
        client.h2.reset_stream(streams[0], frames.CANCEL)
        client.h2.ping(b"12345678")
        client.flush()
        client.wait(lambda: client.of(events.PingAckReceived))
        apns.release_held()
        assert client.response(streams[1]).fields["apns-id"] == identifiers[1]
        stream = client.request(path, [("apns-id", identifiers[0])])
        assert apns.wait_for(lambda: apns.held == 1, HANG)
        apns.release_held()
        assert client.response(stream).fields["apns-id"] == identifiers[0]


def test_settings_at_the_beginning_and_later(apns):
    """By name or by number; what is not given is as Apple sends it."""
    later = {2: {"max_concurrent_streams": 3, "max_frame_size": 20000}}
    with scripted(apns, settings={"max_concurrent_streams": 50, 0xFAFA: 1},
                  settings_at=later) as client:
        client.push()
        settings = client.h2.remote_settings
        assert (settings.max_concurrent_streams, settings.header_table_size,
                settings.initial_window_size, settings.max_header_list_size) == (
                    50, 4096, 65535, 8000)
        client.push()
        client.wait(lambda: settings.max_concurrent_streams == 3)
        assert settings.max_frame_size == 20000


def test_one_stream_at_first_even_with_scripted_settings(apns):
    """The scripted limit is the one that follows a valid token."""
    apns.script_provider(ProviderScript(settings={"max_concurrent_streams": 5}))
    with with_token(apns) as client:
        client.wait(lambda: client.of(events.RemoteSettingsChanged))
        assert client.h2.remote_settings.max_concurrent_streams == 1
        assert client.push(apns_topic="com.example").status == 200
        client.wait(lambda: client.h2.remote_settings.max_concurrent_streams == 5)


def test_tiny_windows_that_are_given_back_in_small_steps(apns):
    """A payload gets through a window of 16 bytes, 5 bytes at a time."""
    apns.script_provider(ProviderScript(settings={"initial_window_size": 16}, window_step=5))
    with with_certificate(apns) as client:
        client.wait(lambda: client.of(events.RemoteSettingsChanged))
        client.h2.send_headers(1, [
            (":method", "POST"), (":scheme", "https"), (":authority", "localhost"),
            (":path", "/3/device/" + TOKEN)])
        left = b"x" * 200
        while left:
            client.flush()
            size = min(client.h2.local_flow_control_window(1), len(left))
            if size:
                client.h2.send_data(1, left[:size], end_stream=size == len(left))
                left = left[size:]
            else:
                assert client.receive()
        client.flush()
        client.next_stream = 3
        assert client.response(1).status == 200
    assert apns.accepted[0].payload == b"x" * 200


def test_windows_that_are_never_given_back(apns):
    """After 65 535 bytes the connection takes no more."""
    with scripted(apns, window_step=0) as client:
        for _ in range(20):
            assert client.push(body=b"x" * 3276).status == 200
        assert client.h2.outbound_flow_control_window == 65535 - 20 * 3276


def test_scripts_are_used_once_and_in_order(apns):
    """Then it goes on as the simulator was configured."""
    apns.script_provider(ProviderScript(response_at={1: "Shutdown"}), None,
                         ProviderScript(response_at={1: "BadTopic"}))
    statuses = []
    for _ in range(4):
        with with_certificate(apns) as client:
            statuses.append(client.push().status)
    assert statuses == [503, 200, 400, 200]


def test_the_default_script(apns):
    """Simulator(provider_script=...) is for all connections that no other script is for."""
    with Simulator(provider_script=ProviderScript(response_at={1: "TooManyRequests"})) as other:
        for _ in range(2):
            with with_certificate(other) as client:
                assert client.push().status == 429


@pytest.mark.parametrize("options, error", [
    ({"close_after": 1, "goaway_after": 2}, "close_after and goaway_after exclude one another"),
    ({"close_after": -1}, "close_after is -1, expected an integer, 0 or more"),
    ({"refuse": True, "stall_handshake": True}, "refuse and stall_handshake exclude"),
    ({"response_at": {1: "Tired"}}, "no reason 'Tired'; give"),
    ({"response_at": {0: "Shutdown"}}, "response_at is 0, expected an integer, 1 or more"),
    ({"response_at": {1: (42, "Tired")}}, "status is 42"),
    ({"reset_at": {1: -1}}, "reset_at is -1"),
    ({"no_response_at": [0]}, "no_response_at is 0"),
    ({"delay": -1}, "delay is -1 seconds, expected 0 or more"),
    ({"delay_at": {1: -2}}, "delay_at is -2 seconds"),
    ({"padding": 256}, "padding is 256, expected an integer, 0 to 255"),
    ({"split": 0}, "split is 0, expected an integer, 1 or more"),
    ({"settings": {"speed": 1}}, "no setting 'speed', expected one of: enable_push"),
    ({"settings": {"enable_push": -1}}, "setting enable_push is -1"),
    ({"settings_at": {True: {}}}, "settings_at is True"),
    ({"late": 1.5}, "late is 1.5"),
    ({"limit_after_errors": {0: 1}}, "limit_after_errors is 0, expected an integer, 1 or more"),
    ({"limit_after_errors": {1: -1}}, "limit_after_errors is -1"),
    ({"goaway_after_errors": 0}, "goaway_after_errors is 0, expected an integer, 1 or more"),
    ({"goaway_after_bad_tokens": 0}, "goaway_after_bad_tokens is 0"),
])
def test_scripts_that_make_no_sense_are_refused(options, error):
    """When they are made, with what was wrong."""
    with pytest.raises(ValueError, match=error):
        ProviderScript(**options)


def test_scripts_know_their_parameters():
    """A misspelt one is not ignored; equal scripts are equal."""
    with pytest.raises(TypeError, match="no parameter 'closeafter'"):
        ProviderScript(closeafter=1)
    assert ProviderScript(response_at={1: "Shutdown"}) == ProviderScript(
        response_at={1: (503, "Shutdown")})
    assert ProviderScript(goaway_after=3).ending == ("goaway", 3)
    assert ProviderScript().ending is None
    assert repr(ProviderScript(late=2, delay_at={1: 2})) == (
        "ProviderScript(delay_at=((1, 2),), late=2)")
