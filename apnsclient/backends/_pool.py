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

import weakref

from .._compat import MYPY
from .._process import this_process

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from ..certificate import BaseCertificate
    from . import BaseBackend, BaseConnection

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
        # type: (Pool, BaseBackend, Key, Optional[int]) -> None
        self.connection = None  # type: Optional[BaseConnection]
        self.surplus = []  # type: List[BaseConnection]
        # What the pool asks. The event is what the caller waits for, None if it does not wait.
        self.key = key
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

        :param connection: the :class:`~apnsclient.backends.BaseConnection`, or None.
        :return: list of the connections that the caller has to close: this one, where it is of no
            more use or the pool keeps none; the one that has been idle longest, where there are too
            many now.
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
        #: Idle connections, oldest first.
        self._idle = _Lists()
        #: References to slots, in order of arrival.
        self._queues = _Lists()

    def acquire(self, backend, keys, limit, timeout, is_new):
        # type: (BaseBackend, Sequence[Key], Optional[int], Optional[float], bool) -> Optional[Slot]
        """Acquire a slot; see :meth:`apnsclient.backends.BaseBackend.acquire_slot`.

        :param backend: has the clock and makes the events.
        :param keys: those of the idle connections that will do; the slot is one of the first key.
        """
        end = None if timeout is None else backend.clock() + timeout
        slot = Slot(self, backend, keys[0], limit)
        taken = []  # type: List[BaseConnection]
        try:
            with self._lock:
                self._queues.add(slot.key, slot.reference)
            while True:
                left = _LONGEST_WAIT if end is None else min(end - backend.clock(), _LONGEST_WAIT)
                with self._lock:
                    self._grant(slot.key)
                    # What is granted in the very last moment is granted.
                    if slot.is_granted:
                        self._equip(slot, keys, is_new, taken)
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
        is_kept = connection is not None and _is_worth_keeping(connection, size)
        surplus = [] if connection is None or is_kept else [connection]
        with self._lock:
            if connection is not None and is_kept:
                surplus = self._put(connection, size)
            slot.is_over = True
            self._grant(slot.key)
        return surplus

    def put(self, connection, size):
        # type: (BaseConnection, Optional[int]) -> List[BaseConnection]
        """Put a connection into the pool; return what is to be closed.

        :param size: most idle connections of each key (int), None for any number.
        """
        if not _is_worth_keeping(connection, size):
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

    def take_all_at_once(self):
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
            return sum(len(self._idle.of(key))
                       for key in self._idle.keys_of(address, certificate))

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
        for key in self._idle.keys_of():
            for connection in self._idle.of(key):
                connection.close()

    # All of these are called with the lock held.

    def _grant(self, key):
        # type: (Key) -> None
        """Grant slots to those who wait, in order of arrival, as far as their limits allow."""
        in_use = 0
        for reference in self._queues.of(key):
            slot = reference()
            if slot is None or slot.is_over:
                self._queues.remove(key, reference)
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
        elif slot.limit is not None:
            in_use = self._count(slot.key, True)
            for key in keys:
                idle = self._idle.of(key)
                while idle and in_use + len(idle) > slot.limit:
                    self._move(key, idle[0], taken)
                    idle = self._idle.of(key)
            slot.surplus = taken

    def _put(self, connection, size):
        # type: (BaseConnection, Optional[int]) -> List[BaseConnection]
        """Add an idle connection; return what has to go for it."""
        key = _key_of(connection)
        self._idle.add(key, connection)
        surplus = []  # type: List[BaseConnection]
        idle = self._idle.of(key)
        if size is not None and len(idle) > size:
            self._move(key, idle[0], surplus)
        return surplus

    def _put_back(self, taken):
        # type: (List[BaseConnection]) -> None
        """Undo what was done for a caller who does not get it, because of an interrupt."""
        for connection in taken:
            with self._lock:
                key = _key_of(connection)
                if connection not in self._idle.of(key):
                    self._idle.add(key, connection)

    def _take_last(self, keys, taken):
        # type: (Sequence[Key], List[BaseConnection]) -> None
        for key in keys:
            idle = self._idle.of(key)
            while idle:
                if self._move(key, idle[-1], taken):
                    return
                idle = self._idle.of(key)

    def _take_all(self, is_wanted, taken):
        # type: (Callable[[BaseConnection], bool], List[BaseConnection]) -> None
        for key in self._idle.keys_of():
            for connection in self._idle.of(key):
                if is_wanted(connection):
                    self._move(key, connection, taken)

    def _move(self, key, connection, taken):
        # type: (Key, BaseConnection, List[BaseConnection]) -> bool
        """Move an idle connection into a list; return False if a finalizer has taken it before.

        It is put there first, so that it is not lost in between.
        """
        taken.append(connection)
        if self._idle.remove(key, connection):
            return True
        taken.remove(connection)
        return False

    def _slot_count(self, is_granted, address, certificate):
        # type: (bool, Optional[Address], Optional[BaseCertificate]) -> int
        total = 0
        with self._lock:
            for key in self._queues.keys_of(address, certificate):
                self._grant(key)
                total += self._count(key, is_granted)
        return total

    def _count(self, key, is_granted):
        # type: (Key, bool) -> int
        """Return how many slots are in use, or are waited for."""
        slots = [reference() for reference in self._queues.of(key)]
        return sum(slot is not None and not slot.is_over and slot.is_granted == is_granted
                   for slot in slots)


class _Lists(object):
    """Lists by key, of which the empty ones are forgotten.

    A finalizer may call any method in the middle of another one, and is done before that goes on.
    """

    def __init__(self):
        # type: () -> None
        self._lists = {}  # type: Dict[Key, List[Any]]

    def keys_of(self, address=None, certificate=None):
        # type: (Optional[Address], Optional[BaseCertificate]) -> List[Key]
        """Return the keys with an address and a certificate, or with any (None)."""
        return [key for key in list(self._lists)
                if address in (None, key[0]) and certificate in (None, key[1])]

    def of(self, key):
        # type: (Key) -> List[Any]
        """Return the items of a key, oldest first."""
        return list(self._lists.get(key, ()))

    def add(self, key, item):
        # type: (Key, Any) -> None
        """Add an item at the end."""
        while True:
            items = self._lists.setdefault(key, [])
            items.append(item)
            if self._lists.get(key) is items:
                return
            # A finalizer has come in between, and the list was forgotten: before the item was in
            # it, or after the item was taken out.
            if item not in items:
                return
            items.remove(item)

    def remove(self, key, item):
        # type: (Key, Any) -> bool
        """Take an item out; return False if it is not there."""
        items = self._lists.get(key, [])
        try:
            items.remove(item)
        except ValueError:
            return False
        if not items:
            self._lists.pop(key, None)
            if items:
                # A finalizer has added one in between.
                self._lists.setdefault(key, items)
        return True


def _key_of(connection):
    # type: (BaseConnection) -> Key
    return connection.address, connection.certificate, connection.alpn_protocol


def _is_worth_keeping(connection, size):
    # type: (BaseConnection, Optional[int]) -> bool
    """Note that a connection has been used until now; return False if it does not go into the pool.

    Asking it may take its time, so that is done without the lock.
    """
    if size == 0 or connection.is_inherited or connection.closed():
        return False
    connection.touch()
    return True
