"""Tokens that say themselves what becomes of pushes to them, for those who can set nothing else.

Such a token begins with the four bytes ``decafbad``. Five decimal digits behind them choose what
happens, and what follows those does not matter: ``decafbad41001`` and zeros up to 64 digits is
a device whose application is gone. With other digits it is a token like any.
"""

from __future__ import absolute_import, division, print_function

from binascii import hexlify
from collections import namedtuple
from itertools import product

import six

from ..._compat import MYPY
from ...protocols.http2 import frames
from .request_script import RequestScript
from .script import CLOSE, RESET, SHUTDOWN, STALL

if MYPY:
    from typing import Dict, Optional

__all__ = ["GONE_SINCE", "MAGIC", "MAGIC_TEXTS", "MagicToken", "TOKENS", "find_magic"]

#: How a magic token begins: in bytes, and as a path has it, in whatever case.
MAGIC = b"\xde\xca\xfb\xad"
MAGIC_TEXTS = frozenset(
    "".join(letters).encode("ascii")
    for letters in product(*[(letter, letter.upper()) for letter in "decafbad"]))
#: Since when the application is gone from a device with a magic token, in seconds since 1970.
GONE_SINCE = 1700000000

_START, _END = len(MAGIC) * 2, len(MAGIC) * 2 + 5


class MagicToken(namedtuple("MagicToken", "reason status script ending")):
    """What a magic token does.

    :ivar reason: reason of the provider API (str), None if it has none.
    :ivar status: status of the gateway's error frame (int), None if it accepts it.
    :ivar script: script of the request (:class:`.RequestScript`), or None.
    :ivar ending: how the gateway ends the connection (str), or None.
    """

    __slots__ = ()


#: Status of the gateway for a reason; that of others is 1, "Processing error".
_GATEWAY_STATUSES = {
    "BadDeviceToken": 8, "BadTopic": 6, "DeviceTokenNotForTopic": 8, "MissingDeviceToken": 2,
    "MissingTopic": 3, "PayloadEmpty": 4, "PayloadTooLarge": 7, "TopicDisallowed": 6,
    "Shutdown": 10, "Unregistered": None, "ExpiredToken": None,
}  # type: Dict[str, Optional[int]]

_REASONS = {
    "40001": "BadDeviceToken", "40002": "DeviceTokenNotForTopic", "40003": "MissingDeviceToken",
    "40004": "BadTopic", "40005": "MissingTopic", "40006": "TopicDisallowed",
    "40007": "InvalidPushType", "40008": "BadPriority", "40009": "BadExpirationDate",
    "40010": "BadCollapseId", "40011": "BadMessageId", "40012": "DuplicateHeaders",
    "40013": "IdleTimeout", "40014": "PayloadEmpty",
    "40301": "ExpiredProviderToken", "40302": "InvalidProviderToken",
    "40303": "MissingProviderToken", "40304": "BadCertificate",
    "40305": "BadCertificateEnvironment", "40306": "BadEnvironmentKeyInToken",
    "40307": "UnrelatedKeyIdInToken", "40308": "Forbidden",
    "40401": "BadPath", "40501": "MethodNotAllowed",
    "41001": "Unregistered", "41002": "ExpiredToken", "41301": "PayloadTooLarge",
    "42901": "TooManyRequests", "42902": "TooManyProviderTokenUpdates",
    "50001": "InternalServerError", "50301": "ServiceUnavailable", "50302": "Shutdown",
}

#: What magic tokens do, by their five digits (dict of :class:`MagicToken`).
TOKENS = dict(
    (digits, MagicToken(reason, _GATEWAY_STATUSES.get(reason, 1), None, None))
    for digits, reason in _REASONS.items())  # type: Dict[str, MagicToken]
TOKENS.update({
    "90001": MagicToken(None, None, RequestScript(reset=frames.INTERNAL_ERROR), RESET),
    "90002": MagicToken(None, None, RequestScript(reset=frames.REFUSED_STREAM), CLOSE),
    "90003": MagicToken(None, None, RequestScript(no_response=True), STALL),
    "90004": MagicToken(None, None, RequestScript(goaway=True), SHUTDOWN),
    "91001": MagicToken(None, None, RequestScript(delay=1), None),
    "91010": MagicToken(None, None, RequestScript(delay=10), None),
    "91060": MagicToken(None, None, RequestScript(delay=60), None),
})


def find_magic(token):
    # type: (bytes) -> Optional[MagicToken]
    """Return what a token does, given as raw bytes; None if it is not a magic one."""
    if token[:len(MAGIC)] != MAGIC:
        return None
    return TOKENS.get(six.ensure_str(hexlify(token))[_START:_END])
