"""Stores that keep dead device tokens until the program reads its feedback.

Over HTTP/2 Apple has no feedback service: the response to a notification says that the token is
dead. Such tokens are kept in a store until :meth:`~apnsclient.apns.APNs.feedback` is called, which
removes them. A store is passed as ``Session(feedback_store=...)``. For a session without one the
environment variable ``APNSCLIENT_FEEDBACK_STORE`` names a file, so that the program that reads
feedback may be another one than the program that sends; without that, the store is the memory of
this process.

Invariants: a token is returned at most once for each time that it was added, with the newest of its
timestamps; all methods may be called by several threads, and by a finalizer.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections import OrderedDict, deque

import six

from ._compat import MYPY, monotonic
from ._files import plain_path
from ._process import PerProcess
from .addresses import environment_of

if MYPY:
    import sqlite3
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

    #: Token as lower-case hexadecimal digits, and since when it has been dead (seconds since 1970).
    Row = Tuple[bytes, int]

__all__ = ["FeedbackStore", "MemoryStore", "SQLiteStore", "default_store", "source_of"]

_log = logging.getLogger(__name__)

#: Environment variable with the name of the file for sessions without a store.
VARIABLE = "APNSCLIENT_FEEDBACK_STORE"


class FeedbackStore(object):
    """Base class of stores; subclass it to write your own."""

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Store dead tokens.

        A token that is stored already is kept once, with the newer timestamp. The session calls
        this after it has sent, once for any number of tokens, and the call to send waits for it.
        An exception is logged, and the session passes the same rows again later.

        :param source: identifies the environment and the application (str), and is the same in
            every process. Tokens of one source are never returned for another.
        :param rows: ``(token, timestamp)`` of each token: lower-case hexadecimal digits (bytes),
            and since when it has been dead, in seconds since 1970 (int).
        """
        raise NotImplementedError("%s must implement add()" % type(self).__name__)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source, the oldest timestamp first.

        No other thread or process gets the rows that this returns.

        :param source: as in :meth:`add`.
        :return: list of ``(token, timestamp)``, as in :meth:`add`.
        :raises Exception: if the store cannot be read. Then nothing has been removed.
        """
        raise NotImplementedError("%s must implement drain()" % type(self).__name__)


class _Content(object):
    """The tokens that one process has found."""

    def __init__(self):
        # type: () -> None
        # Reentrant, because a finalizer may run while the lock is held.
        self.lock = threading.RLock()
        self.sources = {}  # type: Dict[str, OrderedDict[bytes, int]]
        self.full = set()  # type: Set[str]


class MemoryStore(FeedbackStore):
    """Keeps the tokens in the memory of this process.

    If nobody reads them, at most ``size`` are kept, and the oldest ones are dropped, with a warning
    in the log. They are found again when something is sent to them.

    A forked child begins with an empty store: the parent returns what it has found.

    :param size: most tokens that are kept for each source (int, at least 1).
    :raises ValueError: if ``size`` is less than 1.
    """

    def __init__(self, size=100000):
        # type: (int) -> None
        if size < 1:
            raise ValueError("size is %r, expected 1 or more tokens" % (size,))
        self._size = size
        self._contents = PerProcess()

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Store dead tokens; see the base class."""
        content, has_dropped = self._content(), False
        with content.lock:
            known = content.sources.setdefault(source, OrderedDict())
            for token, timestamp in rows:
                if timestamp > known.get(token, -1):
                    known[token] = timestamp
                if len(known) > self._size:
                    known.popitem(last=False)
                    has_dropped = True
            is_first = has_dropped and source not in content.full
            if is_first:
                content.full.add(source)
        if is_first:
            _log.warning("more than %d dead tokens of %s wait for feedback() to be called; the "
                         "oldest ones are dropped", self._size, source)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source; see the base class."""
        content = self._content()
        with content.lock:
            known = content.sources.pop(source, OrderedDict())
            content.full.discard(source)
        return sorted(known.items(), key=_by_time)

    def sources(self):
        # type: () -> List[str]
        """Return the sources that have tokens, as they were passed to :meth:`add`."""
        content = self._content()
        with content.lock:
            return [source for source, known in content.sources.items() if known]

    def _content(self):
        # type: () -> _Content
        """Return the content of this process."""
        content = self._contents.get(_Content)  # type: _Content
        return content

    def __repr__(self):
        # type: () -> str
        count = sum(len(known) for known in list(self._content().sources.values()))
        return "<%s: %d tokens>" % (type(self).__name__, count)


class _FileLocks(object):
    """A lock for each file: one thread of a process uses a file at a time, and none during a fork.

    SQLite keeps a record of a file's locks for each process, and a child that is forked while one
    is held would inherit the record without the lock. Python 3.7 and newer can delay the fork. The
    delay is no longer than a transaction: nobody waits for another process while holding a lock.

    A thread that holds one lock takes no other, as a finalizer might: a fork, which takes all of
    them, would deadlock with it.
    """

    def __init__(self):
        # type: () -> None
        self._thread = threading.local()
        #: For each process a lock for the dict, and the dict with a lock for each file.
        self._locks = PerProcess()
        self._held_for_fork = []  # type: List[Any]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._acquire_all, after_in_parent=self._release_all)

    @property
    def is_held(self):
        # type: () -> bool
        """True if this thread holds a lock, or is waiting for one."""
        return getattr(self._thread, "process", None) == os.getpid()

    @contextlib.contextmanager
    def hold(self, path):
        # type: (str) -> Iterator[None]
        """Hold the lock of a file as long as the block runs."""
        self._thread.process = os.getpid()
        try:
            dict_lock, locks = self._of_process()
            with dict_lock:
                lock = locks.setdefault(path, threading.RLock())
            with lock:
                yield
        finally:
            self._thread.process = None

    def _of_process(self):
        # type: () -> Tuple[Any, Dict[str, Any]]
        found = self._locks.get(
            lambda: (threading.RLock(), {}))  # type: Tuple[Any, Dict[str, Any]]
        return found

    def _acquire_all(self):
        # type: () -> None
        dict_lock, locks = self._of_process()
        dict_lock.acquire()
        self._held_for_fork = [dict_lock]
        for lock in locks.values():
            lock.acquire()
            self._held_for_fork.append(lock)

    def _release_all(self):
        # type: () -> None
        for lock in reversed(self._held_for_fork):
            lock.release()


_file_locks = _FileLocks()

_SCHEMA = ("CREATE TABLE IF NOT EXISTS feedback (source TEXT NOT NULL, token TEXT NOT NULL, "
           "timestamp INTEGER NOT NULL, PRIMARY KEY (source, token))")
#: Shortest and longest pause between two attempts to use a locked file, in seconds.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1


class SQLiteStore(FeedbackStore):
    """Keeps the tokens in a file, an SQLite database, that many processes may use at once.

    The file is created if it does not exist, for its owner only (mode 0600). It has to be on a
    local disk: the locks of network file systems are not reliable. Each call opens the file, does
    its work in one transaction, and closes it. So a forked child may use the store of its parent;
    on Python 2.7 and 3.6 do not fork while another thread uses it.

    While another process has the file locked, neither other files nor a fork wait for that.

    :param path: name of the file (str, bytes, or a path of ``pathlib``). A relative one is resolved
        at once.
    :param timeout: longest time in seconds (float) for which a call waits for other processes.
    :raises ValueError: if ``path`` is not the name of a file.
    :raises IOError, OSError: if the file cannot be created.
    :raises sqlite3.Error: if it cannot be used; the methods raise it, too. The text names the file.
    """

    def __init__(self, path, timeout=5.0):
        # type: (Any, float) -> None
        self._path = _as_path(path)
        self._timeout = timeout
        # What finalizers have added during another call.
        self._waiting = deque()  # type: deque[Tuple[str, List[Row]]]
        self._work(lambda database: None)

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Store dead tokens; see the base class."""
        entry = six.ensure_text(source), list(rows)
        if _file_locks.is_held:
            self._waiting.append(entry)  # The next call writes it.
        else:
            self._write([entry])

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source; see the base class."""
        key = (six.ensure_text(source),)

        def take(database):
            # type: (sqlite3.Connection) -> List[Tuple[str, int]]
            found = database.execute(
                "SELECT token, timestamp FROM feedback WHERE source = ?", key).fetchall()
            database.execute("DELETE FROM feedback WHERE source = ?", key)
            return found

        self._write([])
        rows = self._work(take)
        return sorted(((token.encode("ascii"), int(timestamp)) for token, timestamp in rows),
                      key=_by_time)

    def _write(self, entries):
        # type: (List[Tuple[str, List[Row]]]) -> None
        """Write rows, and those that finalizers have added; keep the latter if writing fails."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        rows = [(timestamp, source, token.decode("ascii"))
                for source, added in waiting + entries for token, timestamp in added]

        def insert(database):
            # type: (sqlite3.Connection) -> None
            database.executemany("INSERT OR IGNORE INTO feedback (timestamp, source, token) "
                                 "VALUES (?, ?, ?)", rows)
            database.executemany("UPDATE feedback SET timestamp = max(timestamp, ?) "
                                 "WHERE source = ? AND token = ?", rows)

        if rows:
            try:
                self._work(insert)
            except BaseException:
                self._waiting.extend(waiting)
                raise

    def _work(self, work):
        # type: (Callable[[sqlite3.Connection], Any]) -> Any
        """Call a function with the database, in a transaction of its own; return its result.

        It is called again as long as another process has the file locked.
        """
        import sqlite3  # Python can be built without it.

        end, pause = monotonic() + self._timeout, _SHORTEST_PAUSE
        while True:
            try:
                if _file_locks.is_held:
                    raise sqlite3.OperationalError("used during another call")
                return self._attempt(sqlite3.connect, work)
            except sqlite3.Error as error:
                left = end - monotonic()
                if "locked" not in str(error) or left <= 0:
                    error.args = ("feedback store %r: %s" % (self._path, error),)
                    raise
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _attempt(self, connect, work):
        # type: (Callable[..., sqlite3.Connection], Callable[[sqlite3.Connection], Any]) -> Any
        """Do it once, without waiting for other processes."""
        with _file_locks.hold(self._path):
            self._create_file()
            # None: transactions begin and end only where the code says so.
            database = connect(self._path, timeout=0, isolation_level=None)
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_SCHEMA)
                result = work(database)
                database.execute("COMMIT")
            finally:
                database.close()  # Rolls back a transaction that has not been committed.
        return result

    def _create_file(self):
        # type: () -> None
        """Create the file, empty and for its owner only, unless it exists."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise

    def __repr__(self):
        # type: () -> str
        return "<%s %r>" % (type(self).__name__, self._path)


class _ProcessStore(MemoryStore):
    """The store of all sessions of a process that have no other one.

    In programs as the documents of apns-client 0.2 show them one session sends and another one
    reads the feedback.
    """

    def __init__(self):
        # type: () -> None
        super(_ProcessStore, self).__init__()
        self._has_warned = False

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source; warn the first time of what it cannot have."""
        if not self._has_warned:
            self._has_warned = True
            _log.warning("feedback() has only tokens that this process found dead when it sent to "
                         "them; to include those of other processes, have %s name a file in all of "
                         "them, or give their sessions a feedback_store", VARIABLE)
        return super(_ProcessStore, self).drain(source)


