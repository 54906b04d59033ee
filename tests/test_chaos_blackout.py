"""The fault ``blackout``: what is sent is taken, and is gone."""

from __future__ import absolute_import, division, print_function

import socket

from fault_support import DATA, Link, both_ways, is_quiet, modes, read_exactly, read_rest


@modes
@both_ways
def test_what_is_sent_is_gone(mode, direction):
    """It is not there for another handler either; the other direction goes on."""
    with Link("blackout", mode, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)
        link.await_faults("%s blacked out" % direction)
        receiver.sendall(DATA)

        assert read_exactly(sender, len(DATA)) == DATA
        assert is_quiet(receiver)

        link.proxy.set_handler("dummy", existing=True)
        sender.sendall(b"after")
        assert read_exactly(receiver, 5) == b"after"


@modes
def test_neither_side_gets_a_response_by_default(mode):
    """Both directions are swallowed, however much is sent, and each is noted once."""
    with Link("blackout", mode) as link:
        client, backend = link.open()
        # More than all the buffers on the way hold: sending would block if nobody read.
        for _ in range(100):
            client.sendall(b"x" * 100000)
        backend.sendall(DATA)
        link.await_faults("to_backend blacked out", "to_client blacked out")

        assert is_quiet(client) and is_quiet(backend)
        assert (link.record.bytes_to_backend, link.record.bytes_to_client) == (0, 0)


@modes
def test_a_client_that_goes_away_ends_the_connection(mode):
    """When the timeout is over the backend sees a reset, and not a byte."""
    with Link("blackout", mode) as link:
        client, backend = link.open()
        link.proxy.timeout = 0.1
        client.sendall(DATA)
        client.close()

        assert read_rest(backend) == (b"", "reset")
        assert link.await_end().faults == ["to_backend blacked out"]


def test_the_end_of_the_stream_is_gone_as_well():
    """A client that has ended its side does not notice anything, and neither does the backend."""
    with Link("blackout") as link:
        client, backend = link.open()
        client.shutdown(socket.SHUT_WR)
        backend.sendall(DATA)
        link.await_faults("to_backend blacked out", "to_client blacked out")

        assert is_quiet(client) and is_quiet(backend)
        assert link.proxy.open_connections == 1
