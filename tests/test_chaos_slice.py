"""The fault ``slice``: everything arrives, in small pieces."""

from __future__ import absolute_import, division, print_function

import socket
import struct

import pytest

from apnsclient._compat import monotonic
from fault_support import DATA, Link, both_ways, is_quiet, modes, read_exactly
from stdio_support import TICK


def segments_received(peer):
    """Return how many segments with data have come (int); Linux counts them."""
    info = peer.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_INFO", 11), 256)
    if len(info) < 152:
        pytest.skip("this kernel does not count segments")
    return struct.unpack_from("=I", info, 152)[0]


@modes
@both_ways
def test_everything_arrives_in_segments_of_that_size(mode, direction):
    """The receiver's system has counted as many segments, however fast it read them."""
    with Link("slice", mode, size=8, direction=direction) as link:
        sender, receiver = link.ends(direction)
        before = segments_received(receiver)
        sender.sendall(DATA)

        assert read_exactly(receiver, len(DATA)) == DATA
        assert segments_received(receiver) - before >= len(DATA) / 8
        link.await_faults("%s in segments of 8 bytes" % direction)


def test_the_other_direction_is_left_alone():
    """There a segment is as large as it was."""
    with Link("slice", size=8, direction="to_client") as link:
        client, backend = link.open()
        client.sendall(DATA)

        assert read_exactly(backend, len(DATA)) == DATA
        assert segments_received(backend) == 1
        assert link.record.faults == []


@modes
@both_ways
def test_a_gap_lies_between_two_segments(mode, direction):
    """With a gap of a day one segment arrives, and the other direction is not held up."""
    with Link("slice", mode, size=8, gap=86400, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)
        assert receiver.recv(len(DATA)) == DATA[:8]
        receiver.sendall(DATA)

        assert read_exactly(sender, len(DATA)) == DATA
        assert is_quiet(receiver)


def test_everything_arrives_with_a_gap():
    """It takes at least the gaps together."""
    with Link("slice", size=256, gap=0.05) as link:
        client, backend = link.open()
        start = monotonic()
        client.sendall(DATA)

        assert read_exactly(backend, len(DATA)) == DATA
        assert monotonic() - start >= 0.15 - TICK
