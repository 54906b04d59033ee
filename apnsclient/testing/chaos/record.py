"""What became of the connections through a proxy."""

from __future__ import absolute_import, division, print_function

import threading
from collections import deque

from ..._compat import MYPY
from .._changes import Changes

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Union

__all__ = ["ConnectionRecord", "Record"]

#: How many faults of one connection are kept as text; they are counted in any case.
_MOST_TEXTS = 100


class ConnectionRecord(object):
    """One connection: its number, the handler that was chosen for it, and what was done to it.

    It is written by the connection's thread as things happen, and changes until it is over.

    :ivar number: number of the connection (int), counted from 1 since the proxy was made.
    :ivar peer: address of the client, ``(host, port)``.
    :ivar handler: name of the handler as the behavior has it (str).
    :ivar faults: what the handler did, texts in order (list of str), the first hundred.
    :ivar fault_count: how many faults there were.
    :ivar bytes_to_backend: bytes that were passed on to the backend.
    :ivar bytes_to_client: bytes that were passed on, or made up, to the client.
    :ivar error: why it ended, where that was neither its peers' nor the handler's doing, or None.
    :ivar is_closed: whether it is over.
    """

    def __init__(self, number, peer):
        # type: (int, Any) -> None
        self.number = number
        self.peer = peer
        self.handler = ""
        self.faults = []  # type: List[str]
        self.fault_count = 0
        self.bytes_to_backend = 0
        self.bytes_to_client = 0
        self.error = None  # type: Optional[str]
        self.is_closed = False

    def add_fault(self, text):
        # type: (str) -> None
        """Add a fault."""
        self.fault_count += 1
        if len(self.faults) < _MOST_TEXTS:
            self.faults.append(text)

    def as_dict(self):
        # type: () -> Dict[str, Any]
        """Return the attributes by name, as JSON can have them."""
        return {
            "number": self.number, "peer": "%s:%s" % self.peer, "handler": self.handler,
            "faults": list(self.faults), "fault_count": self.fault_count,
            "bytes_to_backend": self.bytes_to_backend, "bytes_to_client": self.bytes_to_client,
            "error": self.error, "closed": self.is_closed}

    def __repr__(self):
        # type: () -> str
        return "<connection %d: %s, %d bytes to the backend, %d to the client%s%s>" % (
            self.number, self.handler, self.bytes_to_backend, self.bytes_to_client,
            "".join(", " + text for text in self.faults),
            ", " + self.error if self.error else "")


class Record(object):
    """All connections of one proxy, and somewhere to wait for what happens to them.

    :param keep: True keeps every connection that is over, False none, an int that many of the last.
    """

    def __init__(self, keep):
        # type: (Union[bool, int]) -> None
        self._changes = Changes()
        #: Guards the rest.
        self._lock = threading.Lock()
        limit = None if keep is True else int(keep)
        self._kept = deque(maxlen=limit)  # type: Any
        self._open = []  # type: List[ConnectionRecord]
        self.connection_count = 0
        self.fault_count = 0

    def connections(self):
        # type: () -> List[ConnectionRecord]
        """Return the records that are kept, and those of open connections, by number."""
        with self._lock:
            return sorted(list(self._kept) + self._open, key=lambda one: one.number)

    @property
    def open_count(self):
        # type: () -> int
        """How many connections are open."""
        with self._lock:
            return len(self._open)

    def begin(self, record):
        # type: (ConnectionRecord) -> None
        """Add a connection."""
        with self._lock:
            self.connection_count += 1
            self._open.append(record)
        self._changes.announce()

    def end(self, record):
        # type: (ConnectionRecord) -> None
        """Close the record of a connection."""
        with self._lock:
            record.is_closed = True
            self._open.remove(record)
            self._kept.append(record)
        self._changes.announce()

    def add_fault(self, record, text):
        # type: (ConnectionRecord, str) -> None
        """Add a fault to the record of a connection."""
        with self._lock:
            record.add_fault(text)
            self.fault_count += 1
        self._changes.announce()

    def publish(self):
        # type: () -> None
        """Have those who wait look again."""
        self._changes.announce()

    def forget(self):
        # type: () -> None
        """Drop the connections that are over. The counts stay."""
        with self._lock:
            self._kept.clear()

    def wait_for(self, condition, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait until a function returns something true; return True if it did in time."""
        return self._changes.wait_for(condition, timeout)
