"""The fault ``corrupt``: bits are flipped on the way."""

from __future__ import absolute_import, division, print_function

import re

import pytest

from fault_support import DATA, Link, both_ways, modes, read_exactly


def flipped(sent, received):
    """Return what the record should say of two texts of the same length."""
    found = []
    for position, (old, new) in enumerate(zip(bytearray(sent), bytearray(received))):
        if old != new:
            bits = [bit for bit in range(8) if (old ^ new) >> bit & 1]
            assert len(bits) == 1
            found.append("bit %d of byte %d" % (bits[0], position))
    return found


def send(link, direction, pieces):
    """Send ``DATA`` in pieces over a new connection; return what arrives."""
    sender, receiver = link.ends(direction)
    received = b""
    for begin in range(0, len(DATA), len(DATA) // pieces):
        sender.sendall(DATA[begin:begin + len(DATA) // pieces])
        received += read_exactly(receiver, len(DATA) // pieces)
    receiver.sendall(DATA)
    other = read_exactly(sender, len(DATA))
    assert other == DATA or link.proxy.settings("corrupt")["direction"] == "both"
    return received


@modes
@both_ways
def test_some_bytes_differ_by_one_bit_and_the_record_says_which(mode, direction):
    """The length stays, and the other direction is left alone."""
    with Link("corrupt", mode, probability=0.05, direction=direction) as link:
        received = send(link, direction, 1)

        assert len(received) == len(DATA)
        expected = ["%s %s flipped" % (text, direction) for text in flipped(DATA, received)]
        assert 20 < len(expected) < 90  # 51 on average; the seed is fixed.
        assert link.record.faults == expected


@pytest.mark.parametrize("probability, count", [(0, 0), (1, len(DATA))])
def test_a_probability_of_0_or_1_leaves_nothing_to_chance(probability, count):
    """No byte differs, or each."""
    with Link("corrupt", probability=probability, direction="to_client") as link:
        assert len(flipped(DATA, send(link, "to_client", 1))) == count
        assert link.record.fault_count == count
        assert len(link.record.faults) == min(count, 100)


@both_ways
@pytest.mark.parametrize("offset", [0, 100, len(DATA) - 1])
@pytest.mark.parametrize("pieces", [1, 64])
def test_with_an_offset_this_one_byte_is_corrupted(direction, offset, pieces):
    """The probability does not matter then."""
    with Link("corrupt", offset=offset, probability=1, direction=direction) as link:
        received = send(link, direction, pieces)

        assert re.match("bit [0-7] of byte %d$" % offset, "/".join(flipped(DATA, received)))
        assert link.record.fault_count == 1


def test_it_can_be_replayed_whatever_the_pieces():
    """Seed and number of the connection decide; each direction has dice of its own."""
    def all_received(seed, pieces):
        with Link("corrupt", seed=seed, probability=0.05) as link:
            return [send(link, "to_backend", pieces), send(link, "to_client", pieces),
                    send(link, "to_backend", pieces)]

    first = all_received(1, 1)
    assert first == all_received(1, 64)
    assert len(set(first)) == 3
    assert all_received(2, 1)[0] != first[0]


@pytest.mark.parametrize("offset", ["none", "None", None])
def test_no_offset_can_be_written(offset):
    """So that an offset can be taken back, on the command line as well."""
    with Link("corrupt", offset=5) as link:
        assert link.proxy.settings("corrupt", offset=offset)["offset"] is None


def test_it_does_not_matter_which_direction_comes_first():
    """Each has dice of its own."""
    def received(first):
        with Link("corrupt", probability=0.05) as link:
            client, backend = link.open()
            found = {}
            for sender, receiver in ((client, backend), (backend, client))[::first]:
                sender.sendall(DATA)
                found[receiver is client] = read_exactly(receiver, len(DATA))
            return found

    assert received(1) == received(-1)
    assert received(1)[True] != received(1)[False]
