"""Makes text from a peer safe for messages, logs and terminals."""

from __future__ import absolute_import, division, print_function

from ._compat import MYPY

if MYPY:
    from typing import Any

__all__ = ["LONGEST", "printable"]

#: Most characters that are kept.
LONGEST = 100


def printable(text):
    # type: (Any) -> str
    """Return text as one line of printable ASCII, with ``?`` in place of other characters.

    :param text: text (unicode); it is cut off after 100 characters.
    """
    return str("".join(character if u" " <= character <= u"~" else "?"
                       for character in text[:LONGEST]))
