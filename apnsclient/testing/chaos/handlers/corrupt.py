"""The handler ``corrupt``: bits are flipped on the way."""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from .. import settings
from ..randomness import Dice
from . import Handler
from .base import DIRECTION, BaseHandler, direction_name

if MYPY:
    from typing import Any, Dict, Optional

    from ..sockets import Stream

__all__ = ["Corrupt"]


def _probability(value):
    # type: (Any) -> float
    number = float(value)
    if not 0 <= number <= 1:
        raise ValueError("expected a probability from 0 to 1")
    return number


def _offset(value):
    # type: (Any) -> Optional[int]
    return None if value is None or str(value).lower() == "none" else settings.count(value)


@Handler.register
class Corrupt(BaseHandler):
    """Flips one bit of some bytes: of each with a probability, or of the one at an offset.

    The length stays, and so does the end of the stream. Which bytes and which bits depends on the
    seed, the number of the connection and the position of the byte, and not on the pieces that the
    data come in.
    """

    name = "corrupt"
    options = {
        "probability": ("Probability from 0 to 1 that a byte is corrupted.", _probability, 0.001),
        "offset": ("Number of the only byte to be corrupted, counted from 0; none: by chance.",
                   _offset, None),
        "direction": DIRECTION,
    }

    def __init__(self):
        # type: () -> None
        self._position = {True: 0, False: 0}
        #: By direction: the order in which the two are served must not matter.
        self._dice = {}  # type: Dict[bool, Dice]

    def __call__(self, client_sock, backend_sock, to_backend):
        # type: (Stream, Stream, bool) -> Any
        """Pass on what comes, corrupted."""
        if not self.applies(to_backend):
            return True
        data = bytearray(self.read(client_sock, backend_sock, to_backend))
        if to_backend not in self._dice:
            self._dice[to_backend] = Dice(self.proxy.seed, self.connection.number, self.name,
                                          direction_name(to_backend))
        for index in self._choose(len(data), to_backend):
            bit = self._dice[to_backend].randint(0, 7)
            data[index] ^= 1 << bit
            self.note("bit %d of byte %d %s flipped" % (
                bit, self._position[to_backend] + index, direction_name(to_backend)))
        self._position[to_backend] += len(data)
        self.write(client_sock, backend_sock, to_backend, bytes(data))
        return True

    def _choose(self, length, to_backend):
        # type: (int, bool) -> Any
        """Yield the indices of the bytes that are to be corrupted, ascending."""
        offset = self.option("offset")
        if offset is not None:
            index = offset - self._position[to_backend]
            if 0 <= index < length:
                yield index
            return
        probability, dice = self.option("probability"), self._dice[to_backend]
        for index in range(length):
            if dice.random() < probability:
                yield index
