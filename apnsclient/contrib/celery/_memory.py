"""A table that forked children share with their parent, with a lock that dies with its owner.

It is made before the fork. A child that is killed while it holds the lock releases it, because the
lock is one of the system on a file; a semaphore would stay locked for ever. What a row has is
written by one process at a time, and is at most one moment old.
"""

import contextlib
import mmap
import os
import tempfile
import threading
import weakref
from typing import Generator

from ..._process import PerProcess

try:
    import fcntl
except ImportError:
    # Without forks there is nobody to share with.
    fcntl = None  # type: ignore[assignment]

__all__ = ["SharedTable"]


class SharedTable:
    """Rows of bytes, all zero at first.

    :param rows: how many (int, from 1).
    :param row_size: bytes of each (int).
    """

    def __init__(self, rows: int, row_size: int) -> None:
        self.rows = rows
        self._row_size = row_size
        self._file_number = _new_file()
        weakref.finalize(self, os.close, self._file_number)
        os.ftruncate(self._file_number, rows * row_size)
        self._memory = mmap.mmap(self._file_number, rows * row_size)
        self._locks = PerProcess()

    @contextlib.contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Keep other threads and processes out, as long as the block runs."""
        lock: threading.Lock = self._locks.get(threading.Lock)
        with lock:
            if fcntl is not None:
                fcntl.lockf(self._file_number, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if fcntl is not None:
                    fcntl.lockf(self._file_number, fcntl.LOCK_UN)

    def read(self, row: int) -> bytes:
        """Return a row."""
        start = row * self._row_size
        return self._memory[start:start + self._row_size]

    def write(self, row: int, content: bytes) -> None:
        """Replace a row."""
        start = row * self._row_size
        self._memory[start:start + self._row_size] = content


def _new_file() -> int:
    """Return the number of a file without a name, in memory where the system has that."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("apnsclient")
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())
