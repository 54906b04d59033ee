"""Requests that push a message to devices, as HTTP/2 frames.

The requests of a message differ in the token and in the number of the stream. So they are built by
the hundred: the tokens are joined by the constant bytes between them, and the numbers of the
streams are laid over the result column by column. That takes header blocks that are the same for
each request, which they are once all fields that they share are in the dynamic table: the first
requests of a connection, and those after a change of the table, are made one by one.

The requests of many messages differ in the payload, and may do so in header fields, too. They are
joined from pieces, each of which is made once for all that have it.
"""

from __future__ import absolute_import, division, print_function

import struct
import uuid

from six.moves import range

from ..._compat import MYPY
from ..binary import TokenError
from .frames import (
    DATA,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    HEADERS,
    STREAM_OFFSET,
    data_frames,
    header_frames,
)
from .headers import HeaderEncoder, encode_number, encode_string, literal_field, size_of

if MYPY:
    from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

    Field = Tuple[bytes, bytes, bool]
    #: What stands before ``:path`` in a header block, and behind it.
    Parts = Tuple[bytes, bytes]
    # A class that Python 2.7 has cannot be asked for the type of its items.
    _Fields = Tuple[Field, ...]
else:
    _Fields = tuple

__all__ = ["HeaderFields", "HeaderTooLong", "LONGEST_ALIKE", "RequestEncoder", "RequestTemplate"]

_PATH = b"/3/device/"
#: How a literal ``:path`` begins that does not enter the dynamic table: Apple asks for that
#: (*Sending notification requests to APNs*), and no path comes twice.
_PATH_NAME = b"\x04"
#: How many digits Apple's device tokens have.
_APPLE_DIGITS = 64
#: Most digits of tokens whose requests are built together; longer ones are looked at one by one.
LONGEST_ALIKE = 512
_HEXADECIMAL = b"0123456789abcdefABCDEF"
#: Most bytes that a literal field takes beside its name and value, and a request beside its fields.
_LITERAL_OVERHEAD = 10
_LONGEST_REST = 64
#: The field apns-id up to its value, which is a UUID, and the size of both.
_ID_HEAD = b"\0" + encode_string(b"apns-id") + encode_number(36, 7)
_ID_SIZE = len(_ID_HEAD) + 36
_ID_LIST_SIZE = size_of((b"apns-id", b"-" * 36))
#: How many sets of shared fields are remembered.
_MOST_FORMS = 256


class HeaderTooLong(ValueError):
    """The header of a request is longer than the peer takes, whichever token it is for.

    :param fields: the ``(name, value, is_indexed)`` of its header.
    :param size: how long it is, and ``limit`` how long it may be, as RFC 9113, 6.5.2 counts (int).

    :ivar code: the HTTP status that says so, 431 (RFC 6585).
    """

    code = 431

    def __init__(self, fields, size, limit):
        # type: (Sequence[Field], int, int) -> None
        name, value, _ = max(fields, key=size_of)
        super(HeaderTooLong, self).__init__(
            "Not sent: the header of the request has %d bytes, and the server takes %d; the longest"
            " field is %s with %d" % (size, limit, name.decode("ascii"), len(value)))


class HeaderFields(_Fields):
    """The header fields that requests have in common.

    :param fields: ``(name, value, is_indexed)`` of each (bytes, bytes, bool). What is indexed goes
        into the dynamic table, and should be the same in many requests. It is sent first.
    :param shared: those that are indexed, if there is a tuple of them already.

    :ivar shared: those that are indexed (tuple).
    :ivar own: the others, as they stand in a header block (bytes).
    :ivar own_size: how many bytes the others have, as RFC 9113, 6.5.2 counts (int).
    """

    def __new__(cls, fields, shared=None):
        # type: (Sequence[Field], Optional[Tuple[Field, ...]]) -> HeaderFields
        self = super(HeaderFields, cls).__new__(cls, fields)
        self._split(shared)
        return self

    def _split(self, shared):
        # type: (Optional[Tuple[Field, ...]]) -> None
        own = [field for field in self if not field[2]]
        self.shared = shared if shared is not None else tuple(
            [field for field in self if field[2]])
        self.own = b"".join([literal_field(name, value) for name, value, _ in own])
        self.own_size = sum([size_of(field) for field in own])


