"""The output of the commands: results to standard output, everything else to standard error.

Invariants: standard output has nothing but results, so that they can be piped; a command ends
quietly when the reader of its output goes away; a character that the encoding of the terminal lacks
is written as an escape.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import errno
import io
import json
import os
import sys
import threading

import six

from .._compat import MYPY, PY2
from .._extras import installation

if MYPY:
    from typing import Any, Iterator, List

#: Exit statuses that every command shares.
SUCCESS, INCOMPLETE, USAGE, NO_CONNECTION, OUTPUT_FAILED = range(5)
#: The exit statuses that a shell reports for a program that SIGINT or SIGPIPE has ended.
INTERRUPTED, OUTPUT_CLOSED = 130, 141

#: Characters that separate lines, or change the direction of text (Unicode, Annex 9).
_DIRECTIONS = frozenset(u"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067"
                        u"\u2068\u2069")

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}


class Failure(Exception):
    """An error that is the user's to handle: one line of text, and the exit status.

    :param message: the line, without the command's name (str).
    :param status: exit status (int).
    """

    def __init__(self, message, status):
        # type: (object, int) -> None
        super(Failure, self).__init__(message)
        self.status = status


class OutputClosed(Exception):
    """The reader of the output has gone away, so nothing more can be reported."""


class Console(object):
    """Standard output and standard error of this process, as they were at construction."""

    def __init__(self):
        # type: () -> None
        self._out = sys.stdout
        self._err = sys.stderr
        self._is_writing = False
        self._deferred = []  # type: List[object]
        #: What is shown below the last line of standard error (:class:`Progress`).
        self.progress = Progress()

    def line(self, text=""):
        # type: (object) -> None
        """Write one line of the result."""
        write_line(self._out, text)

    def document(self, value):
        # type: (Any) -> None
        """Write one value as a line of JSON: ASCII only, keys in alphabetical order."""
        write_line(self._out, json.dumps(value, sort_keys=True))

    def note(self, text):
        # type: (object) -> None
        """Write one line to standard error, above the progress bar if there is one.

        A signal handler may call it during another write, and streams are not reentrant: then the
        line is written right after the other one.
        """
        if self._is_writing:
            self._deferred.append(text)
            return
        with self.writing():
            self.progress.hide()
            write_line(self._err, text)
            self.progress.show()

    @contextlib.contextmanager
    def writing(self):
        # type: () -> Iterator[None]
        """Write to standard error; lines that are noted meanwhile follow at the end."""
        try:
            self._is_writing = True
            yield
        finally:
            self._is_writing = False
        while self._deferred:
            try:
                self.note(self._deferred.pop(0))
            except (OutputClosed, Failure):
                pass  # Its caller has returned; the next write of a result fails as well.

    def error(self, failure):
        # type: (object) -> None
        """Write the reason why the command ends to standard error, in one line."""
        write_line(self._err, "apns: error: %s" % one_line(failure))

    def flush(self):
        # type: () -> None
        """Flush both streams, so that a failure is noticed here and not at exit."""
        for stream in (self._out, self._err):
            if stream is not None:
                with _failures_of(stream):
                    stream.flush()

    def abandon(self):
        # type: () -> None
        """Write nothing more, not even when the interpreter flushes its buffers at exit."""
        for stream in (self._out, self._err):
            try:
                stream.flush()
            except (AttributeError, IOError, OSError, ValueError):
                _redirect_to_null(stream)

    def is_terminal(self):
        # type: () -> bool
        """Return True if results are shown on a terminal."""
        return _is_terminal(self._out)

    def shows_progress(self):
        # type: () -> bool
        """Return True if there is a terminal to show progress on."""
        return _is_terminal(self._err)

    @property
    def error_stream(self):
        # type: () -> Any
        """The stream that progress is shown on."""
        return self._err

    def can_show(self, text):
        # type: (str) -> bool
        """Return True if the encoding of standard output has all characters of a text (unicode)."""
        try:
            text.encode(getattr(self._out, "encoding", None) or "utf-8")
        except UnicodeError:
            return False
        return True

    def styled(self, text, style):
        # type: (object, str) -> str
        """Return the text in a style (``bold``, ``dim``, ``red``, ``green`` or ``yellow``).

        It stays plain if the output is a file or a pipe, if ``NO_COLOR`` is set, and on terminals
        that cannot show styles.
        """
        if not self.is_terminal() or "NO_COLOR" in os.environ \
                or os.environ.get("TERM", "dumb") == "dumb":
            return "%s" % (text,)
        return "\x1b[%sm%s\x1b[0m" % (_STYLES[style], text)


class Progress(object):
    """Shows nothing: for a command whose standard error is not a terminal."""

    def advance(self, count):
        # type: (int) -> None
        """Add ``count`` (int, may be negative) to the number of tokens that are done."""

    def expect(self, total):
        # type: (int) -> None
        """Set the number of tokens in all, as far as it is known."""

    def describe(self, text):
        # type: (str) -> None
        """Set the text that says what is going on."""

    def hide(self):
        # type: () -> None
        """Remove it from the terminal, before a line of text is written."""

    def show(self):
        # type: () -> None
        """Show it again."""

    def close(self):
        # type: () -> None
        """Show nothing more; what is on the terminal stays there."""


class _Bar(Progress):
    """A progress bar on standard error."""

    def __init__(self, tqdm, console):
        # type: (Any, Console) -> None
        tqdm.monitor_interval = 0  # tqdm must not start a thread.
        # Nor a process: its default lock is for processes, and Python 3.14 starts one for it.
        tqdm.set_lock(threading.RLock())
        self._bar = tqdm(total=0, unit="token", unit_scale=True, file=console.error_stream,
                         dynamic_ncols=True)
        self._console = console
        console.progress = self

    def advance(self, count):
        # type: (int) -> None
        with self._console.writing():
            self._bar.update(count)

    def expect(self, total):
        # type: (int) -> None
        if self._bar.total != total:
            self._bar.total = total
            with self._console.writing():
                self._bar.refresh()

    def describe(self, text):
        # type: (str) -> None
        with self._console.writing():
            self._bar.set_description(text)

    def hide(self):
        # type: () -> None
        self._bar.clear()

    def show(self):
        # type: () -> None
        self._bar.refresh()

    def close(self):
        # type: () -> None
        self._console.progress = Progress()
        with self._console.writing():
            self._bar.close()


def open_progress(console, is_wanted=True):
    # type: (Console, bool) -> Progress
    """Return a progress bar where there is a terminal, and tqdm, to show it; else a silent one."""
    if not is_wanted or not console.shows_progress():
        return Progress()
    try:
        from tqdm import tqdm
    except ImportError:
        console.note("apns: no progress bar, because tqdm is not installed: " + installation("cli"))
        return Progress()
    return _Bar(tqdm, console)


def one_line(value):
    # type: (object) -> str
    """Return a text, or the message of an exception, as one line of text."""
    if isinstance(value, EnvironmentError) and value.strerror and not value.filename:
        value = value.strerror
    try:
        text = six.ensure_text(value if isinstance(value, (bytes, six.text_type)) else str(value),
                               "utf-8", "replace")
    except UnicodeError:  # Python 2.7: str() of an exception whose message is not ASCII.
        text = six.text_type(value)
    return " ".join(text.split()) or type(value).__name__


def printable(text):
    # type: (str) -> str
    """Return a text with control characters as escapes, so that a terminal does not act on them.

    Those that separate lines, or change the direction of what stands around them, are among them.
    """
    return u"".join(one if u" " <= one <= u"~" or one >= u"\xa1" and one not in _DIRECTIONS else
                    one.encode("unicode_escape").decode("ascii")
                    for one in six.ensure_text(text, "utf-8", "replace"))


def occupy_descriptors():
    # type: () -> None
    """Open the standard descriptors that were closed when the command was started.

    Otherwise a socket would get one of these numbers, and Python 2.7 would write standard output to
    the peer. What is written to them is discarded, and a read fails.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY)  # Gets the lowest free number.


