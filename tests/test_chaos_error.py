"""The fault ``error``: the client gets garbage as a response."""

from __future__ import absolute_import, division, print_function

import socket

import pytest

from fault_support import DATA, Link, modes, read_exactly, read_rest


@modes
def test_the_client_gets_garbage(mode):
    """It gets so many random bytes and the end; the backend gets the end alone."""
    with Link("error", mode, size=20) as link:
        client, backend = link.open()
        client.sendall(DATA)
        garbage, ending = read_rest(client)

        assert (len(garbage), ending) == (20, "end")
        assert len(set(bytearray(garbage))) > 5
        assert read_rest(backend)[0] == b""
        link.await_faults("responded with 20 bytes of garbage")


@modes
def test_what_comes_before_gets_through(mode):
    """The first bytes reach the backend, and its responses the client, before the garbage."""
    with Link("error", mode, after=10, size=20) as link:
        client, backend = link.open()
        client.sendall(DATA[:10])
        assert read_exactly(backend, 10) == DATA[:10]
        backend.sendall(b"backend")
        assert read_exactly(client, 7) == b"backend"
        client.sendall(DATA[10:])

        assert len(read_rest(client)[0]) == 20
        assert read_rest(backend)[0] == b""


def test_the_garbage_depends_on_the_seed():
    """The same seed gives the same bytes, another one others; each connection has its own."""
    def garbage(seed):
        with Link("error", seed=seed) as link:
            found = []
            for _ in range(2):
                client, _ = link.open()
                client.sendall(b"x")
                found.append(read_rest(client)[0])
            return found

    first = garbage(1)
    assert first == garbage(1)
    assert len(set(first + garbage(2))) == 4


@pytest.mark.parametrize("after", [0, 10])
def test_a_client_that_says_nothing_more_gets_no_garbage(after):
    """The end of the stream is passed on."""
    with Link("error", after=after) as link:
        client, backend = link.open()
        client.sendall(DATA[:after])
        client.shutdown(socket.SHUT_WR)

        assert read_rest(backend) == (DATA[:after], "end")
        backend.sendall(b"bye")
        backend.close()
        assert read_rest(client) == (b"bye", "end")
        assert link.await_end().faults == []
