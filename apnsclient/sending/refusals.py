"""Notices that a server refuses one token after the other, which is hardly the tokens' fault.

Apple rejects every token of the other environment, and every token where the topic is wrong, with
BadDeviceToken or DeviceTokenNotForTopic. A program that deletes what was refused then deletes all
it has.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, Optional, Tuple

    from ..outcomes import RequestOutcomes

__all__ = ["ADVICE", "Refusals"]

#: What each hint ends with.
ADVICE = "check address and topic before you delete anything"

_HINT = ("at least %d notifications in a row were refused by %s:%d with BadDeviceToken or "
         "DeviceTokenNotForTopic, as all tokens of the other environment are, and all where the "
         "topic is another app's: " + ADVICE)


class Refusals(object):
    """How many tokens in a row were refused, by each address with each credential.

    Messages count together, because a campaign may be one message for each device. The count starts
    over when a token proves that address and topic are right: it was accepted, or Apple knows since
    when it has been dead. Threads may share it; what they report at the same time may count once.

    :param warn: called with each hint (str).
    """

    #: From how many tokens in a row on it is said.
    MANY = 10

    def __init__(self, warn):
        # type: (Callable[[str], None]) -> None
        self._warn = warn
        self._in_a_row = {}  # type: Dict[Any, int]

    def hint(self, place, outcomes, count):
        # type: (Tuple[Tuple[str, int], Any], RequestOutcomes, int) -> Optional[str]
        """Take what became of a message; return what is to be checked (str), or None.

        :param place: ``(address, credential)``: where the message was sent to.
        :param outcomes: what became of its tokens.
        :param count: how many tokens it has (int).
        """
        if not self._in_a_row and not outcomes.count_failures():
            return None
        refused = outcomes.count_rejected_here(count)
        if refused is None:
            self._in_a_row.pop(place, None)
            return None
        if not refused:
            return None
        total = self._in_a_row[place] = self._in_a_row.get(place, 0) + refused
        if total < self.MANY:
            return None
        text = _HINT % ((self.MANY,) + place[0])
        self._warn(text)
        return text
