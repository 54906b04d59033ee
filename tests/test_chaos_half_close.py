"""The fault ``half-close``: one direction ends, the other one goes on."""

from __future__ import absolute_import, division, print_function

from fault_support import DATA, Link, both_ways, modes, read_exactly, read_rest


@modes
@both_ways
def test_one_direction_ends_and_the_other_goes_on(mode, direction):
    """The receiver sees the end after so many bytes; what it writes still arrives."""
    with Link("half-close", mode, after=10, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)

        assert read_rest(receiver) == (DATA[:10], "end")
        link.await_faults("%s ended after 10 bytes" % direction)
        # The sender is not held up: more than the buffers hold is taken and dropped.
        for _ in range(100):
            sender.sendall(b"x" * 100000)
        receiver.sendall(DATA)
        assert read_exactly(sender, len(DATA)) == DATA
        assert link.proxy.open_connections == 1


@modes
def test_the_client_sees_the_end_at_once_by_default(mode):
    """It can still write, and the connection is over when it ends its own side."""
    with Link("half-close", mode) as link:
        client, backend = link.open()

        assert read_rest(client) == (b"", "end")
        client.sendall(DATA)
        assert read_exactly(backend, len(DATA)) == DATA
        client.close()
        assert read_rest(backend) == (b"", "end")
        backend.close()
        assert link.await_end().faults == ["to_client ended after 0 bytes"]
