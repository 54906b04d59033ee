"""The fault ``reset``: both sides get a TCP reset."""

from __future__ import absolute_import, division, print_function

from fault_support import DATA, Link, both_ways, modes, read_exactly, read_rest


@modes
@both_ways
def test_exactly_so_many_bytes_get_through(mode, direction):
    """Then both sides are reset, and not closed."""
    with Link("reset", mode, after=10, direction=direction) as link:
        sender, receiver = link.ends(direction)
        receiver.sendall(DATA)
        assert read_exactly(sender, len(DATA)) == DATA
        sender.sendall(DATA[:9])
        assert read_exactly(receiver, 9) == DATA[:9]
        sender.sendall(DATA[9:])

        assert read_rest(receiver) == (DATA[9:10], "reset")
        assert read_rest(sender) == (b"", "reset")
        link.await_faults("reset after 10 bytes " + direction)


@modes
def test_both_sides_are_reset_at_once_by_default(mode):
    """Nobody has to say anything first."""
    with Link("reset", mode) as link:
        client, backend = link.open()

        assert read_rest(client) == (b"", "reset")
        assert read_rest(backend) == (b"", "reset")
        link.await_faults("reset after 0 bytes to_backend")


def test_with_both_directions_the_first_one_counts():
    """The other one has not got as far."""
    with Link("reset", after=10) as link:
        client, backend = link.open()
        client.sendall(DATA[:9])
        assert read_exactly(backend, 9) == DATA[:9]
        backend.sendall(DATA[:10])

        assert read_rest(client) == (DATA[:10], "reset")
        assert read_rest(backend) == (b"", "reset")
        link.await_faults("reset after 10 bytes to_client")


def test_an_open_connection_is_reset_with_the_next_byte():
    """A handler that comes later counts from then on."""
    with Link("dummy") as link:
        client, backend = link.open()
        client.sendall(b"before")
        assert read_exactly(backend, 6) == b"before"
        link.proxy.set_handler("reset", existing=True)
        client.sendall(b"x")

        assert read_rest(backend) == (b"", "reset")
        assert read_rest(client) == (b"", "reset")
