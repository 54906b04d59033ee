"""``apns feedback``: the tokens that have gone, as the feedback service tells them."""

from __future__ import absolute_import, division, print_function

import argparse
import contextlib
import datetime
import logging

from .._compat import MYPY
from . import _options
from ._console import ALL_WELL, NO_CONNECTION, NOT_ALL, Failure

if MYPY:
    from typing import Any, Iterator, List

    from ._console import Console

_EPOCH = datetime.datetime(1970, 1, 1)

#: Warns when the list ends before its end.
_READER = "apnsclient.drivers.binary"

_DESCRIPTION = """\
Read the feedback service: the tokens of devices that your app has been removed from, and when that
was noticed. Stop sending to them, unless the device has given you its token again since.
Reading clears the list: what has been printed is not told again.
"""
_EPILOG = """\
output:
  one row a line, token and time (ISO 8601, UTC) with a tab between them; with --json, one object
  {"time": ..., "timestamp": ..., "token": ...} a line. Each row is written as soon as it is there.

exit status:
  0    the list was read to its end, even if there was nothing in it
  1    the list was not read to its end; the rest comes the next time
  2    wrong usage
  3    no connection, or the certificate, key or passphrase cannot be used
  4    the output could not be written
  130  interrupted
  141  whoever read the output has gone away

example:
  apns feedback --address feedback.example.com:2196 --cert push.pem | while read token time; ...
"""


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "feedback", help="print the tokens that are gone", description=_DESCRIPTION,
        epilog=_EPILOG, formatter_class=_options.HelpFormatter)
    _options.add_connection_arguments(
        parser, "feedback_sandbox, feedback_production")
    parser.add_argument("--read-timeout", metavar="SECONDS", type=_options.seconds, default=20.0,
                        help="longest wait for the next rows (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Print the rows as they come, and return the exit status."""
    with _warnings_of(_READER) as warnings:
        for token, when in _rows(arguments, console):
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

    credential = _options.credential(arguments, console)
    session = _options.new_session(arguments, read_timeout=arguments.read_timeout)
    service = Service(_options.connect(session.new_connection, arguments, credential))
    try:
        for token, when in service.feedback():
            yield token.decode("ascii"), when
    except _options.CONNECT_ERRORS as error:
        raise Failure(_options.explain(error), NO_CONNECTION)
