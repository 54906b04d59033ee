"""The fault ``hang``: from some point on nothing is read any more."""

from __future__ import absolute_import, division, print_function

import socket

from fault_support import DATA, Link, both_ways, is_quiet, modes, read_exactly, read_rest


@modes
@both_ways
def test_what_comes_after_the_first_bytes_is_left_unread(mode, direction):
    """The other direction goes on, and another handler finds everything where it was."""
    with Link("hang", mode, after=10, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)

        assert read_exactly(receiver, 10) == DATA[:10]
        link.await_faults("%s hangs after 10 bytes" % direction)
        receiver.sendall(DATA)
        assert read_exactly(sender, len(DATA)) == DATA
        assert is_quiet(receiver)

        link.proxy.set_handler("dummy", existing=True)
        assert read_exactly(receiver, len(DATA) - 10) == DATA[10:]


@modes
def test_nothing_gets_through_by_default(mode):
    """Both directions hang as soon as the connection stands; it stays open."""
    with Link("hang", mode) as link:
        client, backend = link.open()
        link.await_faults("to_backend hangs after 0 bytes", "to_client hangs after 0 bytes")
        client.sendall(DATA)
        backend.sendall(DATA)

        assert is_quiet(client) and is_quiet(backend)
        assert link.proxy.open_connections == 1
        link.proxy.set_handler("dummy", existing=True)
        assert read_exactly(backend, len(DATA)) == DATA
        assert read_exactly(client, len(DATA)) == DATA


def test_a_client_that_goes_away_ends_the_connection():
    """Nothing is kept open for ever for somebody who may no longer wait."""
    with Link("hang", timeout=0.1) as link:
        client, backend = link.open()
        link.await_faults("to_backend hangs after 0 bytes", "to_client hangs after 0 bytes")
        client.sendall(DATA)
        client.close()

        assert read_rest(backend) == (b"", "reset")
        assert link.await_end().bytes_to_backend == 0


def test_the_end_of_the_stream_gets_through_before_the_limit():
    """A connection that says less than what gets through is not touched."""
    with Link("hang", after=len(DATA) + 1) as link:
        client, backend = link.open()
        client.sendall(DATA)
        client.shutdown(socket.SHUT_WR)

        assert read_rest(backend) == (DATA, "end")
        backend.close()
        assert read_rest(client) == (b"", "end")
        assert link.await_end().faults == []
