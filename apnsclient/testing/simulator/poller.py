"""Which descriptors are ready: ``epoll``, ``poll`` or ``select`` behind one interface.

All are level-triggered. ``poll(timeout)`` returns a list of ``(descriptor, readable, writable)``;
a descriptor that failed counts as both, so that whoever uses it next learns why. Python 2.7 lets a
signal interrupt the call; that counts as nothing being ready.
"""

from __future__ import absolute_import, division, print_function

import errno
import select

from ..._compat import MYPY

if MYPY:
    from typing import Any, List, Optional, Set, Tuple

    Ready = List[Tuple[int, bool, bool]]

__all__ = ["EpollPoller", "PollPoller", "SelectPoller", "best_poller"]


class _MaskPoller(object):
    """What ``epoll`` and ``poll`` have in common."""

    def __init__(self, poller, read_mask, write_mask):
        # type: (Any, int, int) -> None
        self._poller = poller
        self._read = read_mask
        self._write = write_mask

    def _mask(self, read, write):
        # type: (bool, bool) -> int
        return (self._read if read else 0) | (self._write if write else 0)

    def register(self, descriptor, read, write):
        # type: (int, bool, bool) -> None
        self._poller.register(descriptor, self._mask(read, write))

    def modify(self, descriptor, read, write):
        # type: (int, bool, bool) -> None
        self._poller.modify(descriptor, self._mask(read, write))

    def unregister(self, descriptor):
        # type: (int) -> None
        self._poller.unregister(descriptor)

    def poll(self, timeout):
        # type: (Optional[float]) -> Ready
        try:
            events = self._poll(timeout)
        except (OSError, IOError, select.error) as error:
            if error.args[0] != errno.EINTR:
                raise
            return []
        not_readable, not_writable = self._write, self._read
        return [(descriptor, bool(mask & ~not_readable), bool(mask & ~not_writable))
                for descriptor, mask in events]

    def _poll(self, timeout):
        # type: (Optional[float]) -> List[Tuple[int, int]]
        raise NotImplementedError

    def close(self):
        # type: () -> None
        pass


class EpollPoller(_MaskPoller):
    """Linux: the cost does not depend on how many connections are idle."""

    def __init__(self):
        # type: () -> None
        super(EpollPoller, self).__init__(select.epoll(), select.EPOLLIN, select.EPOLLOUT)

    def _poll(self, timeout):
        # type: (Optional[float]) -> List[Tuple[int, int]]
        return self._poller.poll(-1 if timeout is None else timeout)

    def close(self):
        # type: () -> None
        try:
            self._poller.close()
        except (OSError, IOError):
            # Somebody else closed the descriptor. Python tells it since 3.15.
            pass


class PollPoller(_MaskPoller):
    """POSIX."""

    def __init__(self):
        # type: () -> None
        super(PollPoller, self).__init__(select.poll(), select.POLLIN, select.POLLOUT)

    def _poll(self, timeout):
        # type: (Optional[float]) -> List[Tuple[int, int]]
        # Rounded up: half a millisecond early would be a busy loop.
        return self._poller.poll(None if timeout is None else int(timeout * 1000) + 1)


class SelectPoller(object):
    """Everything else; up to about 1000 descriptors."""

    def __init__(self):
        # type: () -> None
        self._all = set()  # type: Set[int]
        self._readers = set()  # type: Set[int]
        self._writers = set()  # type: Set[int]

    def register(self, descriptor, read, write):
        # type: (int, bool, bool) -> None
        self._all.add(descriptor)
        self.modify(descriptor, read, write)

    def modify(self, descriptor, read, write):
        # type: (int, bool, bool) -> None
        for wanted, descriptors in ((read, self._readers), (write, self._writers)):
            if wanted:
                descriptors.add(descriptor)
            else:
                descriptors.discard(descriptor)

    def unregister(self, descriptor):
        # type: (int) -> None
        self.modify(descriptor, False, False)
        self._all.remove(descriptor)

    def poll(self, timeout):
        # type: (Optional[float]) -> Ready
        try:
            readable, writable, _ = select.select(
                list(self._readers), list(self._writers), [], timeout)
        except (OSError, IOError, select.error) as error:
            if error.args[0] != errno.EINTR:
                raise
            return []
        return [(descriptor, descriptor in readable, descriptor in writable)
                for descriptor in set(readable).union(writable)]

    def close(self):
        # type: () -> None
        pass


def best_poller():
    # type: () -> Any
    """Return a new poller of the best kind that the system has."""
    for name, poller in (("epoll", EpollPoller), ("poll", PollPoller)):
        if hasattr(select, name):
            return poller()
    return SelectPoller()
