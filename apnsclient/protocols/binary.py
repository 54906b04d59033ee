"""Frames of the binary protocol, in both roles: provider and gateway.

All numbers are big-endian. The layouts are those of Apple, *Local and Remote Notification
Programming Guide*, appendices "Binary Provider API" and "Legacy Notification Format".

A batch of one message differs from frame to frame in nothing but the token and the identifier, and
frames with tokens of one size have one size. :class:`NotificationEncoder` therefore builds frames
by the thousand: the device tokens are decoded in one go and joined by the constant bytes between
them, and the identifiers, which are consecutive, are laid over the result column by column. Tokens
that do not fit that pattern are encoded one by one.

A parser never raises for what a peer sent. It returns what was whole; then ``error`` tells what
could not be understood, and from there on it accepts nothing more.
"""

from __future__ import absolute_import, division, print_function

import re
import struct
from binascii import Error as HexError
from binascii import unhexlify
from collections import namedtuple
from operator import itemgetter

import six

from .._compat import MYPY, PY2
from ..errors import ProtocolError
from ..reasons import REASONS

if MYPY:
    from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

    Rejection = Tuple[int, int, str]
    Span = Tuple[int, int, bytes]

__all__ = ["ErrorResponse", "ErrorResponseParser", "MAX_IDENTIFIERS", "MAX_ITEM_SIZE",
           "Notification", "NotificationEncoder", "NotificationParser", "TokenError",
           "decode_token", "encode_error"]

COMMAND_SIMPLE = 0
COMMAND_ENHANCED = 1
COMMAND_NOTIFICATION = 2
COMMAND_ERROR = 8

ITEM_TOKEN = 1
ITEM_PAYLOAD = 2
ITEM_IDENTIFIER = 3
ITEM_EXPIRY = 4
ITEM_PRIORITY = 5

#: Largest token or payload that a frame can carry, in bytes: its length is a 16 bit number.
MAX_ITEM_SIZE = 0xFFFF
#: How many identifiers there are; they wrap around.
MAX_IDENTIFIERS = 1 << 32

_ERROR = struct.Struct(">BBI")
#: The first bytes of a server that speaks HTTP/2, which are a SETTINGS or GOAWAY frame of stream 0
#: (RFC 9113, 3.4 and 4.1), or HTTP/1.1.
_HTTP = re.compile(b"\0[\0-\x3f].[\x04\x07]\0\0|HTTP/", re.DOTALL)
_FRAME_HEAD = struct.Struct(">BI")
_ITEM_HEAD = struct.Struct(">BH")
_U8 = struct.Struct(">B")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")

# Frame and token; expiry and priority.
_HEAD = struct.Struct(">BIBH")
_TAIL = struct.Struct(">BHIBHB")
_IDENTIFIER_HEAD = _ITEM_HEAD.pack(ITEM_IDENTIFIER, _U32.size)
#: Bytes of a frame of command 2 beside token and payload.
_FRAME_OVERHEAD = _FRAME_HEAD.size + 5 * _ITEM_HEAD.size + 2 * _U32.size + _U8.size


class TokenError(ValueError):
    """A device token that cannot be put on the wire.

    :ivar code: status that the gateway would respond with (int): 2 or 8.
    """

    def __init__(self, code, detail):
        # type: (int, str) -> None
        super(TokenError, self).__init__("%s: %s" % (REASONS[code].explanation, detail))
        self.code = code


