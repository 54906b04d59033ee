"""Where dead device tokens wait until somebody asks for them.

Over HTTP/2 Apple has no feedback service: a token that is dead answers so when something is sent to
it. What answered so is kept in a store until :meth:`~apnsclient.apns.APNs.feedback` is called,
which takes it out. A store is a value of ``Session(feedback_store=...)``. Where a session is given
none, the environment variable ``APNSCLIENT_FEEDBACK_STORE`` names a file for it, so that a program
other than the one that sends may ask; without that, the memory of this process is the store.

What always holds: a token comes out once for each time that it was put in, or less often, and with
the newest of its timestamps; all methods may be called from several threads, also from a finalizer.
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

if MYPY:
    import sqlite3
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple

    #: Token as lower-case hexadecimal digits, and seconds since 1970 from which on it is dead.
    Row = Tuple[bytes, int]

__all__ = ["FeedbackStore", "MemoryStore", "SQLiteStore", "usual_store"]

_log = logging.getLogger(__name__)

#: Environment variable with the name of the file that keeps the tokens of sessions without a store.
VARIABLE = "APNSCLIENT_FEEDBACK_STORE"


class FeedbackStore(object):
    """What a store has to do; subclass it for one of your own."""

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Keep tokens that are dead.

        A token that is there already is kept once, with the newer timestamp. The session calls
        this after it has sent, and one call waits for it, however many tokens there are. What it
        raises is logged, and the session brings the rows again later.

        :param source: what the tokens are of (str): it names the environment and the application,
            and is the same in every process. Tokens of one source never come out for another.
        :param rows: ``(token, timestamp)`` of each token: lower-case hexadecimal digits (bytes),
            and the time from which on it is dead, in seconds since 1970 (int).
        """
        raise NotImplementedError("%s must implement add()" % type(self).__name__)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source, the oldest timestamp first.

        Nobody else gets what this returns, in whatever thread or process.

        :param source: as in :meth:`add`.
        :return: list of ``(token, timestamp)``, as in :meth:`add`.
        :raises Exception: if the store cannot be read. Then nothing has been taken out.
        """
        raise NotImplementedError("%s must implement drain()" % type(self).__name__)


class _Shelf(object):
    """What one process has found."""

    def __init__(self):
        # type: () -> None
        # Reentrant for the sake of finalizers, which may run in the middle of anything.
        self.lock = threading.RLock()
        self.sources = {}  # type: Dict[str, OrderedDict[bytes, int]]
        self.full = set()  # type: Set[str]


class MemoryStore(FeedbackStore):
    """Keeps the tokens in the memory of this process.

    Where nobody asks for them, no more than ``size`` are kept, and those that came first are
    dropped, with a warning in the log. They are found again when something is sent to them.

    A forked child begins with an empty store: what its parent had found comes out in the parent.

    :param size: most tokens that are kept for each source (int, at least 1).
    :raises ValueError: if ``size`` is less than 1.
    """

    def __init__(self, size=100000):
        # type: (int) -> None
        if size < 1:
            raise ValueError("size is %r, expected 1 or more tokens" % (size,))
        self._size = size
        self._shelves = PerProcess()

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Keep tokens that are dead; see the base class."""
        shelf, has_dropped = self._shelf(), False
        with shelf.lock:
            known = shelf.sources.setdefault(source, OrderedDict())
            for token, timestamp in rows:
                if timestamp > known.get(token, -1):
                    known[token] = timestamp
                if len(known) > self._size:
                    known.popitem(last=False)
                    has_dropped = True
            is_news = has_dropped and source not in shelf.full
            if is_news:
                shelf.full.add(source)
        if is_news:
            _log.warning("more than %d dead tokens of %s wait for feedback() to be called; those "
                         "that came first are dropped", self._size, source)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source; see the base class."""
        shelf = self._shelf()
        with shelf.lock:
            known = shelf.sources.pop(source, OrderedDict())
            shelf.full.discard(source)
        return sorted(known.items(), key=_by_time)

    def sources(self):
        # type: () -> List[str]
        """Return the sources of which there are tokens, as they were given to :meth:`add`."""
        shelf = self._shelf()
        with shelf.lock:
            return [source for source, known in shelf.sources.items() if known]

    def _shelf(self):
        # type: () -> _Shelf
        """Return what this process has."""
        shelf = self._shelves.get(_Shelf)  # type: _Shelf
        return shelf

    def __repr__(self):
        # type: () -> str
        count = sum(len(known) for known in list(self._shelf().sources.values()))
        return "<%s: %d tokens>" % (type(self).__name__, count)


class _Gates(object):
    """Let one thread of a process at a time into each file, and none while the process forks.

    SQLite keeps account of a file's locks for each process, and a child that is forked while one is
    held would inherit the account without the lock. Python 3.7 and newer can put the fork off. That
    takes no longer than a transaction: nobody waits for another process behind a gate.

    Who is behind one gate enters no other, as a finalizer might: a fork, which closes all of them,
    would never come to its end.
    """

    def __init__(self):
        # type: () -> None
        self._here = threading.local()
        #: For each process a lock, and one for each file that it has used.
        self._gates = PerProcess()
        self._closed = []  # type: List[Any]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._close, after_in_parent=self._open)

    @property
    def is_inside(self):
        # type: () -> bool
        """True if this thread is behind a gate, or about to go through."""
        return getattr(self._here, "process", None) == os.getpid()

    @contextlib.contextmanager
    def enter(self, path):
        # type: (str) -> Iterator[None]
        """Wait until nobody else of this process is in a file."""
        self._here.process = os.getpid()
        try:
            lock, gates = self._of_process()
            with lock:
                gate = gates.setdefault(path, threading.RLock())
            with gate:
                yield
        finally:
            self._here.process = None

    def _of_process(self):
        # type: () -> Tuple[Any, Dict[str, Any]]
        found = self._gates.get(
            lambda: (threading.RLock(), {}))  # type: Tuple[Any, Dict[str, Any]]
        return found

    def _close(self):
        # type: () -> None
        lock, gates = self._of_process()
        lock.acquire()
        self._closed = [lock]
        for gate in gates.values():
            gate.acquire()
            self._closed.append(gate)

    def _open(self):
        # type: () -> None
        for gate in reversed(self._closed):
            gate.release()


_gates = _Gates()

_SCHEMA = ("CREATE TABLE IF NOT EXISTS feedback (source TEXT NOT NULL, token TEXT NOT NULL, "
           "timestamp INTEGER NOT NULL, PRIMARY KEY (source, token))")
#: Shortest and longest time in seconds between two looks whether a file is still locked.
_SHORTEST_NAP, _LONGEST_NAP = 0.001, 0.1


class SQLiteStore(FeedbackStore):
    """Keeps the tokens in a file, an SQLite database, that many processes may use at once.

    The file is made if it is not there, for its owner alone (mode 0600). It lies on a local disk:
    the locks of network file systems are not to be relied upon. Each call opens the file, does its
    work in one transaction, and closes it. So a forked child may use the store of its parent; on
    Python 2.7 and 3.6 do not fork while another thread uses it.

    While another process has the file locked, no other file waits for that, and no fork.

    :param path: name of the file (str, bytes, or a path of ``pathlib``). A relative one stays what
        it is when the working directory changes.
    :param timeout: longest time in seconds (float) for which a call waits for other processes.
    :raises ValueError: if ``path`` names no file.
    :raises IOError, OSError: if the file cannot be made.
    :raises sqlite3.Error: if it cannot be used; the methods raise it, too. The text names the file.
    """

    def __init__(self, path, timeout=5.0):
        # type: (Any, float) -> None
        self._path = _as_path(path)
        self._timeout = timeout
        # What finalizers have added in the middle of another call.
        self._waiting = deque()  # type: deque[Tuple[str, List[Row]]]
        self._work(lambda database: None)

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Keep tokens that are dead; see the base class."""
        entry = six.ensure_text(source), list(rows)
        if _gates.is_inside:
            self._waiting.append(entry)  # The next call writes it.
        else:
            self._write([entry])

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source; see the base class."""
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
        """Write rows, and what finalizers have added; keep those if they cannot be written."""
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

        As long as another process has locked the file it is done again from the beginning.
        """
        import sqlite3  # There are Pythons without it.

        end, nap = monotonic() + self._timeout, _SHORTEST_NAP
        while True:
            try:
                if _gates.is_inside:
                    raise sqlite3.OperationalError("used in the middle of another call")
                return self._attempt(sqlite3.connect, work)
            except sqlite3.Error as error:
                left = end - monotonic()
                if "locked" not in str(error) or left <= 0:
                    error.args = ("feedback store %r: %s" % (self._path, error),)
                    raise
            time.sleep(min(nap, left))
            nap = min(2 * nap, _LONGEST_NAP)

    def _attempt(self, connect, work):
        # type: (Callable[..., sqlite3.Connection], Callable[[sqlite3.Connection], Any]) -> Any
        """Do it once, without waiting for other processes."""
        with _gates.enter(self._path):
            self._make_file()
            # None: transactions begin and end where it says so, and nowhere else.
            database = connect(self._path, timeout=0, isolation_level=None)
            try:
                database.execute("BEGIN IMMEDIATE")
                database.execute(_SCHEMA)
                result = work(database)
                database.execute("COMMIT")
            finally:
                database.close()  # That undoes a transaction which has not come to its end.
        return result

    def _make_file(self):
        # type: () -> None
        """Make the file, empty and for its owner alone, unless it is there."""
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise

    def __repr__(self):
        # type: () -> str
        return "<%s %r>" % (type(self).__name__, self._path)


