"""The simulated feedback service over TLS: the list comes at once, and is cleared by reading."""

from __future__ import absolute_import, division, print_function

import pytest
from OpenSSL import SSL

from apnsclient.testing.simulator import FeedbackScript, Simulator
from simulator_client import Client, feedback_client, feedback_row

pytestmark = pytest.mark.timeout(240)

HANG = 150
ROW_SIZE = 38


@pytest.fixture
def apns():
    with Simulator(linger=20) as running:
        yield running


def uninstall(apns, count):
    """Uninstall on some devices, and return the stream that this makes."""
    rows = [(1000 + n, "%064x" % n) for n in range(count)]
    for when, token in rows:
        apns.devices.uninstall(token, when)
    return b"".join(feedback_row(when, token) for when, token in rows)


def cleared(apns, count):
    """Wait until so many rows have been read."""
    return apns.wait_for(lambda: apns.feedback_count == count, HANG)


def test_an_empty_list_is_an_empty_stream(apns):
    """There is nothing but the end."""
    with feedback_client(apns) as client:
        assert client.read_to_end() == b""
    assert apns.feedback_connections == 1
    assert apns.connections == 0


def test_the_list_is_cleared_by_reading(apns):
    """It comes in order, without being asked for, and only once."""
    stream = uninstall(apns, 3)
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream
    assert cleared(apns, 3)
    assert apns.devices.feedback == []
    with feedback_client(apns) as client:
        assert client.read_to_end() == b""


def test_a_client_may_end_its_side_at_once(apns):
    """It has nothing to say; the stream comes nevertheless."""
    stream = uninstall(apns, 3)
    with feedback_client(apns) as client:
        client.end_stream()
        assert client.read(1 << 20) == stream
    assert cleared(apns, 3)


def test_a_long_list_comes_whole(apns):
    """A list that no buffer holds is sent as fast as the client reads."""
    stream = uninstall(apns, 100000)
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream
    assert cleared(apns, 100000)
    assert apns.devices.feedback == []


def test_a_list_that_no_buffer_holds_waits_for_the_client(apns):
    """What the client does not take yet is kept, and nothing is cleared before it was read."""
    tokens = ["%02x" % n * 60000 for n in range(256)]
    for token in tokens:
        apns.devices.uninstall(token, 1)
    with feedback_client(apns) as client:
        assert client.read(6) == b"\0\0\0\1\xea\x60"
        assert not apns.wait_for(lambda: apns.feedback_count, 0.05)
        assert len(client.read_to_end()) == 256 * 60006 - 6
    assert cleared(apns, 256)


def test_tokens_of_any_size_are_listed(apns):
    """The length stands in each row."""
    apns.devices.uninstall("ab", 1)
    apns.devices.uninstall("cd" * 100, 2)
    with feedback_client(apns) as client:
        assert client.read_to_end() == feedback_row(1, "ab") + feedback_row(2, "cd" * 100)


def test_a_client_that_leaves_clears_nothing(apns):
    """Rows that were not read are there the next time."""
    uninstall(apns, 100000)
    client = feedback_client(apns)
    client.read(ROW_SIZE)
    client.reset()
    assert apns.wait_for(lambda: not apns._engine.services.feedback.connections, HANG)
    assert len(apns.devices.feedback) == 100000
    with feedback_client(apns) as client:
        assert len(client.read_to_end()) == 100000 * ROW_SIZE


def test_stopping_in_the_middle_clears_nothing(apns):
    """A list that is cut off by the end of the simulator is kept."""
    uninstall(apns, 100000)
    with feedback_client(apns) as client:
        client.read(ROW_SIZE)
        apns.stop()
    assert len(apns.devices.feedback) == 100000


def test_a_foreign_certificate_gets_no_list(apns):
    """The feedback service checks client certificates as the gateway does."""
    uninstall(apns, 1)
    with pytest.raises(SSL.Error), \
            Client(apns.feedback_address, apns.client_certificate(foreign=True)) as client:
        client.read(1)
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    assert len(apns.devices.feedback) == 1


def test_a_stream_can_end_within_a_row(apns):
    """What was whole is cleared once it was read; what was cut is not."""
    stream = uninstall(apns, 3)
    apns.script_feedback(FeedbackScript(close_after=2 * ROW_SIZE + 5))
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream[:2 * ROW_SIZE + 5]
    assert cleared(apns, 2)
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream[2 * ROW_SIZE:]


@pytest.mark.parametrize("count, size", [(2000, 1500 * ROW_SIZE), (2, 0), (2, 10000)])
def test_the_place_of_the_cut_may_be_anywhere(apns, count, size):
    """It may lie in what is sent later, at the very beginning, or behind the end."""
    stream = uninstall(apns, count)
    apns.script_feedback(FeedbackScript(close_after=size))
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream[:size]
    assert cleared(apns, min(count, size // ROW_SIZE))


def test_a_stream_can_be_reset(apns):
    """The client learns of it, and the list stays."""
    uninstall(apns, 2)
    apns.script_feedback(FeedbackScript(reset_after=ROW_SIZE))
    with pytest.raises(SSL.SysCallError), feedback_client(apns) as client:
        client.read(2 * ROW_SIZE)
    assert apns.wait_for(lambda: not apns._engine.services.feedback.connections, HANG)
    assert len(apns.devices.feedback) == 2


def test_a_stream_can_stall(apns):
    """The connection stays open and silent until the simulator stops; the list stays, too."""
    stream = uninstall(apns, 2)
    apns.script_feedback(FeedbackScript(stall_after=ROW_SIZE))
    with feedback_client(apns) as client:
        assert client.read(ROW_SIZE) == stream[:ROW_SIZE]
        assert apns.wait_for(lambda: apns.feedback_connections == 1, HANG)
        apns.stop()
        assert client.read(1) == b""
    assert len(apns.devices.feedback) == 2


def test_garbage_can_follow_the_list(apns):
    """The bytes that were scripted come behind the rows, and only on that connection."""
    stream = uninstall(apns, 1)
    apns.script_feedback(FeedbackScript(garbage=b"\0" * 6), None,
                         FeedbackScript(garbage=b"\0" * 6, close_after=2))
    with feedback_client(apns) as client:
        assert client.read_to_end() == stream + b"\0" * 6
    assert cleared(apns, 1)
    for expected in (b"", b"\0\0"):
        with feedback_client(apns) as client:
            assert client.read_to_end() == expected
