"""Header blocks (RFC 7541): what a connection sends, and how to read what it gets.

The encoder is ours, because a request differs from the one before in its token alone: what stays
the same is referred to by its place in the dynamic table, one byte each. It writes no Huffman code,
which costs more time than it saves. Whatever comes is decoded by ``hpack``; that most responses
need not be is in :mod:`.responses`.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

import six

from ..._compat import MYPY
from ..._extras import not_installed
from .frames import COMPRESSION_ERROR, DEFAULT_TABLE_SIZE, Http2Error

if MYPY:
    from typing import Any, Deque, Dict, Iterable, List, Optional, Sequence, Tuple

    Pair = Tuple[bytes, bytes]
    Field = Tuple[bytes, bytes, bool]

__all__ = ["HeaderDecoder", "HeaderEncoder", "decode_block", "encode_number", "encode_string",
           "literal_field", "load_hpack", "size_of"]

#: Of the static table (RFC 7541, appendix A), the fields and the names that are sent here.
_STATIC_FIELDS = {
    (b":method", b"GET"): 2, (b":method", b"POST"): 3, (b":path", b"/"): 4,
    (b":scheme", b"http"): 6, (b":scheme", b"https"): 7, (b":status", b"200"): 8,
    (b":status", b"204"): 9, (b":status", b"206"): 10, (b":status", b"304"): 11,
    (b":status", b"400"): 12, (b":status", b"404"): 13, (b":status", b"500"): 14,
}
_STATIC_NAMES = {
    b":authority": 1, b":method": 2, b":path": 4, b":scheme": 6, b":status": 8,
    b"authorization": 23, b"content-length": 28, b"content-type": 31, b"date": 33, b"server": 54,
}
#: The first place of the dynamic table.
_FIRST_DYNAMIC = 62
#: What an entry of the dynamic table takes beside its name and value (RFC 7541, 4.1).
_ENTRY_OVERHEAD = 32
#: Most bytes of a decoded header, each field with the overhead of an entry.
_LONGEST_LIST = 65536


def encode_number(number, bits, first=0):
    # type: (int, int, int) -> bytes
    """Return a number as HPACK writes it (RFC 7541, 5.1).

    :param bits: how many bits of the first byte belong to it (int, 1 to 8).
    :param first: the other bits of the first byte.
    """
    largest = (1 << bits) - 1
    if number < largest:
        return six.int2byte(first | number)
    encoded = bytearray((first | largest,))
    number -= largest
    while number >= 128:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def encode_string(text):
    # type: (bytes) -> bytes
    """Return text as HPACK writes it, without Huffman code (RFC 7541, 5.2)."""
    return encode_number(len(text), 7) + text


class HeaderEncoder(object):
    """Writes the header blocks of one connection.

    It knows what the peer's dynamic table holds, entry by entry.

    :ivar version: changes whenever the table does (int): as long as it is the same, the same fields
        give the same block.
    """

    def __init__(self):
        # type: () -> None
        self.version = 0
        # The size that the table has, and those that the peer has set since the last block:
        # the smallest of them, and the last one.
        self._limit = self._smallest = self._wanted = DEFAULT_TABLE_SIZE
        self._size = 0
        self._entries = deque()  # type: Deque[Pair]
        # How many entries were ever put into the table, and the number of each that is in it.
        self._count = 0
        self._fields = {}  # type: Dict[Pair, int]
        self._names = {}  # type: Dict[bytes, int]

    def resize(self, size):
        # type: (int) -> None
        """Apply the peer's setting HEADER_TABLE_SIZE; the next block says how much of it is used.

        :param size: bytes (int, 32 bit); of more than 4096 we use no more.
        """
        self._wanted = min(size, DEFAULT_TABLE_SIZE)
        self._smallest = min(self._smallest, self._wanted)
        if self._smallest != self._limit or self._wanted != self._limit:
            self.version += 1

    def encode(self, fields):
        # type: (Iterable[Field]) -> bytes
        """Return a header block; the arguments are those of :meth:`pieces`."""
        return b"".join(self.pieces(fields))

    def pieces(self, fields):
        # type: (Iterable[Field]) -> List[bytes]
        """Return a header block in pieces, one for each field.

        :param fields: ``(name, value, is_indexed)`` of each field (bytes, bytes, bool). What is
            indexed goes into the dynamic table, and is referred to from there the next time, as
            long as all such fields of the block together fit into the table. Those that do not
            are spelt out each time. So the same fields, encoded again and again, come to a point
            where they change the table no more: after as many blocks as they are, at most.
        """
        update = self._resize_now()
        pieces = []
        room = self._limit
        for name, value, is_indexed in fields:
            field = (name, value)
            place = _STATIC_FIELDS.get(field)
            if place is None and is_indexed:
                room -= size_of(field)
                is_indexed = room >= 0
                if is_indexed:
                    place = self._place(self._fields.get(field))
                else:
                    room += size_of(field)
            if place:
                pieces.append(encode_number(place, 7, 0x80))
            else:
                pieces.append(self._literal(field, is_indexed))
        if update:
            pieces[:1] = [update + b"".join(pieces[:1])]
        return pieces

    def _literal(self, field, is_indexed):
        # type: (Pair, bool) -> bytes
        """Spell a field out; put it into the table if it is indexed (RFC 7541, 6.2)."""
        name, value = field
        place = _STATIC_NAMES.get(name) or self._place(self._names.get(name))
        head = encode_number(place, 6, 0x40) if is_indexed else encode_number(place, 4)
        if is_indexed:
            self._insert(field)
        return head + (b"" if place else encode_string(name)) + encode_string(value)

    def _resize_now(self):
        # type: () -> bytes
        """Give the table the size that the peer has set; return the update (RFC 7541, 4.2)."""
        updates = b""
        for size in (self._smallest, self._wanted):
            if size != self._limit:
                self._limit = size
                self._evict(size)
                self.version += 1
                updates += encode_number(size, 5, 0x20)
        self._smallest = self._wanted
        return updates

    def _place(self, number):
        # type: (Optional[int]) -> int
        """Return the index of an entry, 0 if there is none."""
        return 0 if number is None else _FIRST_DYNAMIC + self._count - 1 - number

    def _insert(self, field):
        # type: (Pair) -> None
        """Put an entry into the table, which is large enough for it (RFC 7541, 4.4)."""
        size = size_of(field)
        self._evict(self._limit - size)
        self._entries.appendleft(field)
        self._size += size
        self._fields[field] = self._names[field[0]] = self._count
        self._count += 1
        self.version += 1

    def _evict(self, size):
        # type: (int) -> None
        """Drop the oldest entries until no more than ``size`` bytes are left."""
        while self._size > size:
            field = self._entries.pop()
            number = self._count - len(self._entries) - 1
            self._size -= size_of(field)
            # No field is in the table twice, but its name may be, with another value.
            del self._fields[field]
            if self._names[field[0]] == number:
                del self._names[field[0]]


def size_of(field):
    # type: (Sequence[Any]) -> int
    """Return what a field takes in the dynamic table (RFC 7541, 4.1) and in a list of fields."""
    return len(field[0]) + len(field[1]) + _ENTRY_OVERHEAD


def literal_field(name, value):
    # type: (bytes, bytes) -> bytes
    """Return a field spelt out, which neither enters nor refers to the dynamic table."""
    place = _STATIC_NAMES.get(name)
    if place is None:
        return b"\0" + encode_string(name) + encode_string(value)
    return encode_number(place, 4) + encode_string(value)


def load_hpack():
    # type: () -> Any
    """Return the library ``hpack``.

    :raises ImportError: with what to install, if it is not there.
    """
    try:
        import hpack
    except ImportError as error:
        raise not_installed("HTTP/2", "http2", error)
    return hpack


class HeaderDecoder(object):
    """Decodes header blocks with ``hpack``.

    :param table_size: bytes of the dynamic table that the peer may use (int); with 0, each block
        stands alone.
    :raises ImportError: if ``hpack`` is not installed.
    """

    def __init__(self, table_size=DEFAULT_TABLE_SIZE):
        # type: (int) -> None
        hpack = load_hpack()
        # Beside its own errors, it lets some of Python's through that garbage leads to.
        self._errors = (hpack.HPACKError, IndexError, ValueError)
        self._decoder = hpack.Decoder(max_header_list_size=_LONGEST_LIST)
        self._decoder.max_allowed_table_size = table_size
        self._decoder.header_table_size = table_size

    def decode(self, block):
        # type: (bytes) -> List[Pair]
        """Return the ``(name, value)`` pairs of a block (bytes).

        :raises Http2Error: if it cannot be decoded, or has more than 65 536 bytes, each field
            counted with an overhead of 32. The table is lost then, and the connection with it.
        """
        try:
            fields = self._decoder.decode(block, raw=True)
        except self._errors as error:
            raise Http2Error("a header block that cannot be decoded: %s" % type(error).__name__,
                             COMPRESSION_ERROR)
        return [(_octets(field[0]), _octets(field[1])) for field in fields]


def _octets(value):
    # type: (Any) -> bytes
    """Return bytes, for what some versions of ``hpack`` leave as a view."""
    return value.tobytes() if isinstance(value, memoryview) else bytes(value)


def decode_block(block):
    # type: (bytes) -> List[Pair]
    """Return the ``(name, value)`` pairs of a block that stands alone (bytes).

    It keeps nothing between calls, so that any thread may call it at any time.

    :raises Http2Error: if it cannot be decoded.
    """
    return HeaderDecoder(0).decode(block)
