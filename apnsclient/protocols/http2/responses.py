"""What of a response has to be understood, and whether it is one at all.

A server may send any header block, but sends nearly always the same, with another identifier. So
one that was decoded and found good is remembered by its shape: all but the values of its fields.
A block of that shape has the same fields, the same status, and needs no decoding.
"""

from __future__ import absolute_import, division, print_function

import re
from struct import Struct

from ..._compat import MYPY
from .frames import (
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    HEADERS,
    PROTOCOL_ERROR,
    Http2Error,
)
from .headers import HeaderDecoder, decode_block

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from .streams import Batch

    Pair = Tuple[bytes, bytes]
    Match = Callable[..., Any]
    #: See :func:`_shape_of`.
    Shape = Tuple[bytes, bool, Match]

__all__ = ["ResponseDecoder", "check_trailers", "status_in"]

#: How a header block begins whose status is 200 (RFC 7541, appendix A).
_STATUS_200 = b"\x88"
_HEAD_SIZE = FRAME_HEAD.size
#: How many shapes are remembered, of each kind.
_MOST_SHAPES = 64


class ResponseDecoder(object):
    """Decodes the responses to one client, which offers its peer a dynamic table of size 0.

    Until the peer has acknowledged that, it may use the table that a connection begins with, and
    each block has to be decoded with :meth:`full`.

    :raises ImportError: if ``hpack`` is not installed.
    """

    def __init__(self):
        # type: () -> None
        self._decoder = HeaderDecoder()
        # The shapes of those with status 200, by the length of the block.
        self._shapes = {}  # type: Dict[int, Shape]
        # What tells them where each is one frame. By its length, type and flags, as they are: how
        # the block begins, how long the frame is, and what tells the rest of the block, None where
        # that is nothing but a value.
        self._accepted = {}  # type: Dict[bytes, Tuple[bytes, int, Optional[Match]]]
        self._read_beginnings(0)
        # The same with the status, by how the block begins, and how long it is.
        self._known = {}  # type: Dict[Tuple[bytes, int], Tuple[Match, int]]

    def full(self, block):
        # type: (bytes) -> List[Pair]
        """Decode a block whole; return its ``(name, value)`` pairs.

        :raises Http2Error: if it cannot be decoded.
        """
        return self._decoder.decode(block)

    def settle(self):
        # type: () -> None
        """Note that the peer has acknowledged: from here on, each block stands alone."""
        self._decoder = HeaderDecoder(0)

    def take_accepted(self, data, position, streams):
        # type: (bytes, int, Dict[int, Batch]) -> Tuple[int, int]
        """Take responses with status 200 as long as nothing else comes and their shapes are known.

        :param data: what the peer has sent.
        :param position: where a frame begins in it (int).
        :param streams: what is open, by number; those that end are taken out (dict).
        :return: how many there were, and where the first frame is that is something else.
        """
        unpack, accepted, take = self._unpack, self._accepted, streams.pop
        size, count = len(data), 0
        last = size - self._shortest
        while position <= last:
            head, stream, begin = unpack(data, position)
            if head not in accepted:
                break
            known, length, match = accepted[head]
            end = position + length
            if begin != known or end > size or (
                    match is not None and not match(data, position + _HEAD_SIZE, end)):
                break
            batch = take(stream, None)
            if batch is None:
                break
            batch.left -= 1
            count += 1
            position = end
        return count, position

    def status_of(self, block, stream=0):
        # type: (bytes, int) -> int
        """Return the status in a block that stands alone, and is the head of a response.

        :param stream: number of the stream, for the error (int).
        :return: 100 to 999.
        :raises Http2Error: of the stream, if it is no such head (see :func:`status_in`); of the
            connection, if it cannot be decoded.
        """
        # A status that is not in the static table is a literal of five bytes or less.
        key = block[:1 if block[:1] >= b"\x80" else 5], len(block)
        known = self._known.get(key)
        if known is not None and known[0](block):
            return known[1]
        status = status_in(decode_block(block), stream)
        shape = _shape_of(block)
        if len(self._known) >= _MOST_SHAPES:
            self._known.clear()
        self._known[key] = shape[2], status
        if key[0] == _STATUS_200:
            self._accept(len(block), shape)
        return status

    def _accept(self, length, shape):
        # type: (int, Shape) -> None
        """Remember the shape of a response with status 200, which has a block of that length."""
        if len(self._shapes) >= _MOST_SHAPES:
            self._shapes.clear()
        self._shapes[length] = shape
        size = min([len(start) for start, _, _ in self._shapes.values()])
        self._read_beginnings(size)
        self._accepted.clear()
        for length, (start, is_single, match) in self._shapes.items():
            head = FRAME_HEAD.pack(length << 8 | HEADERS, END_STREAM | END_HEADERS, 0)
            is_told = is_single and len(start) == size
            self._accepted[head[:5]] = start[:size], _HEAD_SIZE + length, None if is_told else match

    def _read_beginnings(self, size):
        # type: (int) -> None
        """Have so many bytes of each block read, with the head of the frame."""
        layout = Struct(">5sI%ds" % size)
        self._unpack, self._shortest = layout.unpack_from, layout.size


