"""The protocol ``http2``: frames as RFC 9113 has them (4.1), behind the client's preface (3.4)."""

from __future__ import absolute_import, division, print_function

import struct

from ...._compat import MYPY
from . import Protocol
from .base import BaseProtocol

if MYPY:
    from typing import Optional

__all__ = ["Http2"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER = 9


@Protocol.register
class Http2(BaseProtocol):
    """Frames of any type. The client's preface and the frame behind it count as one."""

    name = "http2"
    options = {}

    def __init__(self):
        # type: () -> None
        super(Http2, self).__init__()
        self._has_begun = False

    def frame_length(self, head, to_backend):
        # type: (bytes, bool) -> Optional[int]
        """Return the length of a frame; see the base class."""
        before = 0
        if to_backend and not self._has_begun:
            before = len(_PREFACE)
            if not _PREFACE.startswith(head[:before]):
                raise ValueError("this is not the preface of HTTP/2")
        if len(head) < before + _HEADER:
            return None
        self._has_begun = self._has_begun or to_backend
        return before + _HEADER + int(struct.unpack(">I", b"\0" + head[before:before + 3])[0])
