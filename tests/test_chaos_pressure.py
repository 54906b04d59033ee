"""A chaos proxy between a sender that is fast and a receiver that is not."""

from __future__ import absolute_import, division, print_function

import threading

from fault_support import SOON, Link, both_ways, modes, read_exactly

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
