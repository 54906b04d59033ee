"""News of the simulator for whoever waits in the web server's event loop.

The simulator's thread does next to nothing for it, whatever the number of requests: it counts what
comes, and wakes the event loop unless that is about to look anyway. A reader is woken ten times a
second at most, and looks into the journal then for what has come since it looked last. A reader
that is slow therefore misses news, is told how many, and takes no memory.
"""

import asyncio
import threading
from typing import Dict, List, Optional, Sequence, Set, Tuple

from ..simulator import Exchange, Observer, Simulator
from ..simulator.connection_facts import ConnectionFacts

__all__ = ["Feed", "INTERVAL", "Reader", "Waiter"]

#: Shortest time in seconds from one message to the next.
INTERVAL = 0.1

#: How many changes a reader keeps that it has not told of.
_MOST_CHANGES = 1000


class Feed(Observer):
    """Tells readers of news.

    :param simulator: whose news.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._lock = threading.Lock()
        self._readers: Set[Reader] = set()
        #: Those who wait: readers, and others that collect nothing.
        self._waiters: Set[Waiter] = set()
        #: Whether they have been woken lately, and whether something has happened since.
        self._is_quiet = self._has_missed = False
        self._counts: Dict[Tuple[str, str, str], int] = {}

    # Called by the web server.

    def open(self) -> None:
        """Begin to tell, in the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._is_quiet = self._has_missed = False
        self._simulator.add_observer(self)

    def close(self) -> None:
        """Tell nothing any more; end every wait."""
        self._simulator.remove_observer(self)
        with self._lock:
            self._loop = None
        for waiter in self._all_waiters():
            waiter.end()

    def new_reader(self, after: Optional[int] = None) -> "Reader":
        """Return a reader of what is to come.

        :param after: number of the last request that is known already; None for all that there are.
        """
        reader = Reader(self._simulator, self._lock, after)
        with self._lock:
            self._readers.add(reader)
        self._add(reader)
        return reader

    def new_waiter(self) -> "Waiter":
        """Return what is woken when something happens, and collects nothing."""
        waiter = Waiter()
        self._add(waiter)
        return waiter

    def remove(self, waiter: "Waiter") -> None:
        """Wake somebody no more, and tell a reader nothing any more."""
        with self._lock:
            self._waiters.discard(waiter)
            if isinstance(waiter, Reader):
                self._readers.discard(waiter)

    @property
    def reader_count(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    @property
    def waiter_count(self) -> int:
        """How many there are that wait, readers among them."""
        return len(self._waiters)

    def _add(self, waiter: "Waiter") -> None:
        if self._loop is None:
            waiter.end()
        with self._lock:
            self._waiters.add(waiter)

    def tell_reset(self) -> None:
        """Tell readers that what they know is not there any more. May be called by any thread."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._reset_readers)

    def counts(self) -> Dict[Tuple[str, str, str], int]:
        """Return how many requests there were by service, outcome and reason (dict)."""
        with self._lock:
            return dict(self._counts)

    # Called by the simulator's thread.

    def arrived(self, exchanges: Sequence[Exchange]) -> None:
        """Count what has its outcome."""
        with self._lock:
            self._count(exchanges)

    def changed(self, exchanges: Sequence[Exchange]) -> None:
        """Count what has its outcome now, and keep it for the readers."""
        with self._lock:
            self._count(exchanges)
            for reader in self._readers:
                reader.add_exchanges(exchanges)

    def connection_opened(self, connection: ConnectionFacts) -> None:
        """Keep a connection for the readers; so do the next two."""
        self._add_connection(connection)

    def connection_changed(self, connection: ConnectionFacts) -> None:
        self._add_connection(connection)

    def connection_closed(self, connection: ConnectionFacts) -> None:
        self._add_connection(connection)

    def round_ended(self) -> None:
        """Wake the event loop, unless it is about to look."""
        with self._lock:
            if self._loop is None or not self._waiters:
                return
            if self._is_quiet:
                self._has_missed = True
                return
            self._is_quiet = True
            self._loop.call_soon_threadsafe(self._wake)

    def _add_connection(self, connection: ConnectionFacts) -> None:
        with self._lock:
            for reader in self._readers:
                reader.add_connection(connection)

    def _count(self, exchanges: Sequence[Exchange]) -> None:
        counts = self._counts
        for each in exchanges:
            if each.outcome != "pending":
                key = (each.connection.service, each.outcome, each.reason or "")
                counts[key] = counts.get(key, 0) + 1

    # In the event loop.

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        for waiter in self._all_waiters():
            waiter.wake()
        # Until then nothing that happens wakes anybody.
        loop.call_later(INTERVAL, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the time of quiet; what has happened in it must not wait for the next thing."""
        if loop is not self._loop:
            return
        with self._lock:
            has_missed, self._has_missed = self._has_missed, False
            self._is_quiet = has_missed
        if has_missed:
            self._wake()

    def _reset_readers(self) -> None:
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.was_reset = True
            reader.wake()

    def _all_waiters(self) -> "List[Waiter]":
        with self._lock:
            return list(self._waiters)


class Waiter:
    """Waits until something happens. For the event loop."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._is_ended = False

    def wake(self) -> None:
        """End a wait."""
        self._event.set()

    def end(self) -> None:
        """End a wait, and each one to come."""
        self._is_ended = True
        self._event.set()

    async def wait(self, timeout: float) -> bool:
        """Wait until something has happened, or for some seconds; return False when it has ended.
        """
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except asyncio.TimeoutError:
            pass
        if not self._is_ended:
            self._event.clear()
        return not self._is_ended


class Reader(Waiter):
    """Waits for news, and collects them.

    Waiting is for the event loop. Taking is for one thread at a time, while nobody waits.

    :param simulator: whose news.
    :param lock: guards what the simulator's thread adds.
    :param after: number of the last request that is known already; None for all that there are.

    :ivar was_reset: whether what was known is not there any more.
    """

    def __init__(self, simulator: Simulator, lock: threading.Lock, after: Optional[int]) -> None:
        super().__init__()
        self._lock = lock
        self._journal = simulator.journal
        last = self._journal.last_number
        self._last = last if after is None else after
        #: Numbers begin anew when a simulator is started anew.
        self.was_reset = self._last > last
        if self.was_reset:
            self._last = 0
        self._changed: Dict[int, Exchange] = {}
        self._connections: Dict[int, ConnectionFacts] = {}
        self._overflow = 0
        if after is not None:
            self._event.set()

    # Called by the simulator's thread, under the lock of the feed.

    def add_exchanges(self, exchanges: Sequence[Exchange]) -> None:
        """Keep requests that may have been told of before, and have their response now."""
        room = _MOST_CHANGES - len(self._changed)
        self._changed.update((each.number, each) for each in exchanges[:room])
        self._overflow += len(exchanges[room:])

    def add_connection(self, connection: ConnectionFacts) -> None:
        """Keep a connection that something happened on."""
        if len(self._connections) < _MOST_CHANGES:
            self._connections[connection.number] = connection

    # By the one who waits.

    def take_exchanges(self, limit: int) -> Tuple[List[Exchange], int]:
        """Return what has come or changed since the last call, oldest first.

        :param limit: how many at most; of more, the newest.
        :return: those, and how many were left out.
        """
        with self._lock:
            changed, skipped = self._changed, self._overflow
            self._changed, self._overflow = {}, 0
        before = self._last
        new = self._journal.find(limit=limit, after=before)[::-1]
        if new:
            self._last = new[-1].number
            skipped += self._last - before - len(new)
        # Those that are new have their response now, or were left out.
        more = [changed[number] for number in sorted(changed) if number <= before]
        kept = more[max(0, len(more) + len(new) - limit):]
        return kept + new, skipped + len(more) - len(kept)

    def take_connections(self) -> List[ConnectionFacts]:
        """Return the connections on which something has happened since the last call."""
        with self._lock:
            connections = self._connections
            self._connections = {}
        return [connections[number] for number in sorted(connections)]

    @property
    def last(self) -> int:
        """Number of the last request that was returned."""
        return self._last

    @property
    def kept(self) -> int:
        """How many requests are kept."""
        return len(self._journal)

