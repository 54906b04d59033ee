"""The timeouts and sizes that a session is given, and what is wrong with those that cannot be."""

from __future__ import absolute_import, division, print_function

import numbers
from collections import namedtuple

from ._compat import MYPY

if MYPY:
    from typing import Any, NamedTuple, Optional

__all__ = ["Timing", "check_ping_after", "check_timeout", "check_timing"]

#: Timeouts in seconds and sizes in bytes, the arguments of a session.
if MYPY:
    Timing = NamedTuple("Timing", [
        ("connect_timeout", Optional[float]), ("write_buffer_size", int),
        ("write_timeout", Optional[float]), ("read_buffer_size", int),
        ("read_timeout", Optional[float]), ("read_tail_timeout", float)])
else:
    Timing = namedtuple("Timing", "connect_timeout write_buffer_size write_timeout "
                                  "read_buffer_size read_timeout read_tail_timeout")


def check_timing(timing):
    # type: (Timing) -> Timing
    """Return the timing.

    :raises ValueError: if one of its values is out of range.
    """
    for name in timing._fields:
        value = getattr(timing, name)
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

    :raises ValueError: if it is not. True is none either, which Python takes for 1.
    """
    if value is not None and (isinstance(value, bool) or not (
            isinstance(value, numbers.Real) and float(value) > 0)):
        raise ValueError("timeout is %r, expected seconds above 0, or None for no limit" % (value,))
