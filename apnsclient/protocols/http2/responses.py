"""What of a response has to be understood, and whether it is one at all.

A server may send any header block, but sends nearly always the same, with another identifier. So
one that was decoded and found good is remembered by its shape: all but the values of its fields.
A block of that shape has the same fields, the same status, and needs no decoding.

A read is mostly a row of responses with status 200 and one shape. Such a row is checked column by
column: the n-th byte of each response, for each n where it is no part of a value.
"""

from __future__ import absolute_import, division, print_function

import struct
from struct import Struct

from ..._compat import MYPY
from .events import Response
from .frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    HEADERS,
    PADDED,
    PROTOCOL_ERROR,
    STREAM_OFFSET,
    Http2Error,
)
from .headers import HeaderDecoder, decode_block

if MYPY:
    from typing import Dict, List, Optional, Sequence, Tuple

    from .streams import Batch

    Pair = Tuple[bytes, bytes]
    #: Where a piece of a header block stands, and the piece.
    Piece = Tuple[int, bytes]

__all__ = ["ResponseDecoder", "check_trailers", "status_in"]

_HEAD_SIZE = FRAME_HEAD.size
_NO_FAILURE = 0, b""
#: How many shapes are remembered.
_MOST_SHAPES = 64
#: How many responses a row has to have, for less time to be spent by column than one by one.
_SHORTEST_ROW = 16


class _Shape(object):
    """The shape of responses with status 200 that are one frame each.

    :param block: the header block of one (bytes).
    :param pieces: what all such blocks have in common, see :func:`_pieces_of`.

    :ivar head: how each begins, up to the number of its stream (bytes).
    :ivar start: what stands first in each header block (bytes).
    :ivar size: how many bytes each has (int).
    """

    def __init__(self, block, pieces):
        # type: (bytes, List[Piece]) -> None
        self.head = FRAME_HEAD.pack(
            len(block) << 8 | HEADERS, END_STREAM | END_HEADERS, 0)[:STREAM_OFFSET]
        self.start = pieces[0][1]
        self.size = _HEAD_SIZE + len(block)
        self._pieces = [(0, self.head)] + [(_HEAD_SIZE + place, piece) for place, piece in pieces]
        self._columns = [(place + index, piece[index:index + 1])
                         for place, piece in self._pieces for index in range(len(piece))]
        self._layout = "%dxI%dx" % (STREAM_OFFSET, len(block))

    def pieces_behind(self, size):
        # type: (int) -> List[Piece]
        """Return what is left to be looked at where a header block is known to begin like that.

        :param size: how many bytes of the first piece are known (int).
        """
        place, start = self._pieces[1]
        return [(place + size, start[size:])] * (size < len(start)) + self._pieces[2:]

    def find_row(self, data, position):
        # type: (bytes, int) -> Tuple[int, ...]
        """Return the numbers of the streams of all such responses that come next.

        :param position: where the first one begins in the data (int).
        :return: a tuple; an empty one if they are too few to save time.
        """
        size = self.size
        count = (len(data) - position) // size
        for place, octet in self._columns:
            column = data[position + place:position + count * size:size]
            if column != octet * count:
                count -= len(column.lstrip(octet))
                if count < _SHORTEST_ROW:
                    return ()
        # The module keeps what it made of such a format the last time.
        return struct.unpack_from(">" + self._layout * count, data, position)


