"""The fault ``slow``: so many bytes a second, and no more."""

from __future__ import absolute_import, division, print_function

from apnsclient._compat import monotonic
from fault_support import DATA, Link, both_ways, is_quiet, modes, read_exactly
from stdio_support import TICK


@modes
@both_ways
def test_no_more_than_so_many_bytes_a_second_get_through(mode, direction):
    """All of them arrive, and not before their time; only a lower bound holds on any machine."""
    with Link("slow", mode, rate=2 * len(DATA), direction=direction) as link:
        sender, receiver = link.ends(direction)
        start = monotonic()
        sender.sendall(DATA)

        assert read_exactly(receiver, len(DATA)) == DATA
        # The first of ten pieces is not waited for.
        assert monotonic() - start >= 0.4 - TICK
        link.await_faults("%s slowed down to 2048 bytes a second" % direction)


@modes
@both_ways
def test_the_other_direction_is_as_fast_as_ever(mode, direction):
    """At a byte a day one arrives, whatever comes the other way meanwhile."""
    with Link("slow", mode, rate=1 / 86400, direction=direction) as link:
        sender, receiver = link.ends(direction)
        sender.sendall(DATA)
        assert read_exactly(receiver, 1) == DATA[:1]
        receiver.sendall(DATA * 100)

        assert read_exactly(sender, len(DATA) * 100) == DATA * 100
        assert is_quiet(receiver)


def test_each_direction_has_the_whole_rate_by_default():
    """Neither waits for the other one."""
    with Link("slow", rate=1 / 86400) as link:
        client, backend = link.open()
        client.sendall(DATA)
        backend.sendall(DATA)

        assert read_exactly(backend, 1) == read_exactly(client, 1) == DATA[:1]
        assert is_quiet(client) and is_quiet(backend)
        link.await_faults("to_backend slowed down to 1.15741e-05 bytes a second",
                          "to_client slowed down to 1.15741e-05 bytes a second")
