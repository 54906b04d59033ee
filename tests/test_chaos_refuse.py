"""The fault ``refuse``: the client's connection is ended before there is one to the backend."""

from __future__ import absolute_import, division, print_function

import pytest

from fault_support import DATA, Link, modes, read_exactly, read_rest


@modes
@pytest.mark.parametrize("reset, ending", [(True, "reset"), (False, "end")])
def test_the_client_is_turned_away_and_the_backend_sees_nothing(mode, reset, ending):
    """With a reset or in order, before TLS has begun."""
    with Link("refuse", mode, reset=reset) as link:
        client = link.connect()

        assert read_rest(client) == (b"", ending)
        client.close()
        record = link.await_end()
        assert record.faults == ["refused with a " + ("reset" if reset else "close")]
        assert not link.has_backend()


def test_a_reset_is_the_default():
    """That is what a port does that nobody listens on."""
    with Link("refuse") as link:
        assert read_rest(link.connect()) == (b"", "reset")


def test_an_open_connection_goes_on():
    """It was accepted before; the next one is not."""
    with Link("dummy") as link:
        client, backend = link.open()
        link.proxy.set_handler("refuse", existing=True)
        client.sendall(DATA)
        assert read_exactly(backend, len(DATA)) == DATA

        assert read_rest(link.connect()) == (b"", "reset")
        backend.sendall(DATA)
        assert read_exactly(client, len(DATA)) == DATA
