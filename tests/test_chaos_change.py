"""A handler that is changed while connections are open."""

from __future__ import absolute_import, division, print_function

from fault_support import SOON, Link, is_quiet, read_exactly


def test_what_is_sent_after_the_change_is_the_new_handlers():
    """Also if the connection's thread sees both at the same time."""
    with Link("dummy") as link:
        client, backend = link.open()
        for number in range(1, 201):
            link.proxy.set_handler("blackout", existing=True)
            client.sendall(b"x")
            assert link.proxy.wait_for(lambda: link.record.fault_count == number, SOON)
            link.proxy.set_handler("dummy", existing=True)
            client.sendall(b"y")
            assert read_exactly(backend, 1) == b"y"
        assert is_quiet(backend)
