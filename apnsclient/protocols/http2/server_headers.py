"""Header blocks as a server sees them: requests in, responses out.

A request block is decoded by the ``hpack`` library where it changes the dynamic table. The others,
which are nearly all that a busy client sends, refer to the tables and spell the rest out;
:class:`RequestDecoder` reads them by itself, and asks ``hpack`` for what the tables hold and for
what Huffman's code means. Responses never touch the dynamic table: their blocks need no state.
"""

from __future__ import absolute_import, division, print_function

import re

import six

from ..._compat import MYPY
from .frames import PROTOCOL_ERROR, Http2Error
from .headers import HeaderDecoder, literal_field

if MYPY:
    from typing import Dict, List, Optional, Sequence, Tuple

    Field = Tuple[bytes, bytes]

#: Longest block that is read without ``hpack``, which counts what such a block may expand to.
_LONGEST_FAST = 1024

_PSEUDO = frozenset([b":method", b":scheme", b":authority", b":path"])
#: Pseudo-header fields that each request has to have (RFC 9113, 8.3.1).
_REQUIRED = frozenset([b":method", b":scheme", b":path"])
#: Fields of HTTP/1.1 that make a request malformed (RFC 9113, 8.2.2).
_OF_CONNECTION = frozenset([
    b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"])
_NAME = re.compile(br"^[!#$%&'*+.^_`|~0-9a-z-]+\Z")
#: What no value may contain: control characters that would end a line, spaces around it.
_BAD_VALUE = re.compile(br"[\0\r\n]|^[ \t]|[ \t]\Z")
#: What nearly all values look like; this is found out much faster.
_GOOD_VALUE = re.compile(br"(?:[!-~]+(?: [!-~]+)*)?\Z")

#: Strings in Huffman's code whose meaning is kept, at most so many.
_KNOWN_STRINGS = 1024
#: Sequences of names whose order and spelling have been checked, at most so many.
_KNOWN_SHAPES = 256

#: By this the client's decoder learns that the dynamic table of our side is empty and stays so.
EMPTY_TABLE = b"\x20"

#: Index of ``:status`` with common values in the static table, as an indexed field.
_STATUSES = {200: b"\x88", 204: b"\x89", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}


class RequestDecoder(HeaderDecoder):
    """Decodes the header blocks of one connection, in the order in which they arrive.

    :raises ImportError: if the library ``hpack`` is not installed.
    """

    def __init__(self):
        # type: () -> None
        super(RequestDecoder, self).__init__()
        from hpack.huffman_table import decode_huffman
        self._decode_huffman = decode_huffman
        #: Fields of the tables by index, as far as they have been asked for since the last change.
        self._fields = {}  # type: Dict[int, Field]
        self._strings = {}  # type: Dict[bytes, bytes]
        # Whether the next block has to announce that the table shrinks, which ``hpack`` checks.
        self._is_resized = False

    def resize(self, size):
        # type: (int) -> None
        """Limit the client's table to so many bytes, once it has acknowledged that."""
        self._decoder.max_allowed_table_size = size
        self._is_resized = True

    def decode(self, block):
        # type: (bytes) -> List[Field]
        """Return the ``(name, value)`` fields of a block, both bytes.

        :raises Http2Error: if the block cannot be decoded, or is too large.
        """
        fields = None if self._is_resized else self._decode_fast(bytearray(block), block)
        if fields is None:
            self._is_resized = False
            self._fields.clear()
            fields = super(RequestDecoder, self).decode(block)
        return fields

    def _decode_fast(self, octets, block):
        # type: (bytearray, bytes) -> Optional[List[Field]]
        """Decode a block that changes no table; None if it does, or is too long, or is faulty."""
        known, size = self._fields, len(octets)
        if size > _LONGEST_FAST:
            return None
        result = []
        position = 0
        try:
            while position < size:
                octet = octets[position]
                position += 1
                if octet > 0x80:
                    index = octet & 0x7F
                    if index == 0x7F:
                        index, position = _integer(octets, position, index)
                    result.append(known.get(index) or self._look_up(index))
                    continue
                if octet > 0x1F:
                    return None
                index = octet & 0x0F
                if index == 0x0F:
                    index, position = _integer(octets, position, index)
                if index:
                    name = (known.get(index) or self._look_up(index))[0]
                else:
                    name, position = self._string(octets, position, block)
                value, position = self._string(octets, position, block)
                result.append((name, value))
        except self._errors:
            # The other way reports what is wrong with it.
            return None
        return result

    def _string(self, octets, position, block):
        # type: (bytearray, int, bytes) -> Tuple[bytes, int]
        """Return a string literal and where it ends (RFC 7541, 5.2)."""
        first = octets[position]
        position += 1
        length = first & 0x7F
        if length == 0x7F:
            length, position = _integer(octets, position, length)
        end = position + length
        if end > len(octets):
            raise ValueError("a string is longer than the block")
        string = block[position:end]
        if first < 0x80:
            return string, end
        value = self._strings.get(string)
        if value is None:
            if len(self._strings) >= _KNOWN_STRINGS:
                self._strings.clear()
            value = self._strings[string] = bytes(self._decode_huffman(string))
        return value, end

    def _look_up(self, index):
        # type: (int) -> Field
        # Old versions of ``hpack`` keep views, which bytes() alone would not read on Python 2.7.
        name, value = self._decoder.header_table.get_by_index(index)
        field = self._fields[index] = (bytes(bytearray(name)), bytes(bytearray(value)))
        return field


def _integer(octets, position, first):
    # type: (bytearray, int, int) -> Tuple[int, int]
    """Return an integer whose prefix was all ones, and where it ends (RFC 7541, 5.1)."""
    value, shift = first, 0
    while shift < 28:
        octet = octets[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, position
        shift += 7
    raise ValueError("an integer is too large")


def list_size(fields):
    # type: (Sequence[Field]) -> int
    """Return the size of a header list as RFC 9113, 6.5.2 counts it."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


class FieldChecker(object):
    """Checks that requests are well-formed. One for any number of connections."""

    def __init__(self):
        # type: () -> None
        self._shapes = {}  # type: Dict[Tuple[bytes, ...], int]

    def check(self, fields, stream):
        # type: (List[Field], int) -> Optional[int]
        """Judge the fields of a request (RFC 9113, 8.1.1, 8.2 and 8.3).

        :return: the length that the body has to have, None if the request has no content-length.
        :raises Http2Error: of the stream, if they are malformed.
        """
        names = tuple([field[0] for field in fields])
        position = self._shapes.get(names)
        if position is None:
            position = self._learn(names, stream)
        for name, value in fields:
            if not _GOOD_VALUE.match(value) and _BAD_VALUE.search(value):
                raise Http2Error("a value of %s is malformed" % _shown(name), PROTOCOL_ERROR,
                                 stream)
        if position < 0:
            return None
        length = fields[position][1]
        if not length.isdigit():
            raise Http2Error("content-length is not a number", PROTOCOL_ERROR, stream)
        return int(length)

    def _learn(self, names, stream):
        # type: (Tuple[bytes, ...], int) -> int
        """Judge the names of fields; return the position of content-length, -1 without it."""
        fault = _fault_of_names(names)
        if fault:
            raise Http2Error(fault, PROTOCOL_ERROR, stream)
        if len(self._shapes) >= _KNOWN_SHAPES:
            self._shapes.clear()
        position = names.index(b"content-length") if b"content-length" in names else -1
        self._shapes[names] = position
        return position


def check_trailers(fields, stream):
    # type: (List[Field], int) -> None
    """Judge the fields behind the body of a request.

    :raises Http2Error: of the stream, if they are malformed.
    """
    for name, _value in fields:
        if not _NAME.match(name):
            raise Http2Error("%s in trailers" % _shown(name), PROTOCOL_ERROR, stream)


def _fault_of_names(names):
    # type: (Sequence[bytes]) -> Optional[str]
    pseudo = [name for name in names if name[:1] == b":"]
    if list(names[:len(pseudo)]) != pseudo:
        return "a pseudo-header field stands behind a regular one"
    if len(set(pseudo)) != len(pseudo) or not _REQUIRED <= set(pseudo) <= _PSEUDO:
        return "the pseudo-header fields are not those of a request"
    for name in names[len(pseudo):]:
        if not _NAME.match(name) or name in _OF_CONNECTION:
            return "the header field %s is not allowed" % _shown(name)
    return None


def _shown(name):
    # type: (bytes) -> str
    return repr(six.ensure_str(name[:40], "latin-1"))


def response_block(status, fields=()):
    # type: (int, Sequence[Field]) -> bytes
    """Return the header block of a response; it neither reads nor changes the dynamic table.

    :param status: HTTP status (int).
    :param fields: ``(name, value)`` pairs (bytes).
    """
    start = _STATUSES.get(status) or literal_field(b":status", str(status).encode("ascii"))
    return start + b"".join([literal_field(name, value) for name, value in fields])
