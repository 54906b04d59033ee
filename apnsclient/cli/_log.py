"""The log messages of the package, as lines on standard error."""

from __future__ import absolute_import, division, print_function

import contextlib
import logging

from .._compat import MYPY
from ..errors import APNsError
from ..sending.refusals import ADVICE
from ._console import Failure, OutputClosed, one_line
from ._explain import explain

if MYPY:
    from typing import Iterator, Optional

    from ._console import Console

__all__ = ["log_to"]


class _Handler(logging.Handler):
    """Writes each record as a line, without its traceback."""

    def __init__(self, console):
        # type: (Console) -> None
        super(_Handler, self).__init__(logging.WARNING)
        self._console = console
        self._last = None  # type: Optional[str]

    def emit(self, record):
        # type: (logging.LogRecord) -> None
        """Write a line, with errors explained in terms of the options.

        The advice to check before anything is deleted is left out: the summary has it. So is what
        was said just before, by another attempt to do the same.
        """
        if record.getMessage().endswith(ADVICE):
            return
        if isinstance(record.args, tuple):
            record = logging.makeLogRecord(dict(vars(record), args=tuple(
                explain(one) if isinstance(one, APNsError) else one for one in record.args)))
        line = "apns: %s: %s" % (record.levelname.lower(), one_line(record.getMessage()))
        if line == self._last:
            return
        self._last = line
        try:
            self._console.note(line)
        except (OutputClosed, Failure):
            pass  # The code that logs cannot handle it; the next write of a result fails as well.


@contextlib.contextmanager
def log_to(console):
    # type: (Console) -> Iterator[None]
    """Write the warnings of this package to standard error as long as the block runs."""
    logger = logging.getLogger("apnsclient")
    handler = _Handler(console)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
