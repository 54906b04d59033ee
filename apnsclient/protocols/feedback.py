"""The stream of the feedback service, in both roles.

It is a list of tuples, big-endian: time (32 bit), size of the token (16 bit), token. The service
starts to send it at once, and hangs up behind the last one (Apple, *Local and Remote Notification
Programming Guide*, appendix "Binary Provider API").

As in :mod:`.binary`, the parser returns what was whole, and ``error`` tells what was not.
"""

from __future__ import absolute_import, division, print_function

import struct
from binascii import hexlify

from .._compat import MYPY
from ..errors import ProtocolError

if MYPY:
    from typing import List, Optional, Tuple

    Row = Tuple[int, bytes]

__all__ = ["FeedbackParser", "encode_feedback"]

_HEAD = struct.Struct(">IH")


def encode_feedback(timestamp, token):
    # type: (int, bytes) -> bytes
    """Return one tuple of the feedback service.

    :param timestamp: when the token became invalid, in seconds since 1970 (int, 32 bit).
    :param token: the device token as bytes, not as hexadecimal digits.
    """
    return _HEAD.pack(timestamp, len(token)) + token


class FeedbackParser(object):
    """Reads the stream of the feedback service.

    :ivar error: :class:`~apnsclient.errors.ProtocolError` once a record made no sense, else None.
    """

    #: Almost all rows have tokens of this size, and these are decoded many at a time.
    TOKEN_SIZE = 32
    _ROW = _HEAD.size + TOKEN_SIZE
    _BLOCK = 256 * _ROW
    _size = struct.pack(">H", TOKEN_SIZE)

    def __init__(self):
        # type: () -> None
        self.error = None  # type: Optional[ProtocolError]
        self._buffer = b""

    def feed(self, data):
        # type: (bytes) -> List[Row]
        """Take bytes as they come.

        :return: the rows that are whole now: ``(timestamp, token)``, int and lower-case hexadecimal
            digits as bytes.
        """
        if self.error is not None:
            return []
        buffer = self._buffer + data if self._buffer else data
        rows, used = self._feed_blocks(buffer)
        while len(buffer) - used >= _HEAD.size:
            timestamp, size = _HEAD.unpack_from(buffer, used)
            if not size:
                self.error = ProtocolError("the feedback service sent a record without a token")
                break
            end = used + _HEAD.size + size
            if end > len(buffer):
                break
            rows.append((timestamp, hexlify(buffer[used + _HEAD.size:end])))
            used = end
        self._buffer = buffer[used:]
        return rows

    def finish(self):
        # type: () -> None
        """Take note that the stream has ended; set ``error`` if it ended within a record."""
        if self.error is None and self._buffer:
            self.error = ProtocolError("the feedback stream ended %d bytes into a record"
                                       % len(self._buffer))

    def _feed_blocks(self, buffer):
        # type: (bytes) -> Tuple[List[Row], int]
        """Decode all the rows that are whole, if these have tokens of the usual size.

        :return: the rows, and how many bytes they took.
        """
        rows = []  # type: List[Row]
        count = len(buffer) // self._ROW
        end = count * self._ROW
        if (buffer[4:end:self._ROW] != self._size[:1] * count
                or buffer[5:end:self._ROW] != self._size[1:] * count):
            return rows, 0
        for start in range(0, end, self._BLOCK):
            block = buffer[start:min(end, start + self._BLOCK)]
            count = len(block) // self._ROW
            # The times are taken out of the bytes, the tokens out of the same in hexadecimal.
            rows += zip(struct.unpack(">" + "I34x" * count, block),
                        struct.unpack("12x64s" * count, hexlify(block)))
        return rows, end
