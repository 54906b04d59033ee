"""The differences between Python 2.7 and 3 that more than one module needs and ``six`` lacks.

Types are written as comments, for Python 2.7; the names that they need are imported under
``if MYPY:``, which only the type checker enters, because 2.7 has no ``typing``.
"""

from __future__ import absolute_import, division, print_function

import os
import time
from collections import OrderedDict

import six

#: True for the type checker only.
MYPY = False
if MYPY:
    from typing import Any

PY2 = six.PY2

if PY2:
    def monotonic():
        # type: () -> float
        """Return seconds on a clock that is never set, for deadlines.

        Python 2.7 has no ``time.monotonic``. ``times(2)`` counts from a fixed point in the past on
        every POSIX system, with a resolution of about 10 ms. Elsewhere (Windows returns 0.0) the
        wall clock is used.
        """
        return os.times()[4] or time.time()
    def as_unicode(value):
        # type: (Any) -> Any
        """Return a value for ``json.dumps`` with all its ``str``, which hold UTF-8, as ``unicode``.

        Without escapes, json would join the two kinds of strings, which fails. Numbers become
        plain ones.
        """
        if isinstance(value, str):
            return value.decode("utf-8")
        if isinstance(value, dict):
            return OrderedDict((as_unicode(key), as_unicode(each)) for key, each in value.items())
        if isinstance(value, (list, tuple)):
            return [as_unicode(each) for each in value]
        # For a subclass, such as an IntEnum, json would write its repr().
        if isinstance(value, (int, long, float)):  # noqa: F821
            for kind in (bool, int, long, float):  # noqa: F821
                if isinstance(value, kind):
                    return kind(value)
        return value
else:
    monotonic = time.monotonic

    def as_unicode(value):
        # type: (Any) -> Any
        """Return the value: Python 3 has one kind of string."""
        return value


def text_of(error):
    # type: (BaseException) -> str
    """Return the text of an exception, or its type if there is no text or it cannot be encoded."""
    try:
        return str(error) or type(error).__name__
    except UnicodeError:
        # Python 2.7, and text that is not ASCII.
        return type(error).__name__
