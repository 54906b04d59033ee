"""A handler that is changed while connections are open."""

from __future__ import absolute_import, division, print_function

from fault_support import DATA, SOON, Link, is_quiet, modes, read_exactly, read_rest


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


@modes
def test_an_end_that_a_fault_has_kept_is_passed_on_when_the_fault_is_over(mode):
    """Otherwise the backend would keep the connection of a client that is gone for ever."""
    with Link("blackout", mode, direction="to_backend") as link:
        client, backend = link.open()
        connection, = link.proxy._live  # A reset may end it at once.
        client.sendall(DATA)
        client.close()
        assert link.proxy.wait_for(lambda: connection.client.has_ended, SOON)

        link.proxy.set_handler("dummy", existing=True)

        # Over TLS, with unread tickets, the client's close is a reset.
        assert read_rest(backend)[0] == b""
        backend.close()
        link.await_end()
