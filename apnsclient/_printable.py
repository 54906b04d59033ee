"""Text that a peer has chosen, before it gets into a message, a log or a terminal."""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Any

__all__ = ["LONGEST", "printable"]

#: Most characters of it that are repeated.
LONGEST = 100


def printable(text):
    # type: (Any) -> str
    """Return text in one line of printable ASCII, with ``?`` in the place of all else.

    :param text: text (unicode); what is longer than 100 characters is cut off.
    """
    return str("".join(character if u" " <= character <= u"~" else "?"
                       for character in text[:LONGEST]))
