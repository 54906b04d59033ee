"""The source of the tokens of ``apns send``: arguments, then the lines of a file or a pipe.

Tokens are read when they are needed, so that a list of any length is never held in memory. They are
not validated here: the client reports those that are malformed.
"""

from __future__ import absolute_import, division, print_function

import codecs
import itertools
import os
import stat

from .._compat import MYPY
from ._console import one_line

if MYPY:
    from typing import Any, Iterator, List, Optional, Sequence

#: Longest line that is read in one piece, in bytes: more than the longest token that has a frame.
_LONGEST_LINE = 1 << 18


class TokenSource(object):
    """Hands out each token once.

    :param tokens: the first tokens (list of str).
    :param stream: binary stream with one token a line; None for none. Blank lines, and lines that
        start with ``#``, are skipped.
    """

    def __init__(self, tokens, stream=None):
        # type: (Sequence[str], Optional[Any]) -> None
        self._given = len(tokens)
        self._stream = stream
        self._size = _size_of(stream)
        self._tokens = itertools.chain(tokens, self._from_stream())
        self._next = None  # type: Optional[str]
        self._bytes_read = 0
        self._lines_read = 0
        self._taken = []  # type: List[str]
        #: True while a read may block for ever, because it is not from a regular file.
        self.is_waiting = False
        self._is_stopped = False
        #: How many tokens have been handed out (int).
        self.count = 0
        #: True once the last one has been handed out.
        self.is_exhausted = False
        #: Why reading ended before the end (str), or None.
        self.error = None  # type: Optional[str]

    def take(self, size):
        # type: (int) -> List[str]
        """Return the next tokens: at most ``size``, no two alike; an empty list at the end.

        A result identifies tokens by their value, so one that is repeated is left for the next
        call. If this is interrupted, :meth:`rest` has what was read.
        """
        seen = set(token.lower() for token in self._taken)
        while len(self._taken) < size:
            if self._next is None:
                self._next = next(self._tokens, None)
            if self._next is None:
                self.is_exhausted = True
                break
            if self._next.lower() in seen:
                break
            seen.add(self._next.lower())
            self._taken.append(self._next)
            self._next = None
        tokens, self._taken = self._taken, []
        self.count += len(tokens)
        return tokens

    def stop(self):
        # type: () -> None
        """Have the next read that might block raise KeyboardInterrupt instead."""
        self._is_stopped = True

    def rest(self):
        # type: () -> List[str]
        """Return the tokens that have not been handed out, as far as they are available at once.

        All that is left of the arguments and of a regular file; of a pipe only what has been read.
        :attr:`is_exhausted` is True if that was all.
        """
        rest, self._taken = self._taken, []
        if self._next is not None:
            rest.append(self._next)
        if self._stream is None or self._size is not None:
            rest.extend(self._tokens)
            self.is_exhausted = self.error is None
        self.count += len(rest)
        return rest

    def expected(self):
        # type: () -> int
        """Return how many tokens there are in all, as far as can be known before the end.

        The rest of a regular file is estimated from its size and the length of the lines so far;
        nothing is known of the rest of a pipe.
        """
        if self.is_exhausted or not self._lines_read or not self._size:
            return max(self.count, self._given)
        return self.count + max(0, self._size - self._bytes_read) * self._lines_read \
            // self._bytes_read

    def _from_stream(self):
        # type: () -> Iterator[str]
        for line in self._lines():
            self._bytes_read += len(line)
            self._lines_read += 1
            token = line.strip()
            if token and not token.startswith(b"#"):
                yield token.decode("utf-8", "replace")

    def _lines(self):
        # type: () -> Iterator[bytes]
        """Yield the lines, with any kind of line end, cutting off those that are too long."""
        piece = self._read()
        if piece.startswith(codecs.BOM_UTF8):
            piece = piece[len(codecs.BOM_UTF8):]  # Editors on Windows write it.
        begun, is_cut = b"", False
        while piece:
            lines = (begun + piece).splitlines(True)
            begun = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
            for line in lines:
                if not is_cut:
                    yield line
                is_cut = False
            begun = begun.lstrip()
            if len(begun) >= _LONGEST_LINE:
                if not is_cut:
                    yield begun
                begun, is_cut = b"", True
            piece = self._read()
        if begun and not is_cut and self.error is None:
            yield begun

    def _read(self):
        # type: () -> bytes
        """Return the next bytes, up to a line feed at most; b"" at the end."""
        if self._stream is None:
            return b""
        try:
            # By lines: iterating over a pipe waits for a full buffer on Python 2.7.
            self.is_waiting = self._size is None
            if self.is_waiting and self._is_stopped:
                raise KeyboardInterrupt
            piece = self._stream.readline(_LONGEST_LINE)  # type: bytes
            self.is_waiting = False
        except EnvironmentError as error:
            self.error = one_line(error)
            return b""
        return piece


def _size_of(stream):
    # type: (Any) -> Optional[int]
    """Return the size of a regular file in bytes, or None for anything else."""
    try:
        status = os.fstat(stream.fileno())
    except (AttributeError, EnvironmentError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None