def write_line(stream, text):
    # type: (Any, object) -> None
    """Write a text and the end of a line.

    :raises OutputClosed: if the reader of the stream has gone away.
    :raises Failure: if it cannot be written for another reason.
    """
    if stream is None:  # Python 3 was started with this descriptor closed.
        return
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    data = (u"%s\n" % (text,)).encode(encoding, "backslashreplace")
    with _failures_of(stream):
        if isinstance(getattr(stream, "buffer", None), io.RawIOBase):
            _write_all(stream, data)
        else:
            stream.write(data if PY2 else data.decode(encoding))


def _write_all(stream, data):
    # type: (Any, bytes) -> None
    """Write to a text stream without a buffer, as with PYTHONUNBUFFERED.

    Python 3 silently drops what the system does not take at once there.
    """
    stream.flush()
    left = memoryview(data)
    while left:
        written = stream.buffer.write(left)
        if written is None:
            raise IOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left = left[written:]


@contextlib.contextmanager
def _failures_of(stream):
    # type: (Any) -> Iterator[None]
    """Turn the failure of a write into :class:`OutputClosed` or :class:`Failure`."""
    try:
        yield
    except (IOError, OSError) as error:
        if error.errno == errno.EPIPE:
            raise OutputClosed()
        raise Failure("cannot write to %s: %s" % (getattr(stream, "name", "the output"),
                                                  one_line(error)), OUTPUT_FAILED)


def _is_terminal(stream):
    # type: (Any) -> bool
    try:
        return bool(stream is not None and stream.isatty())
    except ValueError:  # It has been closed.
        return False


def _redirect_to_null(stream):
    # type: (Any) -> None
    """Redirect a stream to the null device, so that flushing its buffer cannot fail."""
    try:
        descriptor = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
    except (AttributeError, IOError, OSError, ValueError):
        return
    os.dup2(null, descriptor)
    os.close(null)
