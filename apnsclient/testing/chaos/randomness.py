"""Random numbers that are the same for the same seed, on every Python and with any timing.

Each connection has a generator of its own, made from the seed and the connection's number, so that
it does not matter which thread draws first. Of the methods of ``random.Random`` only ``random()``
gives the same numbers on Python 2.7 and 3, so the others are made of it here.
"""

from __future__ import absolute_import, division, print_function

import hashlib
import os
import random
from binascii import hexlify

from ..._compat import MYPY

if MYPY:
    from typing import Any, Sequence

__all__ = ["Dice", "new_seed"]


def new_seed():
    # type: () -> int
    """Return a seed by chance: a whole number of up to nine digits, short enough to be typed."""
    return int(int(hexlify(os.urandom(8)), 16) % 10 ** 9)


class Dice(object):
    """A generator of random numbers.

    :param parts: whatever it depends on: numbers and texts.
    """

    def __init__(self, *parts):
        # type: (*Any) -> None
        text = u"/".join(u"%s" % (part,) for part in parts)
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        self._random = random.Random(int(digest, 16)).random

    def random(self):
        # type: () -> float
        """Return a number from 0 up to, but without, 1."""
        return self._random()

    def randint(self, low, high):
        # type: (int, int) -> int
        """Return a whole number from ``low`` up to and with ``high``; at most 2**53 apart."""
        return low + int(self._random() * (high - low + 1))

    def choice(self, values):
        # type: (Sequence[Any]) -> Any
        """Return one of a sequence."""
        return values[self.randint(0, len(values) - 1)]

    def bytes(self, size):
        # type: (int) -> bytes
        """Return so many bytes."""
        return bytes(bytearray(int(self._random() * 256) for _ in range(size)))
