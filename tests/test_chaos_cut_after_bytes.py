"""The fault ``cut-after-bytes``: the connection is closed in the middle of the data."""

from __future__ import absolute_import, division, print_function

import socket

import pytest

from fault_support import DATA, Link, both_ways, modes, read_exactly, read_rest


@modes
@both_ways
@pytest.mark.parametrize("pieces", [[len(DATA)], [4, 5, len(DATA) - 9], [10]])
def test_exactly_so_many_bytes_get_through(mode, direction, pieces):
    """Then both sides see the end, whatever the pieces, and also if nothing more is sent."""
    with Link("cut-after-bytes", mode, count=10, direction=direction) as link:
        sender, receiver = link.ends(direction)
        receiver.sendall(DATA)
        assert read_exactly(sender, len(DATA)) == DATA
        position = 0
        for piece in pieces:
            sender.sendall(DATA[position:position + piece])
            position += piece

        assert read_rest(receiver) == (DATA[:10], "end")
        assert read_rest(sender) == (b"", "end")
        link.await_faults("cut after 10 bytes " + direction)


def test_nothing_gets_through_with_a_count_of_0():
    """Both sides see the end as soon as the connection stands."""
    with Link("cut-after-bytes", count=0) as link:
        client, backend = link.open()

        assert read_rest(client) == (b"", "end")
        assert read_rest(backend) == (b"", "end")
        link.await_faults("cut after 0 bytes to_backend")


def test_a_connection_that_says_less_is_not_touched():
    """A byte short of the limit, everything is as it would be without a proxy."""
    with Link("cut-after-bytes", count=len(DATA) + 1) as link:
        client, backend = link.open()
        client.sendall(DATA)
        client.shutdown(socket.SHUT_WR)

        assert read_rest(backend) == (DATA, "end")
        backend.sendall(DATA)
        backend.close()
        assert read_rest(client) == (DATA, "end")
        assert link.await_end().faults == []