class ResponseDecoder(object):
    """Decodes the responses to one client, which offers its peer a dynamic table of size 0.

    Until the peer has acknowledged that, it may use the table that a connection begins with, and
    each block has to be decoded with :meth:`full`.

    :raises ImportError: if ``hpack`` is not installed.
    """

    def __init__(self):
        # type: () -> None
        self._decoder = HeaderDecoder()
        # What blocks of each shape have in common, and their status, by how they begin and how long
        # they are.
        self._known = {}  # type: Dict[Tuple[bytes, int], Tuple[List[Piece], int]]
        # The shapes of responses with status 200, by how they begin.
        self._shapes = {}  # type: Dict[bytes, _Shape]
        # How each is recognized, by the same: how the header block begins, how long the
        # response is, and what else it has.
        self._accepted = {}  # type: Dict[bytes, Tuple[bytes, int, List[Piece]]]
        self._read_beginnings(0)

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

    def find_row(self, data, position):
        # type: (bytes, int) -> Tuple[Tuple[int, ...], int]
        """Find the responses with status 200 that come next, if they are many of one known shape.

        :param data: what the peer has sent.
        :param position: where a frame begins in it (int).
        :return: the numbers of their streams, and where the last one ends; or ``()``, and the same
            position.
        """
        head = data[position:position + STREAM_OFFSET]
        shape = self._shapes.get(head)
        if shape is None or not data.startswith(head, position + (_SHORTEST_ROW - 1) * shape.size):
            return (), position
        streams = shape.find_row(data, position)
        return streams, position + len(streams) * shape.size

    def end_accepted(self, data, position, streams, kept=None):
        # type: (bytes, int, Dict[int, Batch], Optional[List[Response]]) -> Tuple[int, int]
        """End the streams of the responses with status 200 that come next, of known shapes.

        :param streams: what is open, by number; those that end are taken out (dict).
        :param kept: gets the responses (list), or None.
        :return: how many there were, and where the first frame is that is something else.
        """
        unpack, accepted, take = self._unpack, self._accepted, streams.pop
        size, count = len(data), 0
        last = size - self._shortest
        while position <= last:
            head, stream, begin = unpack(data, position)
            if head not in accepted:
                break
            known, length, others = accepted[head]
            end = position + length
            if begin != known or end > size or (others and not _has(data, position, others)):
                break
            batch = take(stream, None)
            if batch is None:
                break
            batch.left -= 1
            count += 1
            if kept is not None:
                kept.append(Response(
                    batch, stream, 200, data[position + _HEAD_SIZE:end], b"", False))
            position = end
        return count, position

    def find_failure(self, data, stream, start, end, longest):
        # type: (bytes, int, int, int, int) -> Tuple[int, bytes]
        """Find the rest of a response with a status above 200 and a body in one frame.

        :param data: what the peer has sent.
        :param stream: number of its stream (int).
        :param start: where its header block begins in the data (int), and ``end`` where it ends.
        :param longest: most bytes of the body (int).
        :return: the status and the body; 0 and ``b""`` if the response is not like that.
        """
        body = end + _HEAD_SIZE
        if len(data) < body:
            return _NO_FAILURE
        length, flags, other = FRAME_HEAD.unpack_from(data, end)
        kind, length = length & 0xFF, length >> 8
        if (kind != DATA or other != stream or flags & (END_STREAM | PADDED) != END_STREAM
                or length > longest or len(data) < body + length):
            return _NO_FAILURE
        try:
            status = self.status_of(data[start:end], stream)
        except Http2Error:
            return _NO_FAILURE
        return (status, data[body:body + length]) if status > 200 else _NO_FAILURE

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
        if known is None or not _has(block, 0, known[0]):
            status = status_in(decode_block(block), stream)
            if len(self._known) >= _MOST_SHAPES:
                self._known.clear()
                self._shapes.clear()
            known = self._known[key] = _pieces_of(block), status
            if status == 200:
                self._accept(_Shape(block, known[0]))
        return known[1]

    def _accept(self, shape):
        # type: (_Shape) -> None
        """Remember the shape of a response with status 200."""
        self._shapes[shape.head] = shape
        size = min([len(one.start) for one in self._shapes.values()])
        self._read_beginnings(size)
        self._accepted.clear()
        for head, one in self._shapes.items():
            self._accepted[head] = one.start[:size], one.size, one.pieces_behind(size)

    def _read_beginnings(self, size):
        # type: (int) -> None
        """Have so many bytes of each block read, with the head of the frame."""
        layout = Struct(">%dsI%ds" % (STREAM_OFFSET, size))
        self._unpack, self._shortest = layout.unpack_from, layout.size


def _has(data, position, pieces):
    # type: (bytes, int, List[Piece]) -> bool
    """Return True if all pieces stand in their places behind a position."""
    for offset, piece in pieces:
        if not data.startswith(piece, position + offset):
            return False
    return True


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


def _pieces_of(block):
    # type: (bytes) -> List[Piece]
    """Return what a block has in common with all that have the same fields and status.

    :param block: a block that was decoded (bytes); they are all as long as it is.
    :return: all but the values of its fields, in order; the first piece is where it begins.
    """
    octets = bytearray(block)
    pieces, begin, position, has_status = [], 0, 0, False  # type: List[Piece], int, int, bool
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
                pieces.append((begin, block[begin:position]))
                begin = position + size
            position += size
        has_status = True
    if begin < len(block):
        pieces.append((begin, block[begin:]))
    return pieces


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
