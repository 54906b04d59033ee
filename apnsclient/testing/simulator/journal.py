"""What came to a simulator: kept up to a limit, to be looked at and waited for.

It is written by the simulator's thread and read by any other.
"""

from __future__ import absolute_import, division, print_function

import threading
from collections import deque, namedtuple
from itertools import islice

from six.moves import filter

from ..._compat import MYPY
from .._changes import Changes
from .exchange import PENDING
from .observer import Observer

if MYPY:
    from typing import Callable, Deque, List, Optional, Sequence

    from .connection_facts import ConnectionFacts
    from .exchange import Exchange
    from .query import Query

__all__ = ["Journal", "Search", "Wait"]

#: Connections that are kept, at most so many of the last.
_MOST_CONNECTIONS = 1000
#: How many that come near are told of when what is waited for has not come.
_MOST_NEAR_MISSES = 5
#: How many of the last are looked at for them.
_LOOKED_AT = 1000


class Wait(namedtuple("Wait", "exchanges is_enough near_misses")):
    """What came of waiting.

    :ivar exchanges: those that match, oldest first (list).
    :ivar is_enough: whether they are as many as were waited for (bool).
    :ivar near_misses: if they are not, up to five others as ``(exchange, mismatches)``, the nearest
        first (list).
    """

    __slots__ = ()

    def describe(self, query, count):
        # type: (Query, int) -> str
        """Return why it is not enough (str of several lines).

        :param query: which were waited for, and ``count`` how many.
        """
        conditions = ", ".join("%s=%r" % each for each in sorted(query.conditions.items()))
        lines = ["%d of %d notifications came with %s" % (len(self.exchanges), count, conditions)]
        lines += ["  number %d does not match: %s" % (exchange.number, "; ".join(mismatches))
                  for exchange, mismatches in self.near_misses]
        if not self.near_misses and not self.exchanges:
            lines.append("  nothing else came")
        return "\n".join(lines)


