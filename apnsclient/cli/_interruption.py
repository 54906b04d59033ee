"""A signal that ends a command in good order."""

from __future__ import absolute_import, division, print_function

import contextlib
import signal

from .._compat import MYPY

if MYPY:
    from typing import Any, Iterator

__all__ = ["interrupted_once_by"]


@contextlib.contextmanager
def interrupted_once_by(number, default):
    # type: (int, Any) -> Iterator[None]
    """Raise KeyboardInterrupt at the first signal of a number, and ignore those that follow.

    Connections are closed after the first, and rows put back; an impatient user must not turn that
    into a traceback. If the signal has another handler than the default, or this is not the main
    thread, nothing is changed.

    :param number: number of the signal (int).
    :param default: its handler if nobody has set one.
    """
    def interrupted(number, frame):
        # type: (int, Any) -> None
        signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if signal.getsignal(number) is not default:
        yield  # It is ignored, or the caller of main() handles it.
        return
    try:
        signal.signal(number, interrupted)
    except ValueError:  # This is not the main thread, which alone handles signals.
        yield
        return
    try:
        yield
    finally:
        if signal.getsignal(number) is interrupted:
            signal.signal(number, default)
