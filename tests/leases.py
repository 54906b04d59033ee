"""Connections over HTTP/2 that a test has for itself, as a call that is being sent has them."""

from __future__ import absolute_import, division, print_function


def lease(connection, is_new=False, timeout=10):
    """Return a connection that is ready for use.

    :param connection: handle over HTTP/2.
    :param is_new: whether it must be one that nobody has used.
    """
    host = connection._host()
    host._sender.needs_new = is_new
    return host._connections._opener.open(host._guarded, timeout)


def release(connection, *leases):
    """Give connections back."""
    host = connection._host()
    host._sender.needs_new = False
    host._connections._opener.release(list(leases), host._guarded)