def status_in(fields, stream=0):
    # type: (Sequence[Pair], int) -> int
    """Return the status of a response (int, 100 to 999), of which the fields are given.

    :raises Http2Error: of the stream, if they do not begin with one, or if any other field has a
        name that only a request's or no field has (RFC 9113, 8.3).
    """
    name, text = fields[0] if fields else (b"", b"")
    if name != b":status" or len(text) != 3 or not text.isdigit() or text < b"100":
        raise Http2Error("a response that does not begin with a status", PROTOCOL_ERROR, stream)
    check_trailers(fields[1:], stream)
    return int(text)


def check_trailers(fields, stream):
    # type: (Sequence[Pair], int) -> None
    """See that there are no pseudo-header fields: behind the status, and in trailers.

    :raises Http2Error: of the stream, if there are (RFC 9113, 8.1).
    """
    for name, _ in fields:
        if name[:1] in (b":", b""):
            raise Http2Error("a response with a pseudo-header field where none belongs",
                             PROTOCOL_ERROR, stream)


def _shape_of(block):
    # type: (bytes) -> Shape
    """Return what tells blocks with the same fields and status as one that was decoded.

    :return: what comes before the first value, whether that value is all of the rest, and what
        tells the whole. They are good for blocks of the same length alone.
    """
    octets = bytearray(block)
    pieces, begin, position, has_status = [], 0, 0, False  # type: List[bytes], int, int, bool
    start = None
    while position < len(octets):
        first = octets[position]
        if first & 0xE0 == 0x20:
            _, position = _number(octets, position, 5)  # The size of the table.
            continue
        if first & 0x80:
            _, position = _number(octets, position, 7)  # Name and value are in the table.
        else:
            place, position = _number(octets, position, 6 if first & 0x40 else 4)
            if not place:
                size, position = _number(octets, position, 7)
                position += size
            size, position = _number(octets, position, 7)
            if has_status:
                start = block[:position] if start is None else start
                pieces += [re.escape(block[begin:position]), b".{%d}" % size]
                begin = position + size
            position += size
        has_status = True
    pieces.append(re.escape(block[begin:]))
    is_single = len(pieces) == 1 or len(pieces) == 3 and begin == len(block)
    return (block if start is None else start, is_single,
            re.compile(b"".join(pieces), re.DOTALL).match)


def _number(octets, position, bits):
    # type: (bytearray, int, int) -> Tuple[int, int]
    """Return a number in a block that was decoded, and where it ends (RFC 7541, 5.1)."""
    largest = (1 << bits) - 1
    number = octets[position] & largest
    position += 1
    shift = 0
    if number == largest:
        while True:
            octet = octets[position]
            position += 1
            number += (octet & 127) << shift
            shift += 7
            if not octet & 128:
                break
    return number, position
