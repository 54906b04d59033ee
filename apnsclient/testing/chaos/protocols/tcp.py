"""The protocol ``tcp``: bytes without frames."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from . import Protocol
from .base import BaseProtocol

if MYPY:
    from typing import List

__all__ = ["Tcp"]


@Protocol.register
class Tcp(BaseProtocol):
    """Takes each piece of data that is read for a frame."""

    name = "tcp"
    options = {}

    def frame_ends(self, data, to_backend):
        # type: (bytes, bool) -> List[int]
        """Return the end of the piece."""
        return [len(data)] if data else []
