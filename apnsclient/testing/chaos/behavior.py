"""Behaviors: which handler serves how many connections of a hundred.

``20:delay,5:reset`` delays on 20 % of the connections and resets 5 %; the others pass unharmed. It
is decided once for each connection, when it is accepted.
"""

from __future__ import absolute_import, division, print_function

import six

from ..._compat import MYPY
from .errors import ConfigurationError

if MYPY:
    from typing import Any, List, Tuple

__all__ = ["Behavior", "REST"]

#: Handler of the connections that nothing is said about.
REST = "dummy"


class Behavior(object):
    """Names of handlers with their shares. Immutable, and equal where the text is the same.

    :param text: ``PERCENT:HANDLER``, several joined by commas; the empty text leaves every
        connection alone. A percentage may have a fraction.
    :raises ConfigurationError: if the text is malformed, or the shares add up to more than 100.
    """

    def __init__(self, text=""):
        # type: (Any) -> None
        if not isinstance(text, six.string_types):
            raise ConfigurationError("the behavior is %r; expected text like 20:delay,5:reset"
                                     % (text,))
        text = six.ensure_str(text)
        #: ``(percent, name of the handler)`` in the order of the text.
        self.shares = tuple(_parse_share(part, text) for part in text.split(",")) \
            if text.strip() else ()  # type: Tuple[Tuple[float, str], ...]
        total = sum(share for share, _ in self.shares)
        if total > 100 + 1e-9:  # Fractions need not add up to the last digit.
            raise ConfigurationError("the percentages of the behavior %r add up to %g; expected at "
                                     "most 100" % (text, total))

    @property
    def names(self):
        # type: () -> List[str]
        """Names of the handlers in the order of the text."""
        return [name for _, name in self.shares]

    def choose(self, fraction):
        # type: (float) -> str
        """Return the name of the handler for a random number from 0 up to 1."""
        left = fraction * 100
        for share, name in self.shares:
            left -= share
            if left < 0:
                return name
        return REST

    def __str__(self):
        # type: () -> str
        return ",".join("%g:%s" % share for share in self.shares)

    def __repr__(self):
        # type: () -> str
        return "Behavior(%r)" % str(self)

    def __eq__(self, other):
        # type: (object) -> bool
        return isinstance(other, Behavior) and self.shares == other.shares

    def __ne__(self, other):
        # type: (object) -> bool
        return not self == other

    def __hash__(self):
        # type: () -> int
        return hash(self.shares)


def _parse_share(part, text):
    # type: (str, str) -> Tuple[float, str]
    percent, colon, name = part.strip().partition(":")
    try:
        share = float(percent)
    except ValueError:
        share = -1.0
    if not colon or not name.strip() or not 0 <= share <= 100:
        raise ConfigurationError(
            "%r in the behavior %r is malformed; expected PERCENT:HANDLER with a percentage from 0 "
            "to 100, for example 20:delay" % (part.strip(), text))
    return share, name.strip()
