"""A payload, read as tolerantly as possible, with all that is wrong with it as JSON."""

from __future__ import absolute_import, division, print_function

import json

from ..._compat import MYPY

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

__all__ = ["Reading", "read"]

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
#: Digits of an integer that is read as one. Longer ones take long, and Python refuses some.
_MOST_DIGITS = 30
#: Keys that stand twice in an object, at most so many are kept.
_MOST_REPEATED = 5


class Reading(object):
    """What was read of a payload.

    :ivar value: the value, None if there is none.
    :ivar fault: name of what is wrong (str), so that there is no value, or None: ``"empty"``,
        ``"not UTF-8"``, ``"too deep"`` or ``"not JSON"``.
    :ivar has_mark: whether it begins with a byte order mark.
    :ivar repeated: keys that stand more than once in one object (list).
    :ivar constant: NaN or infinity, if one of them is in it (str), else None.
    """

    __slots__ = ("value", "fault", "has_mark", "repeated", "constant")

    def __init__(self):
        # type: () -> None
        self.value = None  # type: Any
        self.fault = None  # type: Optional[str]
        self.has_mark = False
        self.repeated = []  # type: List[Any]
        self.constant = None  # type: Optional[str]

    def add_object(self, pairs):
        # type: (List[Tuple[Any, Any]]) -> Dict[Any, Any]
        """Make an object of its pairs of key and value."""
        value = dict(pairs)
        if len(value) != len(pairs):
            seen = set()
            for key, _ in pairs:
                if key in seen and len(self.repeated) < _MOST_REPEATED:
                    self.repeated.append(key)
                seen.add(key)
        return value

    def add_constant(self, name):
        # type: (str) -> float
        """Make a number of a word that is no JSON."""
        self.constant = name
        return float(name.replace("Infinity", "inf"))


def read(payload):
    # type: (bytes) -> Reading
    """Read a payload, whatever bytes it has."""
    reading = Reading()
    if payload.startswith(_BYTE_ORDER_MARKS):
        reading.has_mark = True
    if not payload:
        reading.fault = "empty"
        return reading
    try:
        text = payload.decode("utf-8-sig" if reading.has_mark else "utf-8")
    except ValueError:
        reading.fault = "not UTF-8"
        return reading
    try:
        reading.value = json.loads(
            text, object_pairs_hook=reading.add_object, parse_constant=reading.add_constant,
            parse_int=_read_integer)
    except ValueError:
        reading.fault = "not JSON"
    except (RuntimeError, MemoryError):  # RuntimeError: nested deeper than Python reads.
        reading.fault = "too deep"
    return reading


def _read_integer(text):
    # type: (str) -> Any
    return int(text) if len(text) <= _MOST_DIGITS else float(text)
