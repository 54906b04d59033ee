"""``apns feedback``: the tokens that the feedback service, or a feedback store, has."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import datetime
import logging
import os

from .._compat import MYPY
from . import _options, _session
from ._console import INCOMPLETE, NO_CONNECTION, SUCCESS, USAGE, Failure, one_line
from ._explain import explain

if MYPY:
    from typing import Any, Iterator, List

    from ._console import Console

_EPOCH = datetime.datetime(1970, 1, 1)

#: The logger that warns when the list is cut short.
_READER = "apnsclient.backends.stdio.connection"

_DESCRIPTION = """\
Read the feedback service: the tokens of devices that your app has been removed from, and when that
was noticed. Stop sending to them, unless the device has registered its token again since. Reading
clears the list: what has been printed is not reported again.

Over HTTP/2, and so at Apple, there is no such service: the response to a notification says that the
token is gone. With --feedback-store FILE this prints what apns send, or a program of yours, has put
into that file for the same environment and the same certificate or team. No connection is opened
then.
"""
_EPILOG = """\
output:
  one row a line, token and time (ISO 8601, UTC) with a tab between them; with --json, one object
  {"time": ..., "timestamp": ..., "token": ...} a line. Each row is written as soon as it arrives.

exit status:
  0    the list was read to its end, even if it was empty
  1    the list was not read to its end; the rest is reported the next time
  2    wrong usage, or a feedback store that cannot be used
  3    no connection, or the certificate, key, passphrase, provider token or authorities cannot be
       read or used
  4    the output could not be written
  130  interrupted
  141  the reader of the output has gone away

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
        parser, "over HTTP/2, print what is in it, and remove that")
    parser.add_argument("--read-timeout", metavar="SECONDS", type=_options.seconds, default=20.0,
                        help="longest wait for the next rows (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Print the rows as they arrive, and return the exit status."""
    _session.decide_protocol(arguments, ["--feedback-store"])
    if arguments.protocol == "http2" and arguments.feedback_store is None:
        raise Failure("over HTTP/2 there is no feedback service; give --feedback-store, or set "
                      "%s, with the file that apns send was given"
                      % _session.FEEDBACK_STORE_VARIABLE, USAGE)
    if arguments.feedback_store is not None and not os.path.exists(arguments.feedback_store):
        # Opening a store creates the file; one with a mistyped name would stay empty for ever.
        raise Failure("cannot use the feedback store %r: there is no such file; apns send, or a "
                      "program of yours, creates it" % str(arguments.feedback_store), USAGE)
    with _warnings_of(_READER) as warnings, \
            contextlib.closing(_rows(arguments, console)) as rows:
        for token, when in rows:
            time = when.strftime("%Y-%m-%dT%H:%M:%SZ")
            if arguments.json:
                console.document({"token": token, "time": time, "timestamp": _seconds(when)})
            else:
                console.line("%s\t%s" % (token, time))
            console.flush()
    if warnings:
        raise Failure("the list was not read to its end; the rest is reported the next time",
                      INCOMPLETE)
    return SUCCESS


def _seconds(when):
    # type: (datetime.datetime) -> int
    """Return a time in seconds since 1970."""
    return int((when - _EPOCH).total_seconds())


class _Recorder(logging.Handler):
    """Collects warnings."""

    def __init__(self, records):
        # type: (List[logging.LogRecord]) -> None
        super(_Recorder, self).__init__(logging.WARNING)
        self._records = records

    def emit(self, record):
        # type: (logging.LogRecord) -> None
        """Collect a record."""
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
    from ..feedback_store import source_of

    class Service(APNs):
        """Returns times in UTC, so that the output means the same in every time zone."""

        def _datetime_from_timestamp(self, timestamp):
            # type: (float) -> datetime.datetime
            return _EPOCH + datetime.timedelta(seconds=timestamp)

    credential = _session.credential(arguments, console)
    store = _session.open_feedback_store(arguments)
    session = _session.new_session(arguments, read_timeout=arguments.read_timeout,
                                   feedback_store=store)
    connection = _session.connect(session.new_connection, arguments, credential)
    try:
        # The rows of a store that are not reached are put back when the generator is closed.
        rows = Service(connection).feedback()  # type: Any
        with contextlib.closing(rows):
            for token, when in rows:
                try:
                    yield token.decode("ascii"), when
                except GeneratorExit:
                    if store is not None:  # It could not be written; keep it for the next time.
                        store.add(source_of(connection.address, connection.certificate),
                                  [(token, _seconds(when))])
                    raise
    except _session.CONNECT_ERRORS as error:
        raise Failure(explain(error), NO_CONNECTION)
    except _session.store_errors() as error:
        raise Failure("cannot use the %s" % one_line(error), USAGE)
