"""Which descriptors are ready: ``epoll`` or ``poll``, for the simulator and the chaos proxy.

``selectors`` of Python 3 would not do. A connection that is stalled on purpose is watched for
nothing but its failure, which it refuses, and it cannot wait for the end of what a peer sends apart
from the data in front of it.
"""

from __future__ import absolute_import, division, print_function

import errno
import select

from .._compat import MYPY

if MYPY:
    from typing import Any, List, Optional, Tuple

__all__ = ["HANG_UP", "READ", "WRITE", "Poller"]

#: What a descriptor can be watched for: epoll and poll have the same numbers. A descriptor that
#: failed is ready for all of it, so that whoever uses it next learns why.
READ, WRITE = select.POLLIN, select.POLLOUT
#: The peer has ended its side. Linux alone has it, and Python no name for it before 3.12.
HANG_UP = getattr(select, "POLLRDHUP", 0x2000)

_FAILED = select.POLLERR | select.POLLHUP | select.POLLNVAL
_ALL = READ | WRITE | HANG_UP


class Poller(object):
    """Waits for many descriptors, or for a few. Used by one thread.

    :param is_large: True for hundreds of descriptors that are watched for long: the time does not
        depend on how many of them are idle, where the system has epoll. False for a few, for which
        it takes no descriptor of its own.
    """

    def __init__(self, is_large):
        # type: (bool) -> None
        self._is_epoll = is_large and hasattr(select, "epoll")
        self._poller = select.epoll() if self._is_epoll else select.poll()  # type: Any

    def register(self, descriptor, events):
        # type: (int, int) -> None
        """Watch a descriptor for some of the events, or with 0 for its failure alone."""
        self._poller.register(descriptor, events)

    def modify(self, descriptor, events):
        # type: (int, int) -> None
        """Watch it for other events."""
        self._poller.modify(descriptor, events)

    def unregister(self, descriptor):
        # type: (int) -> None
        """Watch it no more, before it is closed."""
        self._poller.unregister(descriptor)

    def poll(self, timeout):
        # type: (Optional[float]) -> List[Tuple[int, int]]
        """Wait until a descriptor is ready; return pairs of a descriptor and its events.

        :param timeout: seconds, None for no limit.
        :return: an empty list also when a signal came, which Python 2.7 lets interrupt the call.
        """
        try:
            ready = self._poller.poll(self._limit(timeout))
        except (OSError, IOError, select.error) as error:
            if error.args[0] != errno.EINTR:
                raise
            return []
        return [(descriptor, _ALL if events & _FAILED else events)
                for descriptor, events in ready]

    def _limit(self, timeout):
        # type: (Optional[float]) -> Any
        if timeout is None:
            return -1
        # Milliseconds for poll, rounded up: a little early would be a busy loop.
        return timeout if self._is_epoll else int(timeout * 1000) + (timeout > 0)

    def close(self):
        # type: () -> None
        """Give back what the system has for it."""
        if self._is_epoll:
            try:
                self._poller.close()
            except (OSError, IOError):
                # Somebody else closed the descriptor. Python raises since 3.15.
                pass