class _ProcessStore(MemoryStore):
    """The memory that the sessions of a process share which are given no other store.

    One session sends and another reads in the programs that the documents of apns-client 0.2 show.
    """

    def __init__(self):
        # type: () -> None
        super(_ProcessStore, self).__init__()
        self._has_warned = False

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source; warn the first time of what cannot be in it."""
        if not self._has_warned:
            self._has_warned = True
            _log.warning("feedback() knows only of tokens that this process was told of when it "
                         "sent to them; for those of others, have %s name a file in all of them, "
                         "or give their sessions a feedback_store", VARIABLE)
        return super(_ProcessStore, self).drain(source)


class _NamedStore(FeedbackStore):
    """The file that the environment names; it is opened when there is something to keep or read.

    Sessions that have nothing to do with it, and sending, go on if it cannot be opened.
    """

    def __init__(self, path):
        # type: (str) -> None
        self._path = path
        self._store = None  # type: Optional[SQLiteStore]

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Keep tokens that are dead; see the base class."""
        self._opened().add(source, rows)

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source; see the base class."""
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


def usual_store():
    # type: () -> FeedbackStore
    """Return the store of a session that is given none, as the text of the module says."""
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
        raise ValueError("path is %r, expected the name of a file; MemoryStore needs none"
                         % (path,))
    return str(os.path.abspath(path))


def _by_time(row):
    # type: (Row) -> Tuple[int, bytes]
    return row[1], row[0]