class RequestTemplate(object):
    """What the requests of a message have in common.

    :param fields: the header fields that are none of the request itself (:class:`HeaderFields`, or
        what it is made of).
    :param payload: the body of each request (bytes).
    :param namespace: what gives each request an ``apns-id`` of its own, the UUID version 5 of this
        and of the token in lower case (``uuid.UUID``), or None.
    """

    __slots__ = ("fields", "namespace", "payload")

    def __init__(self, fields, payload, namespace=None):
        # type: (Sequence[Field], bytes, Optional[uuid.UUID]) -> None
        self.fields = fields if type(fields) is HeaderFields else HeaderFields(fields)
        self.payload = payload
        self.namespace = namespace

    @property
    def own_size(self):
        # type: () -> int
        """How many bytes of a header block belong to one token, beside the token (int)."""
        return 0 if self.namespace is None else _ID_SIZE

    def own_field(self, token):
        # type: (bytes) -> bytes
        """Return these bytes, which stand behind the token; there has to be a namespace."""
        assert self.namespace is not None
        identifier = uuid.uuid5(self.namespace, str(token.lower().decode("ascii")))
        return _ID_HEAD + str(identifier).encode("ascii")


def _join_alike(tokens):
    # type: (Sequence[Any]) -> Optional[bytes]
    """Return device tokens with a space between one and the next.

    :return: bytes, or None if they are not hexadecimal, of one type and of one even length, or if
        they are long.
    """
    try:
        digits = len(tokens[0])
        return _join(tokens, digits) if 0 < digits <= LONGEST_ALIKE and not digits % 2 else None
    except (IndexError, TypeError, ValueError):
        return None


def _join(tokens, digits):
    # type: (Sequence[Any], int) -> Optional[bytes]
    """Return tokens with a space between one and the next.

    :param tokens: at least one device token.
    :param digits: how many digits each is to have (int).
    :return: bytes, or None if not all are hexadecimal and of that length.
    :raises TypeError, ValueError: if they are not of one type, or not even ASCII.

    There is a space at each place where one belongs, and nothing but digits at all other places: so
    no token is longer or shorter than the others, and none has a space in it.
    """
    count = len(tokens)
    if isinstance(tokens[0], bytes):
        if set(map(type, tokens)) != {bytes}:
            return None
        joined = b" ".join(tokens)
    else:
        joined = u" ".join(tokens).encode("ascii")
    spaces = b" " * (count - 1)
    if len(joined) != count * (digits + 1) - 1 or joined[digits::digits + 1] != spaces \
            or joined.translate(None, _HEXADECIMAL) != spaces:
        return None
    return joined


def _split(joined, digits, count):
    # type: (bytes, int, int) -> Tuple[bytes, ...]
    """Return the tokens that were joined with one byte between each and the next."""
    # The module keeps what it made of such a format the last time.
    return struct.unpack("%ds" % digits + "x%ds" % digits * (count - 1), joined)


def _pack_streams(first_stream, count):
    # type: (int, int) -> bytes
    """Return the numbers of consecutive streams, 4 bytes each."""
    return struct.pack(">%dI" % count, *range(first_stream, first_stream + 2 * count, 2))


def _path_head(digits):
    # type: (int) -> bytes
    """Return what stands before a token of so many digits in a header block."""
    return _APPLE_HEAD if digits == _APPLE_DIGITS else _new_path_head(digits)


def _new_path_head(digits):
    # type: (int) -> bytes
    return _PATH_NAME + encode_number(len(_PATH) + digits, 7) + _PATH


_APPLE_HEAD = _new_path_head(_APPLE_DIGITS)


class _Layout(object):
    """The constant bytes of a request to a token of so many digits.

    A request is ``lead``, token with what belongs to it, ``end``; the number of its stream is still
    to be filled in.

    :param parts: header block without ``:path``, which changes no table.
    """

    def __init__(self, template, parts, digits):
        # type: (RequestTemplate, Parts, int) -> None
        self.template = template
        self.digits = digits
        payload = template.payload
        head = parts[0] + _path_head(digits)
        length = len(head) + digits + template.own_size + len(parts[1])
        self.is_short = length <= DEFAULT_FRAME_SIZE and len(payload) <= DEFAULT_FRAME_SIZE
        flags = END_HEADERS if payload else END_HEADERS | END_STREAM
        # The length has 24 bits; without them nothing is made of this layout.
        self.lead = FRAME_HEAD.pack((length & 0xFFFFFF) << 8 | HEADERS, flags, 0) + head
        self.end = parts[1] + (data_frames(0, payload, True) if payload else b"")
        self.size = len(self.lead) + digits + template.own_size + len(self.end)
        #: What stands between two tokens.
        self.between = bytearray(self.end + self.lead)
        self.places = [STREAM_OFFSET]
        if payload:
            self.places.append(FRAME_HEAD.size + length + STREAM_OFFSET)

    def frames(self, joined, count, first_stream):
        # type: (bytes, int, int) -> bytes
        """Return the frames of some requests.

        :param joined: their tokens, with one byte between each and the next.
        """
        tokens = _split(joined, self.digits, count)
        if self.template.namespace is not None:
            own_field = self.template.own_field
            tokens = tuple([token + own_field(token) for token in tokens])
        # Joining puts `between` before the first token and after the last one as well.
        frames = self.between.join((b"",) + tokens + (b"",))
        start, size = len(self.end), self.size
        end = start + count * size
        numbers = _pack_streams(first_stream, count)
        columns = [numbers[octet::4] for octet in range(4)]
        for place in self.places:
            place += start
            for column in columns:
                frames[place:end:size] = column
                place += 1
        return memoryview(frames)[start:end].tobytes()


