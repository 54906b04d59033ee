"""A chaos proxy between a sender that is fast and a receiver that is not."""

from __future__ import absolute_import, division, print_function

import threading

import pytest

from fault_support import SOON, Link, both_ways, modes, read_exactly, read_rest

SIZE = 20000000


@modes
@both_ways
def test_an_idle_direction_does_not_hold_up_the_other_one(mode, direction):
    """That there is room to write to a side again does not mean that there is something to read."""
    with Link("dummy", mode) as link:
        sender, receiver = link.ends(direction)
        sender.settimeout(None)
        thread = threading.Thread(target=sender.sendall, args=(b"x" * SIZE,))
        thread.start()
        try:
            # The receiver's system is full: what comes now is kept unsent.
            assert link.proxy.wait_for(
                lambda: link.record.bytes_to_backend + link.record.bytes_to_client > 1000000, SOON)
            assert read_exactly(receiver, SIZE) == b"x" * SIZE
        finally:
            link.proxy.stop(SOON)
            thread.join()


@modes
@both_ways
@pytest.mark.parametrize("name, option, ending", [
    ("cut-after-bytes", "count", "end"), ("reset", "after", "reset")])
def test_what_may_get_through_is_not_lost(mode, direction, name, option, ending):
    """A fault that ends the connection waits until it has been delivered."""
    with Link(name, mode, direction=direction, **{option: SIZE}) as link:
        link.proxy.linger = 0
        sender, receiver = link.ends(direction)
        sender.settimeout(None)
        thread = threading.Thread(target=sender.sendall, args=(b"x" * SIZE,))
        thread.start()
        try:
            assert link.proxy.wait_for(
                lambda: link.record.bytes_to_backend + link.record.bytes_to_client > 1000000, SOON)
            received, how = read_rest(receiver)
        finally:
            link.proxy.stop(SOON)
            thread.join()

        assert (len(received), how) == (SIZE, ending)