class Journal(Observer):
    """Keeps the last exchanges and connections.

    :param keep: how many exchanges, at most; None for no limit.
    :param keep_bytes: how many bytes of memory they may take, about; None for no limit.

    :ivar keep: how many exchanges it keeps, at most, None for no limit.
    :ivar keep_bytes: how many bytes of memory they may take, about, None for no limit.
    """

    def __init__(self, keep=100000, keep_bytes=256 << 20):
        # type: (Optional[int], Optional[int]) -> None
        self.keep, self.keep_bytes = keep, keep_bytes
        self._size = self._last_number = 0
        self._exchanges = deque()  # type: Deque[Exchange]
        self._connections = deque(maxlen=_MOST_CONNECTIONS)  # type: Deque[ConnectionFacts]
        self._lock = threading.Lock()
        self._changes = Changes()

    # Called by the simulator's thread.

    def arrived(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Keep exchanges, and let go of the oldest where there are too many."""
        for exchange in exchanges[-1:]:
            self._last_number = exchange.number
        if self.keep == 0:
            return
        kept, most, most_bytes = self._exchanges, self.keep, self.keep_bytes
        with self._lock:
            kept.extend(exchanges)
            if most is not None:
                while len(kept) > most:
                    self._size -= kept.popleft().size
            if most_bytes is not None:
                self._size += sum([exchange.size for exchange in exchanges])
                while self._size > most_bytes and kept:
                    self._size -= kept.popleft().size

    def connection_opened(self, connection):
        # type: (ConnectionFacts) -> None
        """Keep a connection."""
        with self._lock:
            self._connections.append(connection)

    def round_ended(self):
        # type: () -> None
        """Wake those who wait."""
        self._changes.announce()

    # Called by any thread.

    def __len__(self):
        # type: () -> int
        return len(self._exchanges)

    @property
    def last_number(self):
        # type: () -> int
        """Number of the last exchange that came, whether it is kept still; 0 before the first."""
        return self._last_number

    def exchanges(self):
        # type: () -> List[Exchange]
        """Return all exchanges that are kept, oldest first."""
        with self._lock:
            return list(self._exchanges)

    def find(self, query=None, limit=None, before=None, after=None):
        # type: (Optional[Query], Optional[int], Optional[int], Optional[int]) -> List[Exchange]
        """Return exchanges, newest first.

        :param query: which (:class:`.query.Query`); None for all.
        :param limit: how many, at most; None for all.
        :param before: number of an exchange (int): only those that came before it.
        :param after: number of an exchange (int): only those that came after it.
        :return: list of :class:`.exchange.Exchange`.
        """
        most = None if limit is None else max(0, limit)
        with self._lock:
            # Counted from the newest: what is asked for again and again is not far from there.
            kept = self._exchanges
            begin = 0 if before is None else len(kept) - _position(kept, before)
            end = len(kept) if after is None else len(kept) - _position(kept, after + 1)
            if query is None and most is not None:
                end = min(end, begin + most)
            candidates = list(islice(reversed(kept), begin, end))
        if query is None:
            return candidates
        return list(islice(filter(query.new_test(), candidates), most))

    def get(self, number):
        # type: (int) -> Optional[Exchange]
        """Return the exchange of a number, None if it is not kept."""
        with self._lock:
            kept = self._exchanges
            position = _position(kept, number)
            if position < len(kept) and kept[position].number == number:
                return kept[position]
        return None

    def connections(self):
        # type: () -> List[ConnectionFacts]
        """Return the connections that are kept, newest first."""
        with self._lock:
            return list(reversed(self._connections))

    def remove(self, query):
        # type: (Query) -> int
        """Let go of all exchanges that match; return how many those were."""
        return self._remove(query.new_test())

    def remove_number(self, number):
        # type: (int) -> bool
        """Let go of the exchange of a number; return False if it is not kept."""
        return bool(self._remove(lambda exchange: exchange.number == number))

    def clear(self):
        # type: () -> None
        """Let go of all exchanges, and of the connections that are closed."""
        self._remove(lambda exchange: True)
        with self._lock:
            still = [each for each in self._connections if each.closed is None]
            self._connections.clear()
            self._connections.extend(still)

    def wait_for(self, query, count=1, timeout=5.0):
        # type: (Query, int, Optional[float]) -> Wait
        """Wait until enough exchanges match, of those that are kept and those to come.

        :param query: which (:class:`.query.Query`).
        :param count: how many are enough (int, from 1).
        :param timeout: seconds, None for no limit.
        :return: :class:`Wait`; its exchanges are the first ``count`` that matched, if enough did.
        """
        search = Search(self, query, count)
        self._changes.wait_for(search.is_enough, timeout)
        return search.result()

    def _remove(self, is_unwanted):
        # type: (Callable[[Exchange], bool]) -> int
        unwanted = [each for each in self.exchanges() if is_unwanted(each)]
        gone = set(each.number for each in unwanted)
        with self._lock:
            before = len(self._exchanges)
            kept = [each for each in self._exchanges if each.number not in gone]
            self._exchanges.clear()
            self._exchanges.extend(kept)
            if self.keep_bytes is not None:
                self._size = sum(each.size for each in kept)
            return before - len(kept)


class Search(object):
    """Looks for exchanges again and again, at each of them as seldom as can be. For one thread.

    :param journal: :class:`Journal`.
    :param query: which (:class:`.query.Query`).
    :param count: how many are enough (int, from 1).
    """

    def __init__(self, journal, query, count):
        # type: (Journal, Query, int) -> None
        self._journal, self._query, self._count = journal, query, count
        self._matches_query = query.new_test()
        self._last = 0
        self._found = []  # type: List[Exchange]
        #: Those that may still change, and with that begin or cease to match.
        self._pending = []  # type: List[Exchange]

    def is_enough(self):
        # type: () -> bool
        """Look at what is new, or has changed; return True if enough match now."""
        news = self._pending + self._journal.find(after=self._last)[::-1]
        self._pending = []
        for exchange in news:
            if exchange.outcome == PENDING:
                self._pending.append(exchange)
            elif self._matches_query(exchange):
                self._found.append(exchange)
            self._last = max(self._last, exchange.number)
        likely = len([True for each in self._pending if self._matches_query(each)])
        return len(self._found) + likely >= self._count

    def result(self):
        # type: () -> Wait
        """Return what has been found (:class:`Wait`)."""
        found = self._matches()
        if len(found) >= self._count:
            return Wait(found[:self._count], True, [])
        near = [(exchange, self._query.mismatches(exchange))
                for exchange in self._journal.find(limit=_LOOKED_AT)]
        near = sorted([pair for pair in near if pair[1]], key=lambda pair: len(pair[1]))
        return Wait(found, False, near[:_MOST_NEAR_MISSES])

    def _matches(self):
        # type: () -> List[Exchange]
        """Return those that match, in the order of their arrival."""
        pending = [each for each in self._pending if self._matches_query(each)]
        return sorted(self._found + pending, key=lambda exchange: exchange.number)


def _position(exchanges, number):
    # type: (Deque[Exchange], int) -> int
    """Return where by number the first exchange stands that is not below a number."""
    low, high = 0, len(exchanges)
    while low < high:
        middle = (low + high) // 2
        if exchanges[middle].number < number:
            low = middle + 1
        else:
            high = middle
    return low