class RequestEncoder(object):
    """Makes the requests of one connection.

    :param authority: host, with the port if it is not 443 (bytes).
    """

    def __init__(self, authority):
        # type: (bytes) -> None
        self._headers = HeaderEncoder()
        self._authorization = None  # type: Optional[bytes]
        self._before = [(b":method", b"POST", False), (b":scheme", b"https", False),
                        (b":authority", authority, True)]
        # Header blocks that hold good as long as the table has this version, by shared fields; and
        # what was last made of one: for which fields, and as which layout.
        self._version = 0
        self._forms = {}  # type: Dict[Tuple[Field, ...], Parts]
        self._last_fields = None  # type: Optional[HeaderFields]
        self._last_form = self._last_parts = b"", b""
        self._last_layout = None  # type: Optional[_Layout]
        # The shared fields whose size was needed last, and that size.
        self._sized = (None, 0)  # type: Tuple[Optional[Sequence[Field]], int]

    @property
    def authorization(self):
        # type: () -> Optional[bytes]
        """Value of the header field of that name (bytes), None for none; may be set any time."""
        return self._authorization

    @authorization.setter
    def authorization(self, value):
        # type: (Optional[bytes]) -> None
        if value != self._authorization:
            self._authorization = value
            self._forget()

    def _forget(self):
        # type: () -> None
        """Drop what holds good no more."""
        self._version = self._headers.version
        self._forms.clear()
        self._last_fields = self._last_layout = None
        self._sized = None, 0

    def resize_table(self, size):
        # type: (int) -> None
        """Apply the peer's setting HEADER_TABLE_SIZE (int); the next header block confirms it."""
        self._headers.resize(size)

    def size(self, template, digits):
        # type: (RequestTemplate, int) -> int
        """Return how many bytes a request to a token of so many digits takes (int).

        They are exact as soon as the fields are in the table; before, as good as exact.
        """
        head, tail = self._parts_of(template.fields) or (b"\0" * 3, b"\0" + b"".join(
            b"\0" if is_indexed else literal_field(name, value)
            for name, value, is_indexed in template.fields))
        payload = template.payload
        return (FRAME_HEAD.size + len(head) + len(_path_head(digits)) + digits + template.own_size
                + len(tail) + (FRAME_HEAD.size + len(payload) if payload else 0))

    def list_size(self, template):
        # type: (RequestTemplate) -> int
        """Return the size of a request's header without the token, as RFC 9113, 6.5.2 counts it."""
        fields = template.fields
        if self._sized[0] != fields.shared:
            every = self._shared_fields() + list(fields.shared)
            self._sized = fields.shared, sum(size_of(field) for field in every)
        return (self._sized[1] + fields.own_size
                + (0 if template.namespace is None else _ID_LIST_SIZE))

    def _shared_fields(self):
        # type: () -> List[Field]
        """Return the fields that each request has, whatever the message."""
        fields = self._before + [(b":path", _PATH, False)]
        if self._authorization is not None:
            fields.append((b"authorization", self._authorization, True))
        return fields

    def check(self, template, digits, limit):
        # type: (RequestTemplate, int, int) -> None
        """Check that the peer accepts the header of a request.

        To some a longer one is reason enough to end the connection, with all that is on it.

        :param digits: how many digits the token has (int).
        :param limit: longest header that the peer takes, in bytes (int), as RFC 9113, 6.5.2 counts.
        :raises TokenError: if it is the token that is too long.
        :raises HeaderTooLong: if that of no token would be taken.
        """
        room = limit - self.list_size(template)
        if digits <= room:
            return
        if room >= _APPLE_DIGITS:
            raise TokenError(8, "the token has %d bytes, at most %d find room in a request"
                             % (digits // 2, room // 2))
        raise HeaderTooLong(
            self._shared_fields() + list(template.fields), limit - room + digits, limit)

    def header(self, method, path, fields):
        # type: (bytes, bytes, Sequence[Tuple[bytes, bytes]]) -> List[Field]
        """Return the header fields of any request, to be encoded by :meth:`block`.

        :param fields: ``(name, value)`` of those that not every request has (bytes).
        """
        head = [(b":method", method), (b":scheme", b"https"), (b":authority", self._before[2][1]),
                (b":path", path)]
        if self._authorization is not None:
            head.append((b"authorization", self._authorization))
        return [(name, value, name == b"authorization") for name, value in head + list(fields)]

    def block(self, fields):
        # type: (Iterable[Field]) -> bytes
        """Return the header block of any request; the pseudo-header fields come first."""
        return self._headers.encode(fields)

    def one(self, template, token, stream, frame_size=DEFAULT_FRAME_SIZE, has_data=False):
        # type: (RequestTemplate, bytes, int, int, bool) -> bytes
        """Return one request, or its header alone.

        :param token: device token in hexadecimal (bytes).
        :param stream: number of the stream (int).
        :param frame_size: longest payload of a frame that the peer allows (int).
        :param has_data: whether the payload comes along (bool).
        """
        head, tail = self._parts_of(template.fields) or self._encode(template.fields)
        path, payload = _path_head(len(token)), template.payload
        if template.namespace is not None:
            tail = template.own_field(token) + tail
        length = len(head) + len(path) + len(token) + len(tail)
        if length <= frame_size and len(payload) <= frame_size and has_data and payload:
            return b"".join((
                FRAME_HEAD.pack(length << 8 | HEADERS, END_HEADERS, stream), head, path, token,
                tail, FRAME_HEAD.pack(len(payload) << 8 | DATA, END_STREAM, stream), payload))
        block = b"".join((head, path, token, tail))
        frames = header_frames(stream, block, not payload, frame_size)
        if has_data and payload:
            frames += data_frames(stream, payload, True, frame_size)
        return frames

    def alike(self, template, tokens, first_stream):
        # type: (RequestTemplate, Sequence[Any], int) -> Optional[bytes]
        """Return the requests to tokens that are all alike.

        :param template: what they have in common.
        :param tokens: device tokens.
        :param first_stream: stream of the first request (int); each further one has the next.
        :return: the frames (bytes), or None if the tokens are not hexadecimal, of one type and
            of one even length, or if they are long, or header or payload too long for one frame
            each. With None, the table of the header fields is what it was.
        """
        joined = _join_alike(tokens)
        digits = len(tokens[0]) if joined else 0
        if joined is None or not self._is_short(template, digits):
            return None
        count, done, frames = len(tokens), 0, []
        while done < count and self._parts_of(template.fields) is None:
            # These fill the table; the others refer to it.
            start = done * (digits + 1)
            frames.append(self.one(template, joined[start:start + digits],
                                   first_stream + 2 * done, has_data=True))
            done += 1
        if done < count:
            frames.append(self._layout(template, digits).frames(
                joined[done * (digits + 1):], count - done, first_stream + 2 * done))
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def each(self, templates, tokens, first_stream, limit=DEFAULT_FRAME_SIZE):
        # type: (Sequence[RequestTemplate], Sequence[Any], int, int) -> Optional[bytes]
        """Return requests that differ in the payload, and may do so in header fields, too.

        :param templates: as many as there are tokens.
        :param limit: longest header that the peer takes, in bytes (int), as RFC 9113, 6.5.2 counts,
            and no more than fits into a frame.
        :return: the frames, like those of :meth:`alike`. It is also None if the indexed fields of a
            request are not in the table yet, if it has no payload, or too long a header.
        """
        joined, parts = _join_alike(tokens), self._parts_of_each(templates, limit)
        is_plain = templates[0].namespace is None
        payloads = [template.payload for template in templates
                    if (template.namespace is None) is is_plain]
        count, sizes = len(tokens), set(map(len, payloads))
        if joined is None or not parts or len(payloads) < count \
                or not 0 < min(sizes) <= max(sizes) <= DEFAULT_FRAME_SIZE:
            return None
        split = _split(joined, len(tokens[0]), count)  # type: Sequence[bytes]
        if not is_plain:
            split = [token + template.own_field(token) for template, token in zip(templates, split)]
        # Seven pieces for each request. The number of its stream is the second of them, and the
        # sixth, since the fifth ends with the head of the next frame.
        head = parts[0][0] + _path_head(len(tokens[0]))
        pieces = [head] * (7 * count)
        pieces[::7], pieces[4::7] = _ends_of(
            len(head) + len(tokens[0]) + templates[0].own_size, [tail for _, tail in parts],
            [len(payload) for payload in payloads])
        pieces[1::7] = pieces[5::7] = struct.unpack(
            "4s" * count, _pack_streams(first_stream, count))
        pieces[3::7] = split
        pieces[6::7] = payloads
        return b"".join(pieces)

    def _parts_of_each(self, templates, limit):
        # type: (Sequence[RequestTemplate], int) -> List[Parts]
        """Return the parts of the block of each request, or only once if they are all the same.

        The first part is always the same. There are none at all if the fields of one are not in the
        table yet, or if a header is too long.
        """
        fields = [template.fields for template in templates]
        if fields.count(fields[0]) == len(fields):
            templates, fields = templates[:1], fields[:1]
        # The block is shorter than what is counted, so that it fits into a frame as well.
        if max([self.list_size(template) for template in templates]) + LONGEST_ALIKE > limit:
            return []
        parts = [self._parts_of(one) for one in fields]
        return [] if None in parts else parts  # type: ignore[return-value]

    def _is_short(self, template, digits):
        # type: (RequestTemplate, int) -> bool
        """Return True if header and payload fit into a frame each, whatever is in the table.

        It has to be known before anything is encoded: what is, changes the table.
        """
        if self._parts_of(template.fields) is not None:
            return self._layout(template, digits).is_short
        fields = self._before + list(template.fields)
        longest = _LONGEST_REST + digits + len(self._authorization or b"") + sum(
            len(name) + len(value) + _LITERAL_OVERHEAD for name, value, _ in fields)
        return longest <= DEFAULT_FRAME_SIZE and len(template.payload) <= DEFAULT_FRAME_SIZE

    def _layout(self, template, digits):
        # type: (RequestTemplate, int) -> _Layout
        """Return the layout of requests whose fields are in the table."""
        layout = self._last_layout
        if layout is None or layout.template is not template or layout.digits != digits:
            layout = self._last_layout = _Layout(template, self._last_parts, digits)
        return layout

    def _parts_of(self, fields):
        # type: (HeaderFields) -> Optional[Parts]
        """Return the parts of a block that changes no table, or None if there is none (yet)."""
        if self._version != self._headers.version:
            self._forget()
            return None
        last = self._last_fields
        if fields is not last:
            if last is None or fields.shared != last.shared:
                form = self._forms.get(fields.shared)
                if form is None:
                    return None
                self._last_form = form
            self._last_fields = fields
            self._last_parts = self._last_form[0], self._last_form[1] + fields.own
        return self._last_parts

    def _encode(self, fields):
        # type: (HeaderFields) -> Parts
        """Return the parts of the next block; remember them if it changes no table."""
        shared = fields.shared
        after = list(shared)  # type: List[Field]
        if self._authorization is not None:
            # Apple's page wants a literal without indexing, so that the table does not overflow. It
            # is one entry in an hour here, and would nearly double each request: docs/design.rst.
            after.insert(0, (b"authorization", self._authorization, True))
        version, split = self._headers.version, len(self._before)
        pieces = self._headers.pieces(self._before + after)
        head, tail = b"".join(pieces[:split]), b"".join(pieces[split:])
        if version == self._headers.version == self._version:
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            self._forms[shared] = head, tail
        return head, tail + fields.own


def _frame_start(length, kind, flags):
    # type: (int, int, int) -> bytes
    """Return the head of a frame up to where the number of its stream stands."""
    return FRAME_HEAD.pack(length << 8 | kind, flags, 0)[:STREAM_OFFSET]


def _ends_of(length, tails, sizes):
    # type: (int, List[bytes], List[int]) -> Tuple[List[bytes], List[bytes]]
    """Return how both frames of each request begin, up to where the number of its stream stands.

    :param length: how long the header block of each is (int), but for its tail.
    :param tails: the end of the block of each, or once if they are the same.
    :param sizes: how many bytes the payload of each has (int).
    :return: for each the first bytes of its HEADERS frame, and its tail with those of the DATA
        frame.
    """
    data = dict((size, _frame_start(size, DATA, END_STREAM)) for size in set(sizes))
    starts = dict((size, _frame_start(length + size, HEADERS, END_HEADERS))
                  for size in set(map(len, tails)))
    if len(tails) > 1:
        return ([starts[len(tail)] for tail in tails],
                [tail + data[size] for tail, size in zip(tails, sizes)])
    ends = dict((size, tails[0] + start) for size, start in data.items())
    return list(starts.values()) * len(sizes), [ends[size] for size in sizes]
