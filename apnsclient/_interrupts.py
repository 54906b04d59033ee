"""Exceptions that come from outside in the middle of a call, and that are none of ours.

``KeyboardInterrupt`` is one, and no ``except Exception`` stops it. The time limits of Celery and RQ
come in the same way, and are of type ``Exception``. Wherever that stands for "the back-end failed",
they would pass for a connection that is lost: the sending would go on, and the caller never hear of
the limit. Worse, a handler that raises ``TimeoutError`` would pass for the gateway's silence, which
means success. What is thrown into a greenlet is of the same kind.
"""

from __future__ import absolute_import, division, print_function

import signal
import sys

import six

from ._compat import MYPY

try:
    # That of the module signal makes an exception on Python 3.7 that refers to itself, and to the
    # frames of who asks, until the garbage collector comes.
    from _signal import getsignal  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    from signal import getsignal

if MYPY:
    from typing import Any, Callable, Set, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["is_interrupt", "raises_nothing", "take_failure"]

#: Code of the functions that are marked.
_marked = set()  # type: Set[Any]


def raises_nothing(function):
    # type: (Function) -> Function
    """Mark a function that raises nothing of its own: what comes out of it was thrown into it."""
    _marked.add(function.__code__)
    return function


def is_interrupt():
    # type: () -> bool
    """Return True if the exception that is being handled is for the caller of the caller alone.

    It is if it came out of a signal handler, or of a function that raises nothing, or is no
    ``Exception`` to begin with.
    """
    kind, _, traceback = sys.exc_info()
    if kind is None or not issubclass(kind, Exception):
        return kind is not None
    codes = set()  # type: Set[Any]
    while traceback is not None:
        codes.add(traceback.tb_frame.f_code)
        traceback = traceback.tb_next
    return not (codes.isdisjoint(_marked) and codes.isdisjoint(_handler_codes()))


def take_failure():
    # type: () -> Any
    """Return ``sys.exc_info()``, unless that is an interrupt: then raise it again."""
    if is_interrupt():
        # No name for it: its frames would refer to themselves, and outlive the call with all they
        # hold.
        six.reraise(*sys.exc_info())
    return sys.exc_info()


def _handler_codes():
    # type: () -> Set[Any]
    """Return the code of the signal handlers of this process that are written in Python."""
    codes = set()
    for number in range(1, signal.NSIG):
        handler = getsignal(number)
        if callable(handler):
            # Functions and methods; functools.partial(); other objects.
            for one in handler, getattr(handler, "func", None), type(handler).__call__:
                codes.add(getattr(one, "__code__", None))
    return codes