class _NamedStore(FeedbackStore):
    """The file that the environment names, which is opened when it is used for the first time.

    Sessions that do not use it, and sending, work even if it cannot be opened.
    """

    def __init__(self, path):
        # type: (str) -> None
        self._path = path
        self._store = None  # type: Optional[SQLiteStore]

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Store dead tokens; see the base class."""
        self._opened().add(source, rows)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source; see the base class."""
        return self._opened().drain(source)

    def _opened(self):
        # type: () -> SQLiteStore
        store = self._store
        if store is None:
            self._store = store = SQLiteStore(self._path)
        return store

    def __repr__(self):
        # type: () -> str
        return "<SQLiteStore %r, named by %s>" % (self._path, VARIABLE)


_process_store = _ProcessStore()


def default_store():
    # type: () -> FeedbackStore
    """Return the store of a session without one; see the docstring of the module."""
    path = os.environ.get(VARIABLE)
    return _NamedStore(_as_path(path)) if path else _process_store


def _as_path(path):
    # type: (Any) -> str
    """Return the absolute name of a file."""
    if hasattr(os, "fsdecode"):
        path = os.fsdecode(path)
    else:
        path = six.ensure_binary(plain_path(path), sys.getfilesystemencoding() or "utf-8")
    if path in ("", ":memory:"):
        raise ValueError("path is %r, expected the name of a file; a MemoryStore needs none"
                         % (path,))
    return str(os.path.abspath(path))


def _by_time(row):
    # type: (Row) -> Tuple[int, bytes]
    return row[1], row[0]


def source_of(address, credential):
    # type: (Tuple[str, int], Any) -> str
    """Return the source of dead tokens by which a store knows environment and application.

    :param address: ``(host, port)`` of the server that has named them.
    :param credential: certificate or provider token.
    """
    environment = environment_of(address)
    if environment == "other":
        # Each address that is not Apple's is an environment of its own.
        environment = "%s:%d" % address
    return "%s %s" % (environment, credential.source_name)
