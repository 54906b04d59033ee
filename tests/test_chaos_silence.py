"""The fault ``silence``: a connection that was idle for too long is dead without a sign."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient._compat import monotonic
from fault_support import DATA, Link, both_ways, is_quiet, modes, read_exactly, read_rest
from stdio_support import TICK


@modes
@both_ways
def test_nothing_gets_through_after_the_idle_time(mode, direction):
    """It gets through before, and the other direction goes on; nothing is lost on the way."""
    with Link("silence", mode, idle=3600, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)
        assert read_exactly(receiver, len(DATA)) == DATA
        # From now on the time is over at once.
        link.proxy.set_handler("silence", existing=True, idle=0)
        receiver.sendall(b"x")
        assert read_exactly(sender, 1) == b"x"
        link.await_faults("%s silent after 0 s" % direction)
        sender.sendall(DATA)
        receiver.sendall(DATA)

        assert read_exactly(sender, len(DATA)) == DATA
        assert is_quiet(receiver)
        link.proxy.set_handler("dummy", existing=True)
        assert read_exactly(receiver, len(DATA)) == DATA
        assert link.record.fault_count == 1


@modes
def test_it_begins_with_the_connection_and_not_before_its_time(mode):
    """Also nothing at all for some time is an idle time; both directions are silent by default."""
    with Link("silence", mode, idle=0.3) as link:
        start = monotonic()
        client, backend = link.open()
        link.await_faults("to_backend silent after 0.3 s", "to_client silent after 0.3 s")
        assert monotonic() - start >= 0.3 - TICK
        client.sendall(DATA)
        backend.sendall(DATA)

        assert is_quiet(client) and is_quiet(backend)
        assert link.proxy.open_connections == 1


@pytest.mark.parametrize("name, options", [
    ("silence", {"idle": 0.1}),
    ("transient", {"handler": "silence"}),
])
def test_on_an_open_connection_the_time_begins_with_the_change(name, options):
    """Nothing has to come first: a connection that is idle for good falls silent."""
    with Link("dummy", settings={"silence": {"idle": 0.1}}) as link:
        client, backend = link.open()
        client.sendall(b"x")
        assert read_exactly(backend, 1) == b"x"
        link.proxy.set_handler(name, existing=True, **options)
        link.await_faults("to_backend silent after 0.1 s", "to_client silent after 0.1 s")
        client.sendall(DATA)

        assert is_quiet(backend)


def test_data_from_either_side_begin_the_time_anew():
    """It is silent so much later than what came last."""
    with Link("silence", idle=0.3, direction="to_client") as link:
        client, backend = link.open()
        latest = begin = monotonic()
        while latest - begin < 0.2:
            now = monotonic()
            client.sendall(b"x")
            assert read_exactly(backend, 1) == b"x"
            if link.record.fault_count:
                break  # The machine was slower than the time, so this says nothing.
            latest = now
        link.await_faults("to_client silent after 0.3 s")

        assert monotonic() - latest >= 0.3 - TICK


def test_a_client_that_goes_away_ends_the_connection():
    """The backend sees a reset when the timeout is over."""
    with Link("silence", timeout=0.1, idle=0) as link:
        client, backend = link.open()
        link.await_faults("to_backend silent after 0 s", "to_client silent after 0 s")
        client.sendall(DATA)
        client.close()

        assert read_rest(backend) == (b"", "reset")
        link.await_end()