def decode_token(token):
    # type: (Any) -> bytes
    """Turn a device token as Apple's documents print it into its bytes.

    :param token: hexadecimal digits in either case (str or bytes).
    :return: 1 to 65 535 bytes.
    :raises TokenError: if it is None or empty (code 2), or neither text nor an even number of
        hexadecimal digits, or too long for a frame (code 8). The text does not repeat the token.
    """
    if token is None:
        raise TokenError(2, "the token is None")
    if not isinstance(token, (six.text_type, bytes)):
        raise TokenError(8, "the token is of type %s, expected str or bytes"
                         % type(token).__name__)
    if not token:
        raise TokenError(2, "the token is empty")
    if len(token) > 2 * MAX_ITEM_SIZE:
        raise TokenError(8, "the token has %d bytes, a frame carries at most %d"
                         % (len(token) // 2, MAX_ITEM_SIZE))
    try:
        return unhexlify(token)
    except (HexError, TypeError, ValueError):
        raise TokenError(8, "the token " + _hexadecimal_problem(token))


_NO_DIGIT = re.compile(u"[^0-9A-Fa-f]")
_NAMES = {u" ": "a blank", u"\n": "a line feed", u"\r": "a carriage return", u"\t": "a tab",
          u"\ufeff": "a byte order mark"}
#: How a program that prints an ``NSData`` shows a token; since iOS 13 that is not all of it.
_PRINTED = [
    (re.compile(u"\\s*<[0-9A-Fa-f\\s]+>\\s*\\Z"),
     "; so NSData prints it: leave out the angle brackets and blanks"),
    (re.compile(u"\\s*\\{\\s*length ?="),
     "; so NSData prints a part of it: have the app send each byte as two digits"),
]


def _hexadecimal_problem(token):
    # type: (Any) -> str
    """Say why a token is not hexadecimal, with one character of it at most."""
    if isinstance(token, bytes):
        try:
            text = token.decode("utf-8")
        except UnicodeDecodeError:
            text = token.decode("latin-1")
    else:
        text = token
    found = _NO_DIGIT.search(text)
    if found is None:
        return "has an odd number of digits, %d" % len(text)
    character = found.group()
    name = _NAMES.get(character) or (
        '"%s"' % str(character) if u"!" <= character <= u"~" else "U+%04X" % ord(character))
    hint = "".join(hint for pattern, hint in _PRINTED if pattern.match(text))
    return "is not hexadecimal: %s is number %d of its %d characters%s" % (
        name, found.start() + 1, len(text), hint)


def encode_error(status, identifier):
    # type: (int, int) -> bytes
    """Return the error response of a gateway (6 bytes).

    :param status: status code, 0 to 255 (int).
    :param identifier: identifier of the notification that is reported (int, 32 bit).
    """
    return _ERROR.pack(COMMAND_ERROR, status, identifier)


class _Layout(object):
    """The constant bytes of a frame that carries tokens of one size.

    A frame is ``head``, token, ``middle``, identifier, ``tail``.
    """

    def __init__(self, token_size, payload, expiry, priority):
        # type: (int, bytes, int, int) -> None
        self.token_size = token_size
        self.middle = _ITEM_HEAD.pack(ITEM_PAYLOAD, len(payload)) + payload + _IDENTIFIER_HEAD
        self.tail = _TAIL.pack(ITEM_EXPIRY, _U32.size, expiry, ITEM_PRIORITY, _U8.size, priority)
        items = _ITEM_HEAD.size + token_size + len(self.middle) + _U32.size + len(self.tail)
        self.head = _HEAD.pack(COMMAND_NOTIFICATION, items, ITEM_TOKEN, token_size)
        self.size = _FRAME_HEAD.size + items
        self._between = None  # type: Optional[bytearray]

    def frame(self, token, identifier):
        # type: (bytes, int) -> bytes
        """Return the frame of one token."""
        return b"".join((self.head, token, self.middle, _U32.pack(identifier), self.tail))

    def frames(self, tokens, first_identifier):
        # type: (Sequence[Any], int) -> Optional[memoryview]
        """Return the frames of some tokens in hexadecimal, or None if they are not all alike.

        Tokens are alike if they are hexadecimal, of one type, and of the size of this layout.
        """
        try:
            decoded = _decode_alike(tokens, 2 * self.token_size)
        except (TypeError, ValueError):
            return None
        if not decoded:
            return None
        count = len(tokens)
        # The module keeps what it made of such a format the last time.
        separate = struct.unpack(("%ds" % self.token_size) * count, decoded)
        between = self._between
        if between is None:
            # What stands between two tokens, with room for the identifier of the first.
            between = self._between = bytearray(
                self.middle + b"\0\0\0\0" + self.tail + self.head)
        # Joining puts it before the first token and after the last one as well.
        joined = between.join((b"",) + separate + (b"",))
        start = len(between) - len(self.head)
        end = start + count * self.size
        place = start + len(self.head) + self.token_size + len(self.middle)
        for column in _identifier_columns(first_identifier, count):
            joined[place:end:self.size] = column
            place += 1
        return memoryview(joined)[start:end]


_OCTETS = [struct.pack(">B", octet) for octet in range(256)]
_CYCLE = b"".join(_OCTETS)


def _identifier_columns(first, count):
    # type: (int, int) -> Iterator[bytes]
    """Yield the four octets, most significant first, of ``count`` consecutive identifiers."""
    for shift in (24, 16, 8):
        period = 1 << shift
        column, identifier, left = [], first, count
        while left:
            run = min(left, period - identifier % period)
            column.append(_OCTETS[(identifier >> shift) & 0xFF] * run)
            identifier += run
            left -= run
        yield b"".join(column)
    start = first & 0xFF
    yield (_CYCLE * ((start + count) // 256 + 1))[start:start + count]


def _decode_alike_new(tokens, digits):
    # type: (Sequence[Any], int) -> Optional[bytes]
    """Decode tokens of one type together.

    :param tokens: at least one device token.
    :param digits: how many digits each is to have (int).
    :return: their bytes one after the other, or None if not all have that many digits.
    :raises TypeError, ValueError: if they are not of one type, or not hexadecimal.

    The tokens are joined by spaces, which ``fromhex`` skips. There is a space at each place where
    one belongs, and as many hexadecimal digits as there are other places: so no token is longer or
    shorter than the others, and none has a space in it.
    """
    count = len(tokens)
    if isinstance(tokens[0], bytes):
        text = b" ".join(tokens).decode("latin-1")
    else:
        text = " ".join(tokens)
    if len(text) != count * (digits + 1) - 1 or text[digits::digits + 1] != " " * (count - 1):
        return None
    decoded = bytes.fromhex(text)
    return decoded if 2 * len(decoded) == count * digits else None


def _decode_alike_old(tokens, digits):
    # type: (Sequence[Any], int) -> Optional[bytes]
    """Do the same on Python 2.7, where bytes have no ``fromhex``."""
    if set(map(len, tokens)) != {digits}:
        return None
    return unhexlify("".join(tokens))


_decode_alike = _decode_alike_old if PY2 else _decode_alike_new


def _cut(data, size):
    # type: (memoryview, int) -> Tuple[bytes, ...]
    """Return copies of the pieces of ``size`` bytes that there are, and of a smaller last one."""
    pieces, rest = divmod(len(data), size)
    return struct.unpack(("%ds" % size) * pieces + ("%ds" % rest if rest else ""), data)


class NotificationEncoder(object):
    """Encodes one message for many tokens, as frames of command 2.

    :param payload: the payload as it goes over the wire (bytes).
    :param expiry: when the gateway may give up, in seconds since 1970 (int, 32 bit).
    :param priority: 10 or 5; any 8 bit number is sent (int).
    :raises ValueError: if the payload is larger than 65 535 bytes, the most that a frame carries.
    """

    #: How many tokens, and bytes, are encoded together: enough to spread the cost of a block, few
    #: enough to stay in the processor's second level cache.
    BLOCK = 1024
    BLOCK_BYTES = 524288
    #: Fewer tokens than this are encoded one by one, because that is faster.
    SMALL_BLOCK = 12

    def __init__(self, payload, expiry, priority):
        # type: (bytes, int, int) -> None
        if len(payload) > MAX_ITEM_SIZE:
            raise ValueError("the payload has %d bytes, a frame carries at most %d; shorten it"
                             % (len(payload), MAX_ITEM_SIZE))
        self._fields = (payload, expiry, priority)
        self._layouts = {}  # type: Dict[int, _Layout]

    def size_for(self, tokens):
        # type: (Sequence[Any]) -> int
        """Return how many bytes the frames of some tokens have, if all are as long as the first."""
        token = tokens[0]
        digits = len(token) if isinstance(token, (six.text_type, bytes)) else 0
        return len(tokens) * (_FRAME_OVERHEAD + digits // 2 + len(self._fields[0]))

    def chunks(self, tokens, chunk_size, first_identifier=0, rejected=None):
        # type: (Sequence[Any], int, int, Optional[List[Rejection]]) -> Iterator[Span]
        """Yield the frames of all tokens, cut between frames.

        The token at index i has the identifier ``first_identifier + i``, modulo 2 to the power 32.

        :param tokens: list of device tokens in hexadecimal (str or bytes).
        :param chunk_size: bytes that each chunk, but the last one, has at least (int, from 1).
        :param first_identifier: identifier of the first token (int, 32 bit).
        :param rejected: list that gets ``(index, code, explanation)`` of each token that cannot be
            put on the wire; None drops them.
        :return: generator of ``(index of the first token, index behind the last one, bytes)``.
        :raises ValueError: if the chunk size is less than 1.
        """
        if chunk_size < 1:
            raise ValueError("the chunk size is %r, expected 1 or more" % (chunk_size,))
        if rejected is None:
            rejected = []
        position, count = 0, len(tokens)
        while position < count:
            layout = self._layout_of(tokens[position])
            per_chunk = -(-chunk_size // layout.size)
            block = min(self.BLOCK, self.BLOCK_BYTES // layout.size)
            stop = min(count, position + max(1, block // per_chunk) * per_chunk)
            frames = None
            if stop - position >= self.SMALL_BLOCK:
                frames = layout.frames(tokens[position:stop], first_identifier + position)
            if frames is not None:
                for chunk in _cut(frames, per_chunk * layout.size):
                    start, position = position, min(position + per_chunk, stop)
                    yield start, position, chunk
            while position < stop:
                start, position, chunk = self._chunk(
                    tokens, position, chunk_size, first_identifier, rejected)
                if chunk:
                    yield start, position, chunk
        # An encoder is kept with its message, until there is a result.
        self._layouts.clear()

    def _chunk(self, tokens, position, chunk_size, first_identifier, rejected):
        # type: (Sequence[Any], int, int, int, List[Rejection]) -> Tuple[int, int, bytes]
        """Encode one chunk token by token, from ``position`` on.

        :return: ``(index of the first token in it, index behind the last one, bytes)``.
        """
        frames = []  # type: List[bytes]
        size, first = 0, position
        while position < len(tokens) and size < chunk_size:
            try:
                token = decode_token(tokens[position])
            except TokenError as error:
                rejected.append((position, error.code, str(error)))
            else:
                if not frames:
                    first = position
                identifier = (first_identifier + position) % MAX_IDENTIFIERS
                frames.append(self._layout(len(token)).frame(token, identifier))
                size += len(frames[-1])
            position += 1
        return first, position, b"".join(frames)

    def _layout_of(self, token):
        # type: (Any) -> _Layout
        """Return the layout that a token needs, or some layout if it cannot be put on the wire."""
        digits = len(token) if isinstance(token, (six.text_type, bytes)) else 0
        return self._layout(min(digits // 2, MAX_ITEM_SIZE))

    def _layout(self, token_size):
        # type: (int) -> _Layout
        layout = self._layouts.get(token_size)
        if layout is None:
            # Apple's tokens have one size; the bound is for lists of anything else.
            if len(self._layouts) >= 16:
                self._layouts.clear()
            layout = self._layouts[token_size] = _Layout(token_size, *self._fields)
        return layout


ErrorResponse = namedtuple("ErrorResponse", "status identifier")


class ErrorResponseParser(object):
    """Reads what a gateway sends: at most one error response.

    :ivar error: :class:`~apnsclient.errors.ProtocolError` once something else has come, else None.
    """

    def __init__(self):
        # type: () -> None
        self.error = None  # type: Optional[ProtocolError]
        self._buffer = b""

    @property
    def is_amid(self):
        # type: () -> bool
        """True if a response has begun, and has not come to its end."""
        return self.error is None and 0 < len(self._buffer) < _ERROR.size

    def feed(self, data):
        # type: (bytes) -> Optional[ErrorResponse]
        """Take bytes as they come.

        :return: the response as soon as it is whole: ``(status, identifier)``, both int. What comes
            after it is of no interest: the gateway hangs up.
        """
        if self.error is not None or len(self._buffer) == _ERROR.size:
            return None
        self._buffer = (self._buffer + data)[:_ERROR.size]
        if self._buffer and six.indexbytes(self._buffer, 0) != COMMAND_ERROR:
            self.error = ProtocolError("the gateway sent a frame with the unknown command %d"
                                       % six.indexbytes(self._buffer, 0))
            if _HTTP.match(self._buffer):
                self.error.advise("http2", "A server of HTTP begins like that")
        if self.error is not None or len(self._buffer) < _ERROR.size:
            return None
        return ErrorResponse(*_ERROR.unpack(self._buffer)[1:])


#: What a provider sent. ``token`` and ``payload`` are bytes, the others int; None stands for what
#: the frame did not carry.
Notification = namedtuple("Notification", "command identifier expiry token payload priority")


class NotificationParser(object):
    """Reads what a provider sends to a gateway: frames of the commands 0, 1 and 2.

    :ivar error: :class:`~apnsclient.errors.ProtocolError` once the bytes could not be understood,
        with the identifier where that was known; else None. A gateway reports it and hangs up.
    """

    #: No frame of command 2 is longer: five items of the largest size.
    MAX_FRAME_SIZE = 5 * (_ITEM_HEAD.size + MAX_ITEM_SIZE)

    def __init__(self):
        # type: () -> None
        self.error = None  # type: Optional[ProtocolError]
        self._buffer = bytearray()
        self._pattern = None  # type: Optional[_Pattern]

    def feed(self, data):
        # type: (bytes) -> List[Notification]
        """Take bytes as they come; return the notifications that are whole now."""
        notifications = []  # type: List[Notification]
        if self.error is not None:
            return notifications
        buffer = self._buffer
        buffer += data
        used = 0
        try:
            while used < len(buffer):
                match = self._pattern.match(buffer, used) if self._pattern else None
                if match is None:
                    match = self._parse(buffer, used)
                if match is None:
                    break
                notification, used = match
                notifications.append(notification)
        except ProtocolError as error:
            self.error = error
        del buffer[:used]
        return notifications

    def _parse(self, buffer, start):
        # type: (bytearray, int) -> Optional[Tuple[Notification, int]]
        """Parse the frame at ``start``.

        :return: it and where it ends, or None as long as it is not whole.
        :raises ProtocolError: if it is none.
        """
        command = buffer[start]
        if command == COMMAND_NOTIFICATION:
            return self._parse_items(buffer, start)
        if command == COMMAND_SIMPLE:
            return self._parse_old(buffer, start, start + 1)
        if command == COMMAND_ENHANCED:
            return self._parse_old(buffer, start, start + 1 + 2 * _U32.size)
        raise ProtocolError("the provider sent a frame with the unknown command %d" % command)

    def _parse_old(self, buffer, start, place):
        # type: (bytearray, int, int) -> Optional[Tuple[Notification, int]]
        """Parse command 0 or 1, in which token and payload stand at ``place``."""
        parts = []
        for _ in ("token", "payload"):
            if len(buffer) < place + _U16.size:
                return None
            size, = _U16.unpack_from(buffer, place)
            place += _U16.size
            if len(buffer) < place + size:
                return None
            parts.append(bytes(buffer[place:place + size]))
            place += size
        identifier = expiry = None
        if buffer[start] == COMMAND_ENHANCED:
            identifier, expiry = struct.unpack_from(">II", buffer, start + 1)
        return Notification(buffer[start], identifier, expiry, parts[0], parts[1], None), place

    def _parse_items(self, buffer, start):
        # type: (bytearray, int) -> Optional[Tuple[Notification, int]]
        """Parse command 2, and remember its pattern if it carries every item."""
        if len(buffer) - start < _FRAME_HEAD.size:
            return None
        _, size = _FRAME_HEAD.unpack_from(buffer, start)
        if size > self.MAX_FRAME_SIZE:
            raise ProtocolError("the provider sent a frame of %d bytes, expected at most %d"
                                % (size, self.MAX_FRAME_SIZE))
        place = start + _FRAME_HEAD.size
        end = place + size
        if end > len(buffer):
            return None
        items = {}  # type: Dict[int, Any]
        pattern = []
        while place < end:
            number, size, value = self._parse_item(buffer, place, end, items)
            items[number] = value
            pattern.append((number, size))
            place += _ITEM_HEAD.size + size
        if len(items) == len(_Pattern.ITEMS):
            self._pattern = _Pattern(pattern)
        return Notification(COMMAND_NOTIFICATION, *map(items.get, _Pattern.ITEMS)), end

    @staticmethod
    def _parse_item(buffer, place, end, items):
        # type: (bytearray, int, int, Dict[int, Any]) -> Tuple[int, int, Any]
        """Parse one item of command 2; ``items`` holds those before it, by number.

        :return: ``(number, size, value)``.
        """
        identifier = items.get(ITEM_IDENTIFIER)
        if end - place < _ITEM_HEAD.size:
            raise ProtocolError("a frame ends within an item", identifier)
        number, size = _ITEM_HEAD.unpack_from(buffer, place)
        place += _ITEM_HEAD.size
        if end - place < size:
            raise ProtocolError("an item is longer than its frame", identifier)
        if number not in _Pattern.FORMATS or number in items:
            raise ProtocolError("item %d is unknown, or there twice" % number, identifier)
        number_format = _NUMBERS.get(number)
        if number_format is None:
            return number, size, bytes(buffer[place:place + size])
        if size != number_format.size:
            raise ProtocolError("item %d has %d bytes, expected %d"
                                % (number, size, number_format.size), identifier)
        return number, size, number_format.unpack_from(buffer, place)[0]


#: The items of command 2 that are numbers.
_NUMBERS = {ITEM_IDENTIFIER: _U32, ITEM_EXPIRY: _U32, ITEM_PRIORITY: _U8}


class _Pattern(object):
    """Order and sizes of the items of a frame: the next frame most likely has the same.

    :param items: ``(number, size)`` of each item of command 2, in the order of the frame.
    """

    #: Items in the order of the fields of :class:`Notification`.
    ITEMS = (ITEM_IDENTIFIER, ITEM_EXPIRY, ITEM_TOKEN, ITEM_PAYLOAD, ITEM_PRIORITY)
    FORMATS = {ITEM_TOKEN: "%ds", ITEM_PAYLOAD: "%ds", ITEM_IDENTIFIER: "I", ITEM_EXPIRY: "I",
               ITEM_PRIORITY: "B"}

    def __init__(self, items):
        # type: (Sequence[Tuple[int, int]]) -> None
        layout, constant, places = ">BI", [0, 1], {}
        expected = [COMMAND_NOTIFICATION, sum(_ITEM_HEAD.size + size for _, size in items)]
        for index, (number, size) in enumerate(items):
            layout += "BH" + self.FORMATS[number].replace("%d", str(size))
            constant += [2 + 3 * index, 3 + 3 * index]
            expected += [number, size]
            places[number] = 4 + 3 * index
        self._unpack_from = struct.Struct(layout).unpack_from
        self._size = struct.calcsize(layout)
        self._constant = itemgetter(*constant)
        self._expected = tuple(expected)
        self._values = itemgetter(0, *[places[number] for number in self.ITEMS])

    def match(self, buffer, start):
        # type: (bytearray, int) -> Optional[Tuple[Notification, int]]
        """Return the notification at ``start`` and where it ends, or None if it differs."""
        end = start + self._size
        if end > len(buffer):
            return None
        fields = self._unpack_from(buffer, start)
        if self._constant(fields) != self._expected:
            return None
        return Notification._make(self._values(fields)), end
