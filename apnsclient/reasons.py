"""What each status code of Apple's gateway means, and what is to be done about it.

One table. Each row says what became of the token that the gateway reported (the verdict) and whom
the reason concerns (the scope); everything else that the package wants to know of a code is derived
from these two.

Source of the codes: Apple, *Local and Remote Notification Programming Guide*, appendix "Binary
Provider API", table "Codes in error-response packet".
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ._compat import MYPY

if MYPY:
    from typing import Dict, Optional

__all__ = ["ACCEPTED", "MESSAGE", "REJECTED", "RESEND", "REASONS", "TOKEN", "Reason", "reason_of"]

#: Verdict: the reported token was the last one that was delivered.
ACCEPTED = "accepted"
#: Verdict: sending the same again will be refused again.
REJECTED = "rejected"
#: Verdict: the same may be sent again.
RESEND = "resend"

#: Scope: the reason concerns the reported token alone.
TOKEN = "token"
#: Scope: the reason concerns the message or the connection, whichever token was reported.
MESSAGE = "message"


class Reason(namedtuple("Reason", "code explanation verdict scope")):
    """A row of the table: ``code`` (int or None), ``explanation`` (str), ``verdict``, ``scope``."""

    __slots__ = ()

    @property
    def blames_token(self):
        # type: () -> bool
        """True if the reported token is bad for good and must not be used again."""
        return self.verdict == REJECTED and self.scope == TOKEN

    @property
    def is_error(self):
        # type: () -> bool
        """True if the reason belongs to the errors that no token is to blame for."""
        return self.verdict != ACCEPTED and self.scope == MESSAGE

    @property
    def retries_rest(self):
        # type: () -> bool
        """True if the tokens behind the reported one are worth sending again."""
        return not (self.verdict == REJECTED and self.scope == MESSAGE)

    @property
    def retries_reported(self):
        # type: () -> bool
        """True if the reported token is worth sending again."""
        return self.verdict == RESEND


#: The row for IO failures and for every code that Apple does not document (128 and 255 are seen).
UNKNOWN = Reason(None, "Unknown", RESEND, MESSAGE)

#: ``{code: Reason}``; exactly the codes that a :class:`~apnsclient.apns.Result` can report.
REASONS = dict((row.code, row) for row in (
    Reason(1, "Processing error", RESEND, MESSAGE),
    Reason(2, "Missing device token", REJECTED, TOKEN),
    Reason(3, "Missing topic", REJECTED, MESSAGE),
    Reason(4, "Missing payload", REJECTED, MESSAGE),
    Reason(5, "Invalid token size", REJECTED, TOKEN),
    Reason(6, "Invalid topic size", REJECTED, MESSAGE),
    Reason(7, "Invalid payload size", REJECTED, MESSAGE),
    Reason(8, "Invalid token", REJECTED, TOKEN),
    Reason(10, "Shutdown", ACCEPTED, TOKEN),
    UNKNOWN,
))  # type: Dict[Optional[int], Reason]


def reason_of(code):
    # type: (Optional[int]) -> Reason
    """Look a status code up.

    :param code: status code of an error frame (int, 0 to 255), or None for an IO failure.
    :return: its row; the row of None for every code that is not in the table.
    """
    return REASONS.get(code, UNKNOWN)
