"""A notification as the rules look at it: read once for all of them."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...topics import SUFFIXES, split_topic
from .reading import read

if MYPY:
    from typing import Any, Dict, Optional

    from .reading import Reading

__all__ = ["Subject"]

#: Keys of ``aps`` that interact with the user.
_VISIBLE = ("alert", "badge", "sound")


class Subject(object):
    """An exchange, and what is read in it.

    :param exchange: an :class:`.Exchange`, or what has its attributes.

    :ivar headers: header fields by name (dict); empty over the binary protocol.
    :ivar reading: the payload (:class:`.reading.Reading`).
    :ivar payload: the object that is the payload (dict), empty if there is none.
    :ivar aps: the object below its key ``aps`` (dict), empty if there is none.
    :ivar alert: the value of ``alert`` in it, None if there is none.
    :ivar push_type: the push type: that of the request, else that of its topic, else what the
        payload looks like (str).
    :ivar now: when it came, in seconds since 1970 (float).
    """

    __slots__ = ("exchange", "headers", "reading", "payload", "aps", "alert", "push_type", "now",
                 "_credential")

    def __init__(self, exchange):
        # type: (Any) -> None
        self.exchange = exchange
        self.headers = dict(exchange.headers)  # type: Dict[str, str]
        self.reading = reading = read(exchange.payload)  # type: Reading
        value = reading.value
        self.payload = value if isinstance(value, dict) else {}  # type: Dict[Any, Any]
        aps = self.payload.get("aps")
        self.aps = aps if isinstance(aps, dict) else {}  # type: Dict[Any, Any]
        self.alert = self.aps.get("alert")  # type: Any
        self.push_type = (exchange.push_type or self._type_of_topic()
                          or _type_of_payload(self.payload, self.aps))  # type: str
        self.now = exchange.time  # type: float
        self._credential = None  # type: Any

    @property
    def is_http2(self):
        # type: () -> bool
        """True if it came over HTTP/2."""
        return bool(self.exchange.protocol != "binary")

    @property
    def is_visible(self):
        # type: () -> bool
        """True if it has something that interacts with the user."""
        return any(self.aps.get(name) is not None for name in _VISIBLE)

    @property
    def credential(self):
        # type: () -> Any
        """Facts of its provider token or certificate, None without any."""
        if self._credential is None:
            self._credential = self.exchange.credential
        return self._credential

    @property
    def is_by_token(self):
        # type: () -> bool
        """True if it came with a provider token."""
        return hasattr(self.credential, "issued_at")

    def _type_of_topic(self):
        # type: () -> Optional[str]
        if self.exchange.kind == "broadcast":
            return "liveactivity"
        return split_topic(self.exchange.topic)[1] if self.exchange.topic else None

    @property
    def suffix(self):
        # type: () -> Optional[str]
        """Suffix of the topic that its push type needs (str), None if the type is unknown."""
        return SUFFIXES.get(self.push_type)


def _type_of_payload(payload, aps):
    # type: (Dict[Any, Any], Dict[Any, Any]) -> str
    if "mdm" in payload and not aps:
        return "mdm"
    if "content-state" in aps or "attributes-type" in aps:
        return "liveactivity"
    if "content-changed" in aps:
        return "widgets"
    if aps.get("content-available") and not any(name in aps for name in _VISIBLE):
        return "background"
    return "alert"
