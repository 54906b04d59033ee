"""The pool of one process: idle connections, slots that are in use, and callers who wait for one.

Whoever wants a connection acquires a slot, which may come with an idle connection, and releases it
with the connection that is to be idle next. Slots are granted in order of arrival. Those in use and
the idle connections together are never more than their limit.

An interrupt, from the keyboard or of a green thread, may come between any two lines. So the pool
knows a slot by a weak reference alone: where nobody has it any more it is free, whatever was left
undone. And those who wait look for themselves now and then, as nobody may have told them.

The garbage collector runs finalizers in the middle of anything, also in the thread that holds the
lock, and they release slots. So the lock is a reentrant one, and between any two steps here another
method of the pool may have run from its beginning to its end. Each change is one step: an item is
put into a list or taken out, or an attribute of a slot turns true, which it remains. The slots in
use are always the first ones of their queue: so a decision to grant the next one stays right,
however late it is carried out, as the number in use cannot grow in any other way.
"""

from __future__ import absolute_import, division, print_function

import operator
import weakref

from .._compat import MYPY
from .._process import this_process

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from ..certificate import BaseCertificate
    from ._base_connection import BaseConnection

    Address = Tuple[str, int]
    # Address, certificate, and the protocol that ALPN has chosen.
    Key = Tuple[Address, BaseCertificate, Optional[str]]

__all__ = ["Pool", "Slot"]

#: Most seconds of a single wait, after which a waiter sees for itself whether it has its slot.
_LONGEST_WAIT = 1.0


class Slot(object):
    """The right to have one connection; :meth:`BaseBackend.acquire_slot` returns one.

    :ivar connection: a connection that was idle and now belongs to whoever has the slot, or None.
        It may be dead.
    :ivar surplus: list of the connections that were idle and that whoever has the slot has to
        close, because with a new one there would be more than the limit.
    """

    def __init__(self, pool, backend, key, limit):
        # type: (Pool, Any, Key, Optional[int]) -> None
        self.connection = None  # type: Optional[BaseConnection]
        self.surplus = []  # type: List[BaseConnection]
        # What the pool asks. The event is what the caller waits for, None if it does not wait. The
        # group is that of the key as long as the slot is in it.
        self.key = key
        self.group = None  # type: Optional[_Group]
        self.limit = limit
        self.event = None  # type: Any
        self.is_granted = self.is_over = False
        self.reference = weakref.ref(self)
        self._pool = pool
        self._backend = backend
        self._process = this_process()

    def release(self, connection=None):
        # type: (Optional[BaseConnection]) -> List[BaseConnection]
        """Give the slot back, and put a connection into the pool.

        Nothing happens the second time. In a forked child the slot is the parent's, and so is the
        connection: it is only to be closed.

        :param connection: the :class:`~apnsclient.backends.BaseConnection`, or None. It is not
            asked whether it is closed: whoever has used it until now knows, and the next one looks
            what has become of it meanwhile.
        :return: list of the connections that the caller has to close: this one, where the pool
            keeps none; those that have been idle longest, where there are too many now.
        """
        try:
            if self.is_over:
                return []
            if self._process != this_process():
                return [] if connection is None else [connection]
            return self._pool.leave(self, connection, self._backend.pool_size)
        finally:
            self.is_over = True


