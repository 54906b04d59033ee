# PYTHON_ARGCOMPLETE_OK: what argcomplete looks for where it is on for all commands.
"""The command ``apns``: client, doctor, feedback, simulator and chaos proxy from a shell.

Each sub-command has a module of its own, with ``add_parser`` and ``run``. What ``run`` needs beyond
the standard library is imported when it runs, so that ``apns --help`` is quick and works without
the extras. An error that can be expected is reported as one line on standard error; a traceback is
a defect of this package.
"""

from __future__ import absolute_import, division, print_function

import argparse
import signal
import sys
import warnings

from .. import __version__
from .._compat import MYPY
from . import _console, chaos, demo, doctor, feedback, send, simulator
from ._completion import complete
from ._interruption import interrupted_once_by
from ._log import log_to
from ._parser import Parser

if MYPY:
    from typing import Any, List, Optional

__all__ = ["main"]

_DESCRIPTION = "Push notifications to Apple devices, and to a gateway of your own for tests."
_EPILOG = """\
apns demo needs nothing and shows what the others do.

apns COMMAND --help explains a command.
"""


class _Version(argparse.Action):
    """Prints the version to standard output; argparse of Python 2.7 prints it to standard error."""

    def __call__(self, parser, namespace, values, option_string=None):
        # type: (Any, Any, Any, Optional[str]) -> None
        _console.write_line(sys.stdout, "apns (apns-client) %s" % __version__)
        parser.exit()


def _build_parser():
    # type: () -> argparse.ArgumentParser
    parser = Parser(
        prog="apns", usage="%(prog)s COMMAND [OPTION ...]", description=_DESCRIPTION,
        epilog=_EPILOG)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(
        prog="apns", dest="command", metavar="COMMAND", title="commands")
    for module in (demo, doctor, send, feedback, simulator, chaos):
        module.add_parser(commands)
    return parser


def main(argv=None):
    # type: (Optional[List[str]]) -> int
    """Run the command.

    :param argv: arguments without the command's own name (list of str); None takes them from
        ``sys.argv``.
    :return: exit status (int). After an interruption (130) SIGINT stays ignored, so that the
        process can end undisturbed.
    :raises SystemExit: where argparse ends the program: for ``--help``, ``--version`` and wrong
        usage.
    """
    _console.occupy_descriptors()
    console = _console.Console()
    try:
        try:
            status = _run(argv, console)
        except SystemExit:
            console.flush()
            raise
        console.flush()
        return status
    except _console.Failure as failure:
        return _report(failure, console)
    except _console.OutputClosed:
        console.abandon()
        return _console.OUTPUT_CLOSED
    except KeyboardInterrupt:
        return _report(_console.Failure("interrupted", _console.INTERRUPTED), console)


def _run(argv, console):
    # type: (Optional[List[str]], _console.Console) -> int
    parser = _build_parser()
    complete(parser)
    arguments = parser.parse_args(argv)
    if getattr(arguments, "run", None) is None:
        parser.error("a command is needed: demo, doctor, send, feedback, simulator or chaos")
    with warnings.catch_warnings(), log_to(console), \
            interrupted_once_by(signal.SIGINT, signal.default_int_handler):
        if not sys.warnoptions:
            # Libraries announce there which Python they are going to drop, and the user of a
            # command cannot act on it. With -W or PYTHONWARNINGS all warnings are shown.
            warnings.simplefilter("ignore")
        status = arguments.run(arguments, console)  # type: int
    return status


def _report(failure, console):
    # type: (_console.Failure, _console.Console) -> int
    """Report a failure on standard error, and return the exit status."""
    try:
        console.error(failure)
        console.flush()
    except (_console.OutputClosed, _console.Failure):
        console.abandon()
    return failure.status
