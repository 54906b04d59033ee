"""Validates and converts the arguments of a session."""

from __future__ import absolute_import, division, print_function

import importlib
import numbers
from collections import namedtuple

import six

from ._compat import MYPY
from ._extras import NotInstalled

if MYPY:
    from typing import Any, Optional

    from .backends import BaseBackend

__all__ = ["Timing", "check_alpn", "check_ping_after", "check_timeout",
           "check_timing", "make_backend"]

#: Timeouts in seconds and sizes in bytes, the arguments of a session.
Timing = namedtuple("Timing", "connect_timeout write_buffer_size write_timeout read_buffer_size "
                              "read_timeout read_tail_timeout")


def check_timing(timing):
    # type: (Timing) -> Timing
    """Return the timing.

    :raises ValueError: if one of its values is out of range.
    """
    for name, value in zip(timing._fields, timing):
        is_number = isinstance(value, numbers.Real)
        if name.endswith("_size"):
            if not is_number or value < 1:
                raise ValueError("%s is %r, expected 1 or more bytes" % (name, value))
        elif name == "read_tail_timeout":
            if not is_number or value < 0:
                raise ValueError("read_tail_timeout is %r, expected seconds from 0 up: silence for "
                                 "that long is success" % (value,))
        elif value is not None and not (is_number and value > 0):
            raise ValueError("%s is %r, expected seconds above 0, or None to wait for ever"
                             % (name, value))
    return timing


def check_ping_after(value):
    # type: (Any) -> Optional[float]
    """Return the argument ``ping_after``: seconds, or None.

    :raises ValueError: if it is neither.
    """
    if value is None or isinstance(value, numbers.Real) and float(value) >= 0:
        return value  # type: ignore[return-value]
    raise ValueError("ping_after is %r, expected seconds from 0 up, or None never to ping"
                     % (value,))


def check_timeout(value):
    # type: (Any) -> None
    """See that the time for a call is one.

    :raises ValueError: if it is not.
    """
    if value is not None and not (isinstance(value, numbers.Real) and float(value) > 0):
        raise ValueError("timeout is %r, expected seconds above 0, or None for no limit" % (value,))


def make_backend(pool, options):
    # type: (Any, Any) -> BaseBackend
    """Return the back-end for the argument ``pool`` of a session.

    :raises ImportError: if it names a module that cannot be imported, or has no back-end.
    :raises TypeError: if it is of another type, or is an instance and there are options.
    """
    if isinstance(pool, six.string_types):
        try:
            module = _import(pool)
        except NotInstalled:
            raise
        except (ImportError, TypeError, ValueError) as error:
            # An empty or a relative name raises one of the latter two.
            six.raise_from(
                ImportError("the back-end %s cannot be imported: %s" % (pool, error)), error)
        pool = getattr(module, "Backend", None)
        if pool is None:
            raise ImportError("the back-end %s has no class Backend" % module.__name__)
    if isinstance(pool, type):
        pool, options = pool(**options), {}
    if not hasattr(pool, "get_new_connection"):
        raise TypeError("the back-end is %r, expected the name of a module, a subclass of "
                        "BaseBackend or an instance of one" % (pool,))
    if options:
        raise TypeError("the back-end is an instance already and takes no options: %s"
                        % ", ".join(sorted(options)))
    return pool


def _import(name):
    # type: (str) -> Any
    """Import the module of a back-end."""
    if name == "apnsclient.backends.stdio":
        # Tools that freeze programs, such as PyInstaller, find only import statements.
        from .backends import stdio
        return stdio
    return importlib.import_module(name)


def check_alpn(backend):
    # type: (BaseBackend) -> None
    """Raise ValueError if a back-end cannot open connections for HTTP/2."""
    if not backend.has_alpn:
        raise ValueError("the back-end %s does not negotiate protocols with ALPN, which HTTP/2 "
                         "needs: use another one, or have it set has_alpn and take the argument "
                         "alpn" % type(backend).__module__)
