"""The parser of the command: help that fits the terminal, and one line for an error.

argparse prints the whole usage for each error, reports missing arguments before unknown options,
and takes ``--alret="a b"`` for a positional argument. Here unknown options are reported first, and
an error is followed by one hint.
"""

from __future__ import absolute_import, division, print_function

import argparse
import difflib
import os
import re
import shutil
import sys
import textwrap

from .._compat import MYPY
from . import _console

if MYPY:
    from typing import Any, Callable, Iterable, List, Optional

__all__ = ["HelpFormatter", "Parser"]

#: Widest line of help, in columns; longer lines are hard to read.
_WIDEST = 100
#: Width of the names of the commands with their indentation, in columns.
_LONGEST_COMMAND = 14
#: Lines with at least this indentation, in columns, are commands or data, and are not wrapped.
_VERBATIM = 4
#: How a block of text begins: indentation, then the term of a list, if there is one.
_BEGINNING = re.compile(r" *(?:\S+ {2,})?")
#: What looks like an option, up to its "=".
_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_-]*\Z")


class HelpFormatter(argparse.HelpFormatter):
    """Wraps description and epilog to the terminal, too, keeping their paragraphs and lists."""

    def __init__(self, prog):
        # type: (str) -> None
        super(HelpFormatter, self).__init__(
            prog, max_help_position=28, width=min(_columns() - 2, _WIDEST))
        # argparse ignores the indentation of the names of commands.
        self._action_max_length = _LONGEST_COMMAND

    def _fill_text(self, text, width, indent):
        # type: (str, int, str) -> str
        lines = []  # type: List[str]
        block, hang = "", 0
        for line in text.strip("\n").splitlines() + [""]:
            begin = len(line) - len(line.lstrip())
            if block and line and begin == hang:
                block += " " + line.lstrip()
                continue
            lines += _wrap(block, width, hang)
            block = ""
            if not line or begin >= _VERBATIM:
                lines.append(line)
            else:
                block, hang = line, len(_BEGINNING.match(line).group())  # type: ignore[union-attr]
        return "\n".join(lines)

    def _split_lines(self, text, width):
        # type: (str, int) -> List[str]
        return _wrap(" ".join(text.split()), width)


def _wrap(text, width, hang=0):
    # type: (str, int, int) -> List[str]
    """Return text as lines, without breaking options or addresses."""
    return textwrap.wrap(text, width, subsequent_indent=" " * hang, break_long_words=False,
                         break_on_hyphens=False)


def _columns():
    # type: () -> int
    """Return the width of the terminal in columns; argparse of Python 2.7 does not determine it."""
    if hasattr(shutil, "get_terminal_size"):
        return shutil.get_terminal_size().columns
    import fcntl
    import struct
    import termios
    try:
        found = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        try:
            size = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
            found = struct.unpack("HHHH", size)[1]
        except EnvironmentError:
            found = 0
    return found if found > 0 else 80


class Parser(argparse.ArgumentParser):
    """Parses the arguments of ``apns``, or of one of its commands."""

    #: Called with the parser and the arguments before they are parsed; may add arguments that
    #: depend on them.
    prepare = None  # type: Optional[Callable[[argparse.ArgumentParser, List[str]], None]]

    def __init__(self, **options):
        # type: (**Any) -> None
        # argparse would begin with a list of all options, which are explained below.
        options.setdefault("usage", "%(prog)s [OPTION ...]")
        super(Parser, self).__init__(formatter_class=HelpFormatter, **options)

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Parse the known arguments; see the base class."""
        args = sys.argv[1:] if args is None else list(args)
        if self.prepare is not None:
            self.prepare(self, args)
        self._check_options(args)
        return super(Parser, self).parse_known_args(args, namespace)

    def error(self, message, hint=None):
        # type: (str, Optional[str]) -> Any
        """End the program with a line for the error, and a line that says what to do.

        :param hint: the second line (str); by default how to get help.
        """
        self.exit(_console.USAGE, "%s: error: %s\n%s\n" % (
            self.prog, _console.one_line(message), hint or "Try: %s --help" % self.prog))

    def _check_options(self, arguments):
        # type: (List[str]) -> None
        """End the program if there is an unknown option."""
        before = None
        for argument in arguments:
            name = argument.partition("=")[0]
            if argument == "--" or self._subparsers is not None and not argument.startswith("-"):
                return  # Only tokens follow, or the arguments of another parser.
            if _OPTION.match(name) and not any(
                    known.startswith(name) for known in self._option_string_actions):
                self.error("unknown option %s" % name,
                           _suggestion(name, self._option_string_actions)
                           or self._hint_at_value(before, argument))
            before = argument

    def _hint_at_value(self, option, value):
        # type: (Optional[str], str) -> Optional[str]
        """Return how to write a value that begins with a dash, if it follows an option."""
        action = self._option_string_actions.get(option or "")
        if action is None or action.nargs == 0:
            return None
        return "If it is the value of %s, write %s=%s" % (option, option, value)

    def _check_value(self, action, value):
        # type: (argparse.Action, Any) -> None
        if action.choices is not None and value not in action.choices:
            what = ("%s" % (action.metavar or action.dest,)).lower()
            self.error("unknown %s %s" % (what, value), _suggestion(value, action.choices))

    def _print_message(self, message, file=None):
        # type: (str, Any) -> None
        # argparse fails here, or hides a failure, depending on the version of Python.
        if message:
            _console.write_line(sys.stderr if file is None else file, message.rstrip("\n"))


def _suggestion(given, known):
    # type: (str, Iterable[str]) -> Optional[str]
    """Return a hint with the most similar name, or None if none is similar."""
    by_name = dict((name.strip("-"), name) for name in known)
    found = difflib.get_close_matches(given.strip("-"), sorted(by_name), 1)
    return "Did you mean %s?" % by_name[found[0]] if found else None
