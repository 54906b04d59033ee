"""What was sent under which identifier, over the life of one connection.

The gateway names a bad notification by its identifier alone, and it may do so late: after the
message that it belongs to was taken for delivered, while the next one is on its way. So identifiers
do not start anew with each message; they run on, 32 bits wide, and wrap around. The ledger finds
the message that an identifier belongs to, and those that came after it, which the gateway has
thrown away.

It is bounded. A message that still waits for its result stays; of those that have theirs a limited
number is kept, for responses that come too late.
"""

from __future__ import absolute_import, division, print_function

from collections import deque, namedtuple
from itertools import takewhile

from .._compat import MYPY
from .binary import MAX_IDENTIFIERS

if MYPY:
    from typing import Any, Deque, List, Optional, Tuple

__all__ = ["Ledger"]

_Entry = namedtuple("_Entry", "owner first count")


class Ledger(object):
    """Which identifiers belong to whom.

    An owner is any object. Owners are recorded, and settled, in the order in which they were sent.

    :param first_identifier: identifier of the first notification (int, 32 bit). It is not 0 by
        default, because a gateway that shuts down before it accepted anything names 0.
    :param keep_owners: how many settled owners are kept (int). The last one always is.
    :param keep_identifiers: how many identifiers the settled owners that are kept may have
        together (int), so that one large message does not keep others in memory.
    """

    def __init__(self, first_identifier=1, keep_owners=1000, keep_identifiers=100000):
        # type: (int, int, int) -> None
        self.next_identifier = first_identifier
        self._keep_owners = keep_owners
        self._keep_identifiers = keep_identifiers
        self._entries = deque()  # type: Deque[_Entry]
        self._issued = 0
        self._settled = 0
        self._settled_identifiers = 0

    @property
    def issued(self):
        # type: () -> int
        """How many identifiers were given out (int)."""
        return self._issued

    def record(self, owner, count):
        # type: (Any, int) -> int
        """Give an owner the next identifiers.

        :param owner: the object to find again.
        :param count: how many identifiers it needs (int, from 1).
        :return: the first of them; the others follow, modulo 2 to the power 32.
        """
        first = self.next_identifier
        self._entries.append(_Entry(owner, first, count))
        self.next_identifier = (first + count) % MAX_IDENTIFIERS
        self._issued = min(self._issued + count, MAX_IDENTIFIERS)
        return first

    def settle(self, owner):
        # type: (Any) -> None
        """Note that an owner has its result: from now on it is kept only as long as there is room.

        :param owner: the first one recorded that is not settled. Any other is none of this
            connection's any more, and ignored.
        """
        if (self._settled >= len(self._entries)
                or self._entries[self._settled].owner is not owner):
            return
        self._settled_identifiers += self._entries[self._settled].count
        self._settled += 1
        while self._settled > 1 and (self._settled > self._keep_owners
                                     or self._settled_identifiers > self._keep_identifiers):
            self._settled_identifiers -= self._entries.popleft().count
            self._settled -= 1

    def find(self, identifier):
        # type: (int) -> Optional[Tuple[Any, int]]
        """Return ``(owner, index)`` of an identifier, or None if its owner is not known (any more).

        :param identifier: what the gateway named (int, 32 bit).
        """
        for entry in reversed(self._entries):
            index = (identifier - entry.first) % MAX_IDENTIFIERS
            if index < entry.count:
                return entry.owner, index
        return None

    def was_issued(self, identifier):
        # type: (int) -> bool
        """Return True if the identifier was given out at all, to an owner that may be forgotten."""
        return (self.next_identifier - 1 - identifier) % MAX_IDENTIFIERS < self._issued

    def owners(self):
        # type: () -> List[Any]
        """Return the owners that are known, in the order in which they were recorded."""
        return [entry.owner for entry in self._entries]

    def settled(self):
        # type: () -> List[Any]
        """Return those of the owners that are settled, in order."""
        return self.owners()[:self._settled]

    def unsettled(self):
        # type: () -> List[Any]
        """Return those of the owners that still wait for their results, in order."""
        return self.owners()[self._settled:]

    def owners_before(self, owner):
        # type: (Any) -> List[Any]
        """Return the owners that were recorded before this one, in order."""
        return [entry.owner for entry in takewhile(
            lambda entry: entry.owner is not owner, self._entries)]

    def owners_after(self, owner):
        # type: (Any) -> List[Any]
        """Return the owners that were recorded after this one, in order."""
        return self.owners()[len(self.owners_before(owner)) + 1:]
