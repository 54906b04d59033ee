"""``apns feedback``: the tokens that the feedback service, or a feedback store, has."""

from __future__ import absolute_import, division, print_function

import contextlib
import logging
import os
import signal
import time

from .._compat import MYPY
from . import _options, _session
from ._console import INCOMPLETE, OUTPUT_FAILED, SUCCESS, USAGE, Failure
from ._dead_tokens import Command, DeadTokens
from ._interruption import interrupted_once_by

if MYPY:
    import argparse
    from typing import Any, Iterator, List, Optional

    from ._console import Console
    from ._dead_tokens import Row

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

With --follow it goes on for ever, and reads again every so many seconds; Ctrl-C or SIGTERM ends it.
"""
_EPILOG = """\
output:
  one row a line, token and time (ISO 8601, UTC) with a tab between them; with --json, one object
  {"time": ..., "timestamp": ..., "token": ...} a line. Each row is written as soon as it arrives.

  With --exec each row is written once its command has ended with status 0. Where it ends with
  another one, the row goes back into the feedback store, and is reported again; the feedback
  service reports nothing twice, so that a warning names the token. What the command writes goes to
  standard error.

exit status:
  0    the list was read to its end, even if it was empty; or --follow was ended
  1    the list was not read to its end, and the rest is reported the next time; or a command failed
  2    wrong usage, or a feedback store that cannot be used
  3    no connection, or the certificate, key, passphrase, provider token or authorities cannot be
       read or used
  4    the output could not be written
  130  interrupted, or ended by SIGTERM; rows that were not written are reported the next time
  141  the reader of the output has gone away

examples:
    apns feedback --address feedback.example.com:2196 --cert push.pem |
        while read token time; do ...; done
    apns feedback --address push_production --cert push.pem \\
        --feedback-store gone.db
    apns feedback --address push_production --cert push.pem \\
        --feedback-store gone.db --follow \\
        --exec "forget-device {token} {timestamp}"
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
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--once", action="store_true", help="read it once (default)")
    how_long.add_argument("--follow", action="store_true", help="read it again and again")
    parser.add_argument("--every", metavar="SECONDS", type=_options.seconds,
                        help="pause between two reads with --follow (default: 60)")
    parser.add_argument("--exec", metavar="COMMAND", dest="command",
                        help="run this for each token, with {token}, {time} and {timestamp} "
                             "replaced; without any of them, the token is the last argument. It is "
                             "split into words as by a shell, and no shell runs it")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Print the rows as they arrive, and return the exit status."""
    _check(arguments)
    command = _command_of(arguments)
    source = DeadTokens(arguments, console)
    # Rows in hand are kept for the next time, as with Ctrl-C.
    with interrupted_once_by(signal.SIGTERM, signal.SIG_DFL):
        if arguments.follow:
            _follow(source, command, arguments, console)
        else:
            _read(source, command, arguments, console)
    return SUCCESS


def _check(arguments):
    # type: (argparse.Namespace) -> None
    _session.decide_protocol(arguments, ["--feedback-store"])
    if arguments.every is not None and not arguments.follow:
        raise Failure("--every needs --follow; without it, the list is read once", USAGE)
    if arguments.protocol == "http2" and arguments.feedback_store is None:
        raise Failure("over HTTP/2 there is no feedback service; give --feedback-store, or set "
                      "%s, with the file that apns send was given"
                      % _session.FEEDBACK_STORE_VARIABLE, USAGE)
    if arguments.feedback_store is not None and not os.path.exists(arguments.feedback_store):
        # Opening a store creates the file; one with a mistyped name would stay empty for ever.
        raise Failure("cannot use the feedback store %r: there is no such file; apns send, or a "
                      "program of yours, creates it" % str(arguments.feedback_store), USAGE)


def _command_of(arguments):
    # type: (argparse.Namespace) -> Optional[Command]
    if arguments.command is None:
        return None
    try:
        return Command(arguments.command)
    except ValueError as error:
        raise Failure("--exec is not a command: %s" % error, USAGE)


def _follow(source, command, arguments, console):
    # type: (DeadTokens, Optional[Command], argparse.Namespace, Console) -> None
    """Read again and again, until an interrupt; from the second time on, failures are warnings."""
    pause = 60.0 if arguments.every is None else arguments.every
    is_first = True
    try:
        while True:
            try:
                _read(source, command, arguments, console)
            except Failure as failure:
                if failure.status == OUTPUT_FAILED or is_first and failure.status != INCOMPLETE:
                    raise
                console.note("apns: warning: %s" % failure)
            is_first = False
            time.sleep(pause)
    except KeyboardInterrupt:
        pass


def _read(source, command, arguments, console):
    # type: (DeadTokens, Optional[Command], argparse.Namespace, Console) -> None
    """Read the list once, to its end.

    :raises Failure: with INCOMPLETE if the end was not reached, or a command failed.
    """
    failed = []  # type: List[Row]
    with _warnings_of(_READER) as warnings:
        try:
            with contextlib.closing(source.read()) as rows:
                for row in rows:
                    if command is None or _has_run(command, row, source, console):
                        _print(row, arguments, console)
                    else:
                        failed.append(row)
        finally:
            # Not before the end: it would be read again at once.
            source.keep(failed)
    if warnings:
        raise Failure("the list was not read to its end; the rest is reported the next time",
                      INCOMPLETE)
    if failed:
        raise Failure("the command failed for %d tokens%s" % (
            len(failed), "; they are reported again the next time" if source.can_keep else ""),
            INCOMPLETE)


def _has_run(command, row, source, console):
    # type: (Command, Row, DeadTokens, Console) -> bool
    """Run a command for a row; return True if it ended well, else say so."""
    status = command.run(row)
    if status != 0:
        ending = "signal %d ended" % -status if status < 0 else "status %d of" % status
        console.note("apns: warning: %s the command for %s%s" % (
            ending, row.token, "" if source.can_keep else
            ", which the feedback service does not report again"))
    return status == 0


def _print(row, arguments, console):
    # type: (Row, argparse.Namespace, Console) -> None
    if arguments.json:
        console.document(row.document())
    else:
        console.line("%s\t%s" % (row.token, row.time))
    console.flush()


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