class Pool(object):
    """Idle connections and slots; see the text of the module.

    May be used by several threads at once.

    :param lock: a reentrant lock, made by the back-end.
    """

    def __init__(self, lock):
        # type: (Any) -> None
        self._lock = lock
        self._groups = {}  # type: Dict[Key, _Group]

    def acquire(self, backend, keys, limit, timeout, is_new):
        # type: (Any, Sequence[Key], Optional[int], Optional[float], bool) -> Optional[Slot]
        """Acquire a slot; see :meth:`apnsclient.backends.BaseBackend.acquire_slot`.

        :param backend: has the clock and makes the events.
        :param keys: those of the idle connections that will do; the slot is one of the first key.
        """
        slot = Slot(self, backend, keys[0], limit)
        taken, left, end = [], 0.0, None  # type: List[BaseConnection], float, Optional[float]
        try:
            with self._lock:
                slot.group = self._add(slot.key, _slots_of, slot.reference)
                if self._obtain(slot, keys, is_new, taken):
                    return slot
            if timeout is not None:
                end = backend.clock() + timeout
            while timeout != 0:
                left = _LONGEST_WAIT if end is None else min(end - backend.clock(), _LONGEST_WAIT)
                with self._lock:
                    # What is granted in the very last moment is granted.
                    if self._obtain(slot, keys, is_new, taken):
                        return slot
                    if left > 0 and slot.event is None:
                        slot.event = backend.create_event()
                if left <= 0:
                    break
                slot.event.wait(left)
        except BaseException:
            self._put_back(taken)
            slot.release()
            raise
        slot.release()
        return None

    def leave(self, slot, connection, size):
        # type: (Slot, Optional[BaseConnection], Optional[int]) -> List[BaseConnection]
        """Release a slot and put its connection into the pool, in one; return what is to be closed.

        :param size: most idle connections of each key (int), None for any number.
        """
        surplus = []  # type: List[BaseConnection]
        with self._lock:
            if connection is not None:
                surplus = self._put(connection, size)
            slot.is_over = True
            group = slot.group or self._groups.get(slot.key)
            if group is not None:
                self._grant(slot.key, group)
        return surplus

    def put(self, connection, size):
        # type: (BaseConnection, Optional[int]) -> List[BaseConnection]
        """Put a connection into the pool; return what is to be closed.

        :param size: most idle connections of each key (int), None for any number.
        """
        # To ask it may take its time, so that is done without the lock.
        if size == 0 or connection.is_inherited or connection.closed():
            return [connection]
        with self._lock:
            return self._put(connection, size)

    def take(self, keys):
        # type: (Sequence[Key]) -> Optional[BaseConnection]
        """Take out the connection that was used last, for the first key that has any."""
        taken = []  # type: List[BaseConnection]
        with self._lock:
            self._take_last(keys, taken)
        return taken[0] if taken else None

    def take_all(self, is_wanted):
        # type: (Callable[[BaseConnection], bool]) -> List[BaseConnection]
        """Take out all idle connections of which a function says so."""
        taken = []  # type: List[BaseConnection]
        with self._lock:
            self._take_all(is_wanted, taken)
        return taken

    def try_take_all(self):
        # type: () -> List[BaseConnection]
        """Take out all idle connections, or none if the pool is in use at this very moment."""
        taken = []  # type: List[BaseConnection]
        if self._lock.acquire(False):
            try:
                self._take_all(lambda connection: True, taken)
            finally:
                self._lock.release()
        return taken

    def idle_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many connections are idle, of one or all addresses and certificates."""
        with self._lock:
            return sum(len(group.idle) for _, group in self._groups_of(address, certificate))

    def in_use_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many slots are in use, of one or all addresses and certificates."""
        return self._slot_count(True, address, certificate)

    def waiting_count(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> int
        """Return how many callers wait for a slot, of one or all addresses and certificates."""
        return self._slot_count(False, address, certificate)

    def disown(self):
        # type: () -> None
        """Close the connections, which are those of the parent process."""
        for group in list(self._groups.values()):
            for connection in group.idle:
                connection.close()

    def _put_back(self, taken):
        # type: (List[BaseConnection]) -> None
        """Undo what was done for a caller who does not get it, because of an interrupt."""
        with self._lock:
            for connection in taken:
                group = self._groups.get(_key_of(connection))
                if group is None or connection not in group.idle:
                    self._add(_key_of(connection), _idle_of, connection)

    # All of these are called with the lock held.

    def _obtain(self, slot, keys, is_new, taken):
        # type: (Slot, Sequence[Key], bool, List[BaseConnection]) -> bool
        """Have a slot granted, and give it what comes with it; return False if it has to wait."""
        if slot.group is not None:
            self._grant(slot.key, slot.group)
        if slot.is_granted:
            self._equip(slot, keys, is_new, taken)
        return slot.is_granted

    def _grant(self, key, group):
        # type: (Key, _Group) -> None
        """Grant slots to those who wait, in order of arrival, as far as their limits allow."""
        in_use = 0
        for reference in list(group.slots):
            slot = reference()
            if slot is None or slot.is_over:
                self._remove(key, group, group.slots, reference)
                continue
            if not slot.is_granted:
                if slot.limit is not None and in_use >= slot.limit:
                    return
                slot.is_granted = True
                if slot.event is not None:
                    slot.event.set()
            in_use += 1

    def _equip(self, slot, keys, is_new, taken):
        # type: (Slot, Sequence[Key], bool, List[BaseConnection]) -> None
        """Give a slot its idle connection, or make room for a new one."""
        if not is_new:
            self._take_last(keys, taken)
            slot.connection = taken[0] if taken else None
        elif slot.limit is not None and slot.group is not None:
            self._take_first(slot.key, slot.group, slot.limit - slot.group.count(True), taken)
            slot.surplus = taken

    def _put(self, connection, size):
        # type: (BaseConnection, Optional[int]) -> List[BaseConnection]
        """Add an idle connection; return what has to go for it."""
        connection.touch()
        key, surplus = _key_of(connection), []  # type: Key, List[BaseConnection]
        group = self._add(key, _idle_of, connection)
        if size is not None:
            self._take_first(key, group, size, surplus)
        return surplus

    def _take_last(self, keys, taken):
        # type: (Sequence[Key], List[BaseConnection]) -> None
        """Take the connection out that was used last, for the first key that has any."""
        for key in keys:
            group = self._groups.get(key)
            if group is None:
                continue
            for connection in reversed(list(group.idle)):
                if self._move(key, group, connection, taken):
                    return

    def _take_first(self, key, group, size, taken):
        # type: (Key, _Group, int, List[BaseConnection]) -> None
        """Take out those that have been idle longest, until there are no more than so many."""
        for connection in list(group.idle):
            if len(group.idle) <= size:
                return
            self._move(key, group, connection, taken)

    def _take_all(self, is_wanted, taken):
        # type: (Callable[[BaseConnection], bool], List[BaseConnection]) -> None
        for key, group in self._groups_of():
            for connection in list(group.idle):
                if is_wanted(connection):
                    self._move(key, group, connection, taken)

    def _move(self, key, group, connection, taken):
        # type: (Key, _Group, BaseConnection, List[BaseConnection]) -> bool
        """Move an idle connection into a list; return False if a finalizer has taken it before.

        It is put there first, so that it is not lost in between.
        """
        taken.append(connection)
        if self._remove(key, group, group.idle, connection):
            return True
        taken.remove(connection)
        return False

    def _slot_count(self, is_granted, address, certificate):
        # type: (bool, Optional[Address], Optional[BaseCertificate]) -> int
        total = 0
        with self._lock:
            for key, group in self._groups_of(address, certificate):
                self._grant(key, group)
                total += group.count(is_granted)
        return total

    # What is in no group any more is forgotten, with its certificate.

    def _groups_of(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> List[Tuple[Key, _Group]]
        """Return keys and groups with an address and a certificate, or with any (None)."""
        return [(key, group) for key, group in list(self._groups.items())
                if address in (None, key[0]) and certificate in (None, key[1])]

    def _add(self, key, list_of, item):
        # type: (Key, Callable[[_Group], List[Any]], Any) -> _Group
        """Add an item to one of the lists of a group, made if there is none; return the group."""
        while True:
            group = self._groups.get(key) or self._groups.setdefault(key, _Group())
            items = list_of(group)
            items.append(item)
            # If a finalizer has come in between, the group may be forgotten: before the item was in
            # it, or after the item was taken out.
            if self._groups.get(key) is group or item not in items:
                return group
            items.remove(item)

    def _remove(self, key, group, items, item):
        # type: (Key, _Group, List[Any], Any) -> bool
        """Take an item out of one of the lists of a group; return False if it is not there."""
        try:
            items.remove(item)
        except ValueError:
            return False
        if group.is_empty():
            forgotten = self._groups.pop(key, None)
            if forgotten is not None and not forgotten.is_empty():
                # A finalizer has come in between, and has added something to it or to another one.
                self._groups.setdefault(key, forgotten)
        return True


class _Group(object):
    """What there is of one address, certificate and protocol.

    :ivar idle: idle connections, oldest first.
    :ivar slots: references to the slots, in order of arrival: those in use, and then the others.
    """

    __slots__ = ("idle", "slots")

    def __init__(self):
        # type: () -> None
        self.idle = []  # type: List[BaseConnection]
        self.slots = []  # type: List[weakref.ref[Slot]]

    def is_empty(self):
        # type: () -> bool
        """Return True if there is nothing in it."""
        return not (self.idle or self.slots)

    def count(self, is_granted):
        # type: (bool) -> int
        """Return how many slots are in use, or are waited for."""
        slots = [reference() for reference in list(self.slots)]
        return sum(slot is not None and not slot.is_over and slot.is_granted == is_granted
                   for slot in slots)


_idle_of, _slots_of = operator.attrgetter("idle"), operator.attrgetter("slots")


def _key_of(connection):
    # type: (BaseConnection) -> Key
    return connection.address, connection.certificate, connection.alpn_protocol
