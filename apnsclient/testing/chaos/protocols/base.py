"""What protocols are made of: one function finds how long a frame is, the rest is counted here."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple, cast

    from ..connection import Connection

__all__ = ["BaseProtocol"]


class BaseProtocol(object):
    """Finds the frames in both directions of one connection; there is a new one for each.

    :cvar name: short name (str).
    :cvar options: by name, ``(description, type, default)``.
    :ivar settings: values of the options by name.
    :ivar connection: the connection
        (:class:`~apnsclient.testing.chaos.connection.Connection`).
    """

    name = ""
    options = {}  # type: Dict[str, Tuple[str, Any, Any]]

    settings = None  # type: Any
    if MYPY:
        connection = cast(Connection, None)

    def __init__(self):
        # type: () -> None
        #: By direction: the beginning of the frame that has begun, as far as it is needed.
        self._heads = {True: b"", False: b""}
        #: By direction: how many bytes of it are still to come, once that is known.
        self._missing = {True: None, False: None}  # type: Dict[bool, Optional[int]]
        self._is_lost = {True: False, False: False}

    def option(self, name):
        # type: (str) -> Any
        """Return the value of an option."""
        values = self.settings or {}
        return values[name] if name in values else self.options[name][2]

    def frame_length(self, head, to_backend):
        # type: (bytes, bool) -> Optional[int]
        """Return how long a frame is; a protocol has to define this.

        :param head: the beginning of the frame: at least one byte, and more each time.
        :param to_backend: True for what the client sends.
        :return: its whole length, ``head`` included; None if more has to be seen first.
        :raises ValueError: if this is no frame of the protocol. Everything that follows in this
            direction is taken for one frame without an end.
        """
        raise NotImplementedError("%s has no frame_length()" % type(self).__name__)

    def frame_ends(self, data, to_backend):
        # type: (bytes, bool) -> List[int]
        """Return where in ``data`` frames end: numbers from 1 to ``len(data)``, ascending.

        :param data: what comes next in the direction (bytes).
        :param to_backend: the direction.
        """
        ends = []  # type: List[int]
        position = 0
        while position < len(data) and not self._is_lost[to_backend]:
            missing = self._missing[to_backend]
            if missing is None:
                position = self._read_head(data, position, to_backend)
            else:
                step = min(missing, len(data) - position)
                self._missing[to_backend] = missing - step
                position += step
            if self._missing[to_backend] == 0:
                self._missing[to_backend] = None
                ends.append(position)
        return ends

    def _read_head(self, data, position, to_backend):
        # type: (bytes, int, bool) -> int
        """Take bytes until the length of the frame is known; return the position behind them."""
        while position < len(data):
            self._heads[to_backend] += data[position:position + 1]
            position += 1
            head = self._heads[to_backend]
            try:
                length = self.frame_length(head, to_backend)
            except ValueError:
                self._is_lost[to_backend] = True
                return position
            if length is not None:
                self._heads[to_backend] = b""
                self._missing[to_backend] = max(length - len(head), 0)
                return position
        return position
