"""Where ``apns feedback`` takes dead tokens from, and the command that it runs for each."""

from __future__ import absolute_import, division, print_function

import contextlib
import datetime
import os
import shlex
import subprocess
import threading

from .._compat import MYPY
from . import _session
from ._console import NO_CONNECTION, USAGE, Failure, one_line
from ._explain import explain

if MYPY:
    import argparse
    from typing import Any, Generator, List

    from ._console import Console

__all__ = ["Command", "DeadTokens", "Row"]

_EPOCH = datetime.datetime(1970, 1, 1)
#: Its descriptor.
_STANDARD_ERROR = 2
#: Seconds for a command to end when this one is to end.
_LONGEST_END = 10.0


class Row(object):
    """A dead token.

    :ivar token: hexadecimal digits (str).
    :ivar time: since when it has been dead, in ISO 8601, UTC (str).
    :ivar timestamp: the same in seconds since 1970 (int).
    """

    def __init__(self, token, when):
        # type: (bytes, datetime.datetime) -> None
        self.token = token.decode("ascii")
        self.time = when.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.timestamp = int((when - _EPOCH).total_seconds())

    def document(self):
        # type: () -> Any
        """Return what JSON shows."""
        return {"token": self.token, "time": self.time, "timestamp": self.timestamp}


class DeadTokens(object):
    """The feedback service, or a feedback store, that the arguments name.

    :raises Failure: if credential or store cannot be used.
    """

    def __init__(self, arguments, console):
        # type: (argparse.Namespace, Console) -> None
        self._arguments = arguments
        self._credential = _session.credential(arguments, console)
        self._store = _session.open_feedback_store(arguments)
        self._session = _session.new_session(
            arguments, read_timeout=arguments.read_timeout, feedback_store=self._store)

    @property
    def can_keep(self):
        # type: () -> bool
        """True if :meth:`keep` has a store to put rows into."""
        return self._store is not None

    def read(self):
        # type: () -> Generator[Row, None, None]
        """Yield each row; it is kept for the next time if the generator is closed before the next.

        :raises Failure: if there is no connection, or the store cannot be read.
        """
        connection = _session.connect(
            self._session.new_connection, self._arguments, self._credential)
        try:
            # The rows of a store that are not reached are put back when the generator is closed.
            with contextlib.closing(_service(connection).feedback()) as found:
                for token, when in found:
                    row = Row(token, when)
                    try:
                        yield row
                    except GeneratorExit:
                        self.keep([row])
                        raise
        except _session.CONNECT_ERRORS as error:
            raise Failure(explain(error), NO_CONNECTION)
        except _session.store_errors() as error:
            raise Failure("cannot use the %s" % one_line(error), USAGE)

    def keep(self, rows):
        # type: (List[Row]) -> None
        """Put rows back, for the next time, where there is a store."""
        from ..feedback_store import source_of

        if self._store is None or not rows:
            return
        connection = _session.connect(
            self._session.new_connection, self._arguments, self._credential)
        self._store.add(source_of(connection.address, connection.certificate),
                        [(row.token.encode("ascii"), row.timestamp) for row in rows])


def _service(connection):
    # type: (Any) -> Any
    from ..apns import APNs

    class Service(APNs):
        """Returns times in UTC, so that the output means the same in every time zone."""

        def _datetime_from_timestamp(self, timestamp):
            # type: (float) -> datetime.datetime
            return _EPOCH + datetime.timedelta(seconds=timestamp)

    return Service(connection)


class Command(object):
    """A program that is run for each dead token, without a shell.

    :param text: program and arguments, split as a shell does. ``{token}``, ``{time}`` and
        ``{timestamp}`` are replaced; without any of them, the token is the last argument.
    :raises ValueError: if it cannot be split, or is empty.
    """

    FIELDS = ("token", "time", "timestamp")

    def __init__(self, text):
        # type: (str) -> None
        self._words = shlex.split(text)
        if not self._words:
            raise ValueError("no program")
        if not any("{%s}" % field in word for word in self._words for field in self.FIELDS):
            self._words.append("{token}")

    def run(self, row):
        # type: (Row) -> int
        """Run it for a row, and return its exit status; a signal that ended it counts as negative.

        What it writes goes to standard error, so that standard output has rows alone.

        :raises Failure: if it cannot be started.
        """
        words = self._words
        for field in self.FIELDS:
            value = str(getattr(row, field))
            words = [word.replace("{%s}" % field, value) for word in words]
        with open(os.devnull, "rb") as nothing:
            try:
                process = subprocess.Popen(words, stdin=nothing, stdout=_STANDARD_ERROR)
            except EnvironmentError as error:
                raise Failure("cannot run %r: %s" % (words[0], one_line(error)), USAGE)
        try:
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _end(process):
    # type: (Any) -> None
    """End a process, gently unless it takes too long."""
    process.terminate()
    timer = threading.Timer(_LONGEST_END, process.kill)
    timer.start()
    try:
        process.wait()
    finally:
        timer.cancel()
