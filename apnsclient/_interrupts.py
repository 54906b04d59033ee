"""Interrupts: exceptions that are raised in the middle of a call by code outside of it.

``KeyboardInterrupt`` is one, and no ``except Exception`` catches it. The time limits of Celery and
RQ are raised by signal handlers, too, but are subclasses of ``Exception``. Where that means "the
back-end failed", such an interrupt would be taken for a lost connection: sending would continue,
and the limit would have no effect. Worse, a handler that raises ``TimeoutError`` would be taken for
the gateway's silence, which means success. Exceptions that are thrown into a greenlet are
interrupts as well.
"""

from __future__ import absolute_import, division, print_function

import signal
import sys

import six

from ._compat import MYPY

try:
    # The function of the module signal creates an exception on Python 3.7 that refers to itself,
    # and keeps the caller's frames alive until the garbage collector runs.
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
    """Mark a function that raises no exceptions itself: any that it raises is an interrupt."""
    _marked.add(function.__code__)
    return function


def is_interrupt():
    # type: () -> bool
    """Return True if the exception that is being handled is an interrupt.

    It is one if it was raised by a signal handler or a function that is marked as raising nothing,
    or if it is not an ``Exception``.
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
    """Return ``sys.exc_info()``, but raise it again if it is an interrupt."""
    if is_interrupt():
        # It has no name here: a local variable would make a reference cycle with its frames.
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
