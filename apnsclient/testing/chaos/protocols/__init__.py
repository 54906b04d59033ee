"""The protocols that a proxy can know; each finds the frames in a stream of bytes."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from ..plugins import Plugins

if MYPY:
    from typing import Dict

__all__ = ["Protocol"]


class Protocol(Plugins):
    """The list of protocols by name.

    ``register(cls)`` adds a class, ``get(name)`` finds one, ``names()`` lists them.
    """

    kind = "protocol"
    package = __name__
    built_in = ("apns", "http2", "tcp")
    method = "frame_ends"

    _known = {}  # type: Dict[str, type]
