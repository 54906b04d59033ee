"""The protocol ``apns``: Apple's binary protocol, that of the gateway or of the feedback service.

The layout of the frames: Apple, *Binary Provider API* and *Legacy Format*.
"""

from __future__ import absolute_import, division, print_function

import struct

from ...._compat import MYPY
from . import Protocol
from .base import BaseProtocol

if MYPY:
    from typing import Optional

__all__ = ["Apns"]

#: By command, how many bytes stand in front of the token's length in the formats 0 and 1.
_TOKEN_AT = {0: 1, 1: 9}


def _service(value):
    # type: (str) -> str
    if value not in ("gateway", "feedback"):
        raise ValueError("expected gateway or feedback")
    return str(value)


@Protocol.register
class Apns(BaseProtocol):
    """Frames are notifications in any of the three formats, error frames, and feedback rows."""

    name = "apns"
    options = {"service": ("What the backend is: gateway or feedback.", _service, "gateway")}

    def frame_length(self, head, to_backend):
        # type: (bytes, bool) -> Optional[int]
        """Return the length of a frame; see the base class."""
        if not to_backend:
            if self.option("service") == "gateway":
                if bytearray(head)[0] != 8:
                    raise ValueError("%d is not the command of an error frame"
                                     % bytearray(head)[0])
                return 6
            return 6 + struct.unpack(">H", head[4:6])[0] if len(head) >= 6 else None
        command = bytearray(head)[0]
        if command == 2:
            return 5 + struct.unpack(">I", head[1:5])[0] if len(head) >= 5 else None
        if command not in _TOKEN_AT:
            raise ValueError("%d is no command" % command)
        return _legacy_length(head, _TOKEN_AT[command])


def _legacy_length(head, position):
    # type: (bytes, int) -> Optional[int]
    """Return the length of a frame that ends with token and payload, each after its length."""
    for _ in range(2):
        if len(head) < position + 2:
            return None
        position += 2 + struct.unpack(">H", head[position:position + 2])[0]
    return position
