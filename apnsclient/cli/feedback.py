"""``apns feedback``: the tokens that have gone, as the feedback service tells them."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import datetime
import logging
import os

from .._compat import MYPY
from . import _options, _session
from ._console import ALL_WELL, NO_CONNECTION, NOT_ALL, USAGE, Failure, one_line
from ._words import explain

if MYPY:
    from typing import Any, Iterator, List

    from ._console import Console

_EPOCH = datetime.datetime(1970, 1, 1)

#: Warns when the list ends before its end.
_READER = "apnsclient.backends.stdio.connection"

_DESCRIPTION = """\
Read the feedback service: the tokens of devices that your app has been removed from, and when that
was noticed. Stop sending to them, unless the device has given you its token again since.
Reading clears the list: what has been printed is not told again.

Over HTTP/2, and so at Apple, there is no such service: the answer to a notification says that its
token has gone. With --feedback-store FILE this prints what apns send, or a program of yours, has
put into that file for the same environment and the same certificate or team. Nothing is connected
to then.
"""
_EPILOG = """\
output:
  one row a line, token and time (ISO 8601, UTC) with a tab between them; with --json, one object
  {"time": ..., "timestamp": ..., "token": ...} a line. Each row is written as soon as it is there.

exit status:
  0    the list was read to its end, even if there was nothing in it
  1    the list was not read to its end; the rest comes the next time
  2    wrong usage, or a feedback store that cannot be used
  3    no connection, or the certificate, key, passphrase, provider token or authorities cannot be
       read or used
  4    the output could not be written
  130  interrupted
  141  whoever read the output has gone away

examples:
    apns feedback --address feedback.example.com:2196 --cert push.pem |
        while read token time; do ...; done
    apns feedback --address push_production --cert push.pem \\
        --feedback-store gone.db
"""


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "feedback", help="print the tokens that are gone", description=_DESCRIPTION,
        epilog=_EPILOG, usage="%(prog)s --address HOST:PORT [OPTION ...]")
    _session.add_connection_arguments(
        parser, ["feedback_sandbox", "feedback_production", "push_sandbox", "push_production"])
    _session.add_feedback_store_argument(
        parser, "over HTTP/2, print, and take out, what is in it")
    parser.add_argument("--read-timeout", metavar="SECONDS", type=_options.seconds, default=20.0,
                        help="longest wait for the next rows (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Print the rows as they come, and return the exit status."""
    _session.settle_protocol(arguments, ["--feedback-store"])
    if arguments.protocol == "http2" and arguments.feedback_store is None:
        raise Failure("over HTTP/2 there is no feedback service to ask; give --feedback-store, or "
                      "set %s, with the file that apns send was given"
                      % _session.FEEDBACK_STORE_VARIABLE, USAGE)
    if arguments.feedback_store is not None and not os.path.exists(arguments.feedback_store):
        # A store that is opened is made; one with its name mistyped would stay empty for ever.
        raise Failure("cannot use the feedback store %r: there is no such file; apns send, or a "
                      "program of yours, makes it" % str(arguments.feedback_store), USAGE)
    with _warnings_of(_READER) as warnings, \
            contextlib.closing(_rows(arguments, console)) as rows:
        for token, when in rows:
            time = when.strftime("%Y-%m-%dT%H:%M:%SZ")
            if arguments.json:
                console.document({"token": token, "time": time,
                                  "timestamp": int((when - _EPOCH).total_seconds())})
            else:
                console.line("%s\t%s" % (token, time))
            console.flush()
    if warnings:
        raise Failure("the list was not read to its end; the rest comes the next time", NOT_ALL)
    return ALL_WELL


class _Store(object):
    """A store of feedback that takes back the row that it gave out last.

    :param store: :class:`~apnsclient.feedback_store.FeedbackStore`, or None if there is none.
    """

    def __init__(self, store):
        # type: (Any) -> None
        self._store = store
        self._source = None  # type: Any

    def drain(self, source):
        # type: (str) -> Any
        """Take out all tokens of a source."""
        self._source = source
        return self._store.drain(source)

    def add(self, source, rows):
        # type: (str, Any) -> None
        """Keep rows."""
        self._store.add(source, rows)

    def put_back(self, token, when):
        # type: (bytes, datetime.datetime) -> None
        """Keep a row that was given out; that of a service cannot be."""
        if self._source is not None:
            self.add(self._source, [(token, int((when - _EPOCH).total_seconds()))])


class _Recorder(logging.Handler):
    """Keeps the warnings that it is given."""

    def __init__(self, records):
        # type: (List[logging.LogRecord]) -> None
        super(_Recorder, self).__init__(logging.WARNING)
        self._records = records

    def emit(self, record):
        # type: (logging.LogRecord) -> None
        """Keep one."""
        self._records.append(record)


@contextlib.contextmanager
def _warnings_of(name):
    # type: (str) -> Iterator[List[logging.LogRecord]]
    """Collect what a logger warns of as long as the block runs."""
    records = []  # type: List[logging.LogRecord]
    logger, handler = logging.getLogger(name), _Recorder(records)
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def _rows(arguments, console):
    # type: (argparse.Namespace, Console) -> Any
    """Yield ``(token, time)``: hex text and a ``datetime`` in UTC without time zone."""
    from ..apns import APNs

    class Service(APNs):
        """Tells times in UTC, so that the output means the same wherever it is read."""

        def _datetime_from_timestamp(self, timestamp):
            # type: (float) -> datetime.datetime
            return _EPOCH + datetime.timedelta(seconds=timestamp)

    credential = _session.credential(arguments, console)
    store = _Store(_session.open_feedback_store(arguments))
    session = _session.new_session(arguments, read_timeout=arguments.read_timeout,
                                   feedback_store=store)
    service = Service(_session.connect(session.new_connection, arguments, credential))
    try:
        # Rows of a store that are not come to are put back when it is closed.
        told = service.feedback()  # type: Any
        with contextlib.closing(told):
            for token, when in told:
                try:
                    yield token.decode("ascii"), when
                except GeneratorExit:
                    store.put_back(token, when)  # It could not be written.
                    raise
    except _session.CONNECT_ERRORS as error:
        raise Failure(explain(error), NO_CONNECTION)
    except _session.store_errors() as error:
        raise Failure("cannot use the %s" % one_line(error), USAGE)
