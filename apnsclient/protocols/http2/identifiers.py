"""The identifiers in the header block of a response, without decoding the rest of it.

The responses of a server differ in the values of ``apns-id`` and ``apns-unique-id``, and in little
else. So what is left of a block without the two values is decoded once, and remembered if it is
what it looks like: each value stands where one of the two fields has its only value, and what is
around them can be decoded whatever they are. In such a block the values alone are read. They are
hexadecimal digits and hyphens, as they are or in Huffman code (RFC 7541, appendix B), which takes
``hpack`` ten times as long as the tables here, made for these characters.

All that is unusual is left to whoever decodes the block: what is found here is what decoding finds.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY, PY2
from ..._printable import LONGEST
from .frames import Http2Error
from .headers import decode_block

if MYPY:
    from typing import Any, Dict, List, Optional, Sequence, Tuple

    #: Parts of a block, in order: all but the values that were cut out.
    Pieces = Tuple[bytes, ...]

__all__ = ["APNS_ID", "APNS_UNIQUE_ID", "LONGEST_BLOCK", "find_identifiers"]

APNS_ID = b"apns-id"
APNS_UNIQUE_ID = b"apns-unique-id"
#: How a block has the names: in Huffman code, and as they are (RFC 7541, 5.2).
_APNS_ID_CODED, _APNS_ID_PLAIN = b"\x85\x1d\x75\x21\x63\x49", b"\x07apns-id"
_UNIQUE_ID_CODED = b"\x8a\x1d\x75\x21\x6b\x6a\x37\x6b\x4a\xb1\xa4"
_UNIQUE_ID_PLAIN = b"\x0eapns-unique-id"

#: Longest block that is read here, in bytes; Apple's have about 100.
LONGEST_BLOCK = 256
#: How many pieces of blocks are remembered, together with what stood between them.
_MOST_SHAPES = 64

#: The codes of the characters that identifiers consist of (RFC 7541, appendix B).
_CODES = {
    "0": "00000", "1": "00001", "2": "00010", "a": "00011", "c": "00100", "e": "00101",
    "-": "010110", "3": "011001", "4": "011010", "5": "011011", "6": "011100", "7": "011101",
    "8": "011110", "9": "011111", "A": "100001", "b": "100011", "d": "100100", "f": "100101",
    "B": "1011101", "C": "1011110", "D": "1011111", "E": "1100000", "F": "1100001",
}
_CHARACTERS = "".join(sorted(_CODES)).encode("ascii")
#: Most bits that a value in Huffman code is filled up with, each of them 1 (RFC 7541, 5.2).
_MOST_PADDING = 7
#: Where a table says whether the value may end; each place before is that of an octet.
_END = 256

_NO_VALUE = None, 0
#: Whether values may be read where they were cut out, by the pieces that are left.
_shapes = {}  # type: Dict[Pieces, bool]
#: The table that a value begins with, once it was needed; see :func:`_make_tables`.
_tables = []  # type: List[List[Any]]


def find_identifiers(block):
    # type: (bytes) -> Optional[Tuple[Optional[str], Optional[str]]]
    """Return the identifiers in a header block, if it is a usual one.

    :param block: header block of a response, which can be decoded without those before it (bytes).
    :return: values of ``apns-id`` and ``apns-unique-id`` (str, 1 to 100 hexadecimal digits and
        hyphens; the second one may be None); or None if the block has to be decoded for them.
    :raises ImportError: if ``hpack`` is not installed.
    """
    if len(block) > LONGEST_BLOCK:
        return None
    place = _place_behind(block, _APNS_ID_CODED, _APNS_ID_PLAIN)
    if not place:
        return None
    octets = bytearray(block)
    apns_id, end = _read_value(octets, place)
    if apns_id is None:
        return None
    unique_id = None
    other = _place_behind(block, _UNIQUE_ID_CODED, _UNIQUE_ID_PLAIN)
    if not other:
        pieces = block[:place], block[end:]  # type: Pieces
    else:
        unique_id, other_end = _read_value(octets, other)
        if unique_id is None:
            return None
        if place < other:
            pieces = block[:place], block[end:other], block[other_end:]
        else:
            pieces = block[:other], block[other_end:place], block[end:]
    is_usual = _shapes.get(pieces)
    if is_usual is None:
        is_usual = _remember(pieces, [APNS_ID] if not other else
                             [APNS_ID, APNS_UNIQUE_ID] if place < other else
                             [APNS_UNIQUE_ID, APNS_ID])
    return (apns_id, unique_id) if is_usual else None


def _place_behind(block, coded, plain):
    # type: (bytes, bytes, bytes) -> int
    """Return where the value of a field seems to stand: behind its name. 0 if there is no name."""
    place = block.find(coded)
    if place >= 0:
        return place + len(coded)
    place = block.find(plain)
    return place + len(plain) if place >= 0 else 0


def _read_value(octets, place):
    # type: (bytearray, int) -> Tuple[Optional[str], int]
    """Return the value that begins at a place with its length, and where it ends.

    The value is None if it has other characters than identifiers have, or is not from 1 to 100 of
    them.
    """
    if place >= len(octets):
        return _NO_VALUE
    size = octets[place]
    place += 1
    end = place + (size & 127)
    # A length of 127 and more has a second octet, but then there are too many characters anyway.
    if end > len(octets):
        return _NO_VALUE
    value = octets[place:end]
    if size & 128:
        text = _decode(value)
    elif value.translate(None, _CHARACTERS):
        return _NO_VALUE
    else:
        text = str(value) if PY2 else value.decode("ascii")
    return (text, end) if text and len(text) <= LONGEST else _NO_VALUE


def _decode(value):
    # type: (bytearray) -> Optional[str]
    """Return what stands for a value in Huffman code, or None if other characters do."""
    table = _tables[0] if _tables else _make_tables()
    text = ""
    try:
        for octet in value:
            table, characters = table[octet]
            text += characters
    except TypeError:
        # There is nothing in that place.
        return None
    return text if table[_END] else None


def _make_tables():
    # type: () -> List[Any]
    """Make the tables that decode; return the one that a value begins with.

    There is one for each row of bits that a code may begin with, and the padding. It has, by the
    octet that follows those bits, the table to go on with and the characters that were completed;
    or None if no code of the characters begins like that.
    """
    characters = dict((code, character) for character, code in _CODES.items())
    begun = set(code[:size] for code in characters for size in range(len(code)))
    begun.update("1" * size for size in range(_MOST_PADDING + 1))
    steps = {}
    for bits in begun:
        for bit in "01":
            if bits + bit in characters:
                steps[bits, bit] = "", characters[bits + bit]
            elif bits + bit in begun:
                steps[bits, bit] = bits + bit, ""
    tables = dict((bits, [None] * _END + [not bits.strip("1")])
                  for bits in begun)  # type: Dict[str, List[Any]]
    for bits, table in tables.items():
        reached = [(0, bits, "")]
        for _ in range(8):
            reached = [(octet << 1 | int(bit), steps[rest, bit][0], text + steps[rest, bit][1])
                       for octet, rest, text in reached for bit in "01" if (rest, bit) in steps]
        for octet, rest, text in reached:
            table[octet] = tables[rest], text
    _tables[:] = [tables[""]]
    return tables[""]


def _remember(pieces, names):
    # type: (Pieces, Sequence[bytes]) -> bool
    """Return True if values may be read where they were cut out, and remember the answer.

    :param pieces: what is left of the block.
    :param names: names of the fields whose values stood between them, in order.
    """
    is_usual = _is_usual(pieces, names)
    if len(_shapes) >= _MOST_SHAPES:
        _shapes.clear()
    _shapes[pieces] = is_usual
    return is_usual


def _is_usual(pieces, names):
    # type: (Pieces, Sequence[bytes]) -> bool
    """Return True if values may be read where they were cut out.

    Where a field with an empty value is the last one of a block, the last octet is the length of
    the value. As blocks are read from front to back, any value may stand there instead.
    """
    block, fields = b"", []  # type: bytes, List[Tuple[bytes, bytes]]
    try:
        for piece, name in zip(pieces, names):
            block += piece + b"\0"
            fields = decode_block(block)
            if fields[-1:] != [(name, b"")]:
                return False
        if pieces[-1]:
            fields = decode_block(block + pieces[-1])
    except Http2Error:
        return False
    return [name for name, _ in fields if name in (APNS_ID, APNS_UNIQUE_ID)] == list(names)
