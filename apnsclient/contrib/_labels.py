"""What the adapters of events call things: few values, whatever a server says."""

from typing import FrozenSet, Optional

from ..events import Event
from ..protocols.http2.frames import ERROR_NAMES
from ..reasons import REASONS, RESPONSES

__all__ = ["OTHER", "known", "server_of"]

#: Stands for each reason that Apple does not document: a server may make up any number of them.
OTHER = "other"

#: What the client itself gives as reasons, see :mod:`apnsclient.events`.
_OURS = ("discarded", "goaway", "header too long", "interrupted write", "lost connection",
         "malformed token", "no response", "not sent", "refused stream", "status 408", "status 421",
         "status 425")
_KNOWN: FrozenSet[str] = frozenset(
    list(RESPONSES) + [row.explanation for row in REASONS.values()] + list(ERROR_NAMES)
    + list(_OURS))


def server_of(event: Event) -> str:
    """Return the server of an event as text (str): ``"host:port"``."""
    return "%s:%d" % event.address


def known(reason: Optional[str]) -> Optional[str]:
    """Return a reason, or the detail of one, or :data:`OTHER` where a server has made it up.

    :param reason: of an event (str), or None.
    """
    return reason if reason is None or reason in _KNOWN else OTHER
