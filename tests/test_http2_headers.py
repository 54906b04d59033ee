"""Header blocks: what we write, ``hpack`` reads; what ``hpack`` writes, we read."""

from __future__ import absolute_import, division, print_function

import sys

import hpack
import pytest
from hpack.hpack import decode_integer, encode_integer
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import headers
from apnsclient.protocols.http2.frames import COMPRESSION_ERROR, PROTOCOL_ERROR, Http2Error
from apnsclient.protocols.http2.headers import (
    HeaderDecoder,
    HeaderEncoder,
    decode_block,
    encode_number,
    encode_string,
    literal_field,
)
from apnsclient.protocols.http2.responses import ResponseDecoder, status_in
from tables import each

#: A table that holds all that the tests of one encoder put into it.
FIELD = (b"apns-topic", b"com.example.app", True)
#: What it takes in the table.
SIZE = 57


def octets(value):
    """Return bytes, for what old versions of hpack leave as a view."""
    return value.tobytes() if isinstance(value, memoryview) else bytes(value)


class Peer(object):
    """The library's decoder, with the settings that its side has sent."""

    def __init__(self):
        self.decoder = hpack.Decoder()

    def resize(self, size):
        self.decoder.max_allowed_table_size = size

    def decode(self, block):
        return [(octets(name), octets(value))
                for name, value in self.decoder.decode(block, raw=True)]

    @property
    def table(self):
        """The entries of the dynamic table, the newest first."""
        return [(octets(name), octets(value))
                for name, value in self.decoder.header_table.dynamic_entries]


def pairs(fields):
    return [field[:2] for field in fields]


def size_updates(block):
    """Return the table sizes that a block begins with."""
    found = []
    data = bytearray(block)
    while data and data[0] & 0xE0 == 0x20:
        size, used = decode_integer(bytes(data), 5)
        found.append(size)
        del data[:used]
    return found


# Few names and values, so that they come again; some as large as a small table.
names = st.sampled_from([b":authority", b":status", b"authorization", b"apns-topic", b"apns-id",
                         b"x", b"y" * 130])
values = st.sampled_from([b"", b"200", b"a", b"bearer e30.e30", b"b" * 60, b"c" * 127,
                          b"d" * 500, b"\0\xff"])
field_lists = st.lists(st.tuples(names, values, st.booleans()), max_size=7)
table_sizes = st.one_of(st.integers(0, 4096), st.sampled_from([0, 31, 32, 60, 100, 300, 65536]))
steps = st.lists(st.one_of(field_lists, table_sizes), max_size=30)


@given(steps)
def test_the_peer_reads_every_block_and_has_the_same_table(steps):
    """Blocks and changes of the table's size, in any order."""
    encoder, peer, limit = HeaderEncoder(), Peer(), 4096
    for step in steps:
        if isinstance(step, int):
            encoder.resize(step)
            peer.resize(step)
            limit = min(step, 4096)
            continue
        assert peer.decode(encoder.encode(step)) == pairs(step)
        assert peer.table == list(encoder._entries)
        assert sum(len(name) + len(value) + 32 for name, value in peer.table) <= limit


@given(steps)
def test_what_is_not_indexed_is_in_no_table(steps):
    """A field of one message alone leaves nothing behind."""
    encoder, peer = HeaderEncoder(), Peer()
    for step in steps:
        if isinstance(step, int):
            encoder.resize(step)
            peer.resize(step)
        else:
            peer.decode(encoder.encode([(b"x-" + name, value, False)
                                        for name, value, _ in step]))
            assert peer.table == []


@given(steps, field_lists, table_sizes)
def test_the_same_fields_soon_give_a_block_that_changes_nothing(steps, fields, size):
    """Whatever went before and however small the table is, and the version says so."""
    encoder, peer = HeaderEncoder(), Peer()
    for step in steps + [size, []]:
        if isinstance(step, int):
            encoder.resize(step)
            peer.resize(step)
        else:
            peer.decode(encoder.encode(step))
    for _ in range(len(fields) + 1):
        version, table = encoder.version, peer.table
        block = encoder.encode(fields)
        assert peer.decode(block) == pairs(fields)
        if encoder.version == version:
            assert peer.table == table
            break
    else:
        pytest.fail("each block changes the table")
    assert encoder.encode(fields) == block
    # It is put together from one piece for each field.
    pieces = encoder.pieces(fields)
    assert len(pieces) == len(fields) and b"".join(pieces) == block


def test_an_indexed_field_is_one_byte_the_second_time():
    """Then it is referred to by its place in the table; a value that is not indexed takes none."""
    encoder = HeaderEncoder()
    assert encoder.encode([FIELD]) == b"\x40\x0aapns-topic\x0fcom.example.app"
    assert encoder.version == 1
    assert encoder.encode([FIELD]) == b"\xbe"
    assert encoder.encode([(b"apns-topic", b"b", True)]) == b"\x7e\x01b"
    assert encoder.encode([FIELD, (b"apns-topic", b"b", True)]) == b"\xbf\xbe"
    # The name is known, the value is not to be.
    assert encoder.encode([(b"apns-topic", b"c", False)]) == b"\x0f\x2f\x01c"
    assert encoder.version == 2


def test_a_field_of_the_static_table_needs_no_other():
    """It is one byte from the first time on, and the dynamic table stays as it is."""
    encoder = HeaderEncoder()
    assert encoder.encode([(b":method", b"POST", False), (b":scheme", b"https", True)]) == \
        b"\x83\x87"
    assert encoder.version == 0


@each("sizes, expected", [
    ([4096], []),
    ([65536], []),
    ([0], [0]),
    ([100], [100]),
    ([100, 200], [100, 200]),
    ([200, 100], [100]),
    ([100, 4096], [100, 4096]),
    ([100, 65536], [100, 4096]),
    ([300, 0, 50, 200], [0, 200]),
    ([65536, 4096], []),
])
def test_a_change_of_the_size_is_told_once_with_the_smallest_in_between(sizes, expected):
    """RFC 7541, 4.2."""
    encoder, peer = HeaderEncoder(), Peer()
    peer.decode(encoder.encode([FIELD]))
    version = encoder.version
    for size in sizes:
        encoder.resize(size)
        peer.resize(size)
    assert (encoder.version != version) == bool(expected)
    version = encoder.version
    block = encoder.encode([])
    assert size_updates(block) == expected
    assert (encoder.version != version) == bool(expected)
    peer.decode(block)
    fits = not [size for size in expected if size < SIZE]
    assert peer.table == ([FIELD[:2]] if fits else []) == list(encoder._entries)
    assert size_updates(encoder.encode([FIELD])) == []


def test_growing_again_is_told_too():
    """The block after each change of the size begins with it, and the one after that does not."""
    encoder = HeaderEncoder()
    encoder.resize(100)
    assert size_updates(encoder.encode([FIELD])) == [100]
    encoder.resize(3000)
    assert size_updates(encoder.encode([FIELD])) == [3000]
    encoder.resize(3000)
    assert encoder.encode([FIELD]) == b"\xbe"


def test_an_entry_fits_to_the_byte():
    """A table as large as one entry with its overhead has it; one byte less, and it is empty."""
    for size, expected in ((SIZE, [FIELD[:2]]), (SIZE - 1, [])):
        encoder, peer = HeaderEncoder(), Peer()
        encoder.resize(size)
        peer.resize(size)
        peer.decode(encoder.encode([FIELD]))
        assert peer.table == expected


def test_fields_that_do_not_fit_together_do_not_drive_each_other_out():
    """The first stays in the table, the second is spelt out, and nothing changes any more."""
    encoder = HeaderEncoder()
    encoder.resize(2 * SIZE - 1)
    other = (b"apns-topic", b"com.example.two", True)
    encoder.encode([FIELD, other])
    version = encoder.version
    assert encoder.encode([FIELD, other]) == b"\xbe\x0f\x2f\x0fcom.example.two"
    assert encoder.version == version


def test_a_field_that_does_not_fit_leaves_its_room_to_the_next():
    """One that is too large for the table is spelt out, and a smaller one behind it enters."""
    encoder = HeaderEncoder()
    encoder.resize(SIZE)
    large = (b"x", b"y" * 40, True)
    encoder.encode([large, FIELD])
    assert encoder.encode([large, FIELD]) == literal_field(*large[:2]) + b"\xbe"


@given(st.integers(0, 1 << 21), st.integers(1, 8))
def test_numbers_are_those_of_the_library(number, bits):
    """Byte for byte, whatever the size of the prefix."""
    assert encode_number(number, bits) == bytes(encode_integer(number, bits))


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_literals_are_read_by_the_library(name, value):
    """With a name from the static table and without, and they do not enter the dynamic one."""
    peer = Peer()
    block = literal_field(name, value) + b"\0" + encode_string(name) + encode_string(value)
    assert peer.decode(block) == 2 * [(name, value)]
    assert peer.table == []


def test_the_static_table_is_that_of_the_library():
    """Each place that we refer to is that of the field, or the first with that name."""
    table = hpack.table.HeaderTable()
    for field, place in headers._STATIC_FIELDS.items():
        assert table.get_by_index(place) == field
    for name, place in headers._STATIC_NAMES.items():
        assert table.get_by_index(place)[0] == name
        assert table.get_by_index(place - 1)[0] != name if place > 1 else True


def test_a_missing_library_says_what_to_install(monkeypatch):
    """Whatever reads blocks raises ImportError with the command."""
    monkeypatch.setitem(sys.modules, "hpack", None)
    for make in (ResponseDecoder, HeaderDecoder, lambda: decode_block(b"\x88")):
        with pytest.raises(ImportError) as caught:
            make()
        assert "pip install cryptography hpack" in str(caught.value)
    # What only writes does without.
    HeaderEncoder()


# Reading.

responses = st.lists(st.tuples(st.sampled_from([b"apns-id", b"apns-unique-id", b"date", b"x"]),
                             st.binary(max_size=40)), max_size=5)


def standalone(fields, is_huffman=True):
    """Return a block of the library that refers to no dynamic table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(fields, huffman=is_huffman)


@given(st.integers(100, 999), responses, st.booleans())
def test_blocks_of_the_library_are_read(status, fields, is_huffman):
    """Alone, with the size update that comes first, or without it."""
    fields = [(b":status", str(status).encode("ascii"))] + fields
    block = standalone(fields, is_huffman)
    decoder = ResponseDecoder()
    for variant in (block, block[1:]) if block.startswith(b"\x20") else (block,):
        assert decode_block(variant) == fields
        for _ in range(2):
            assert decoder.status_of(variant) == status


@pytest.mark.parametrize("first", [b"\x08", b"\x18", b"\x48"])
def test_each_way_to_write_a_status_is_known(first):
    """Plain and in Huffman's code, whatever is said about the table."""
    decoder = ResponseDecoder()
    rest = b"\x00\x07apns-id\x04ABCD"
    for status in list(range(100, 600)) + [999]:
        text = str(status).encode("ascii")
        coded = hpack.Encoder().huffman_coder.encode(text)
        for value in (encode_string(text), bytes(bytearray([0x80 | len(coded)])) + coded):
            assert decoder.status_of(first + value + rest) == status
            assert decoder.status_of(first + value + rest[:-4] + b"EFGH") == status
            assert decoder.status_of(first + value) == status
    assert len(decoder._known) <= 64
    # Also of one whose shape is known the rest is looked at.
    for other in decoder, ResponseDecoder():
        with pytest.raises(Http2Error):
            other.status_of(first + b"\x03999\x80")


def test_a_status_of_the_static_table_is_one_byte():
    """What stands behind it is looked at, too."""
    decoder = ResponseDecoder()
    for place, status in enumerate((200, 204, 206, 304, 400, 404, 500)):
        block = bytes(bytearray([0x88 + place]))
        assert decoder.status_of(block) == status
        with pytest.raises(Http2Error):
            decoder.status_of(block + b"\xff")


@each("fields", [
    [], [(b"date", b"today")], [(b"date", b"today"), (b":status", b"200")], [(b":status", b"")],
    [(b":status", b"20")], [(b":status", b"2000")], [(b":status", b"2 0")], [(b":status", b"+20")],
    [(b":status", b"099")], [(b":status", b"\xb2\xb2\xb2")], [(b":method", b"200")],
])
def test_a_response_without_a_status_ends_its_stream_alone(fields):
    """The error names the stream, so that the connection goes on."""
    decoder = ResponseDecoder()
    for is_huffman in (True, False):
        with pytest.raises(Http2Error) as caught:
            decoder.status_of(standalone(fields, is_huffman), 7)
        assert (caught.value.code, caught.value.stream) == (PROTOCOL_ERROR, 7)
    with pytest.raises(Http2Error) as caught:
        status_in(fields, 9)
    assert (caught.value.code, caught.value.stream) == (PROTOCOL_ERROR, 9)


@each("block", [
    b"\x80", b"\xbe", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x08", b"\x08\x05200",
    b"\x08\x7f", b"\x08\x83\xff\xff\xff", b"\x08\x04\x32\x30", b"\x0f\x2f\x03200", b"\x3f\xe1\x1f",
    b"\x3f\xff\xff\xff\xff\xff\xff\xff",
])
def test_what_cannot_be_decoded_ends_the_connection(block):
    """Indices of no entry, strings that are cut, a table that was not offered."""
    decoder = ResponseDecoder()
    for call in (decoder.status_of, decode_block):
        with pytest.raises(Http2Error) as caught:
            call(block)
        assert (caught.value.code, caught.value.stream) == (COMPRESSION_ERROR, 0)


@given(st.one_of(st.binary(max_size=40),
                 st.binary(max_size=20).map(lambda rest: b"\x08\x03" + rest),
                 st.binary(max_size=20).map(lambda rest: b"\x48\x83" + rest)))
def test_garbage_raises_nothing_else(block):
    """And what can be decoded whole has the same status as its first bytes."""
    decoder = ResponseDecoder()
    outcomes = []
    for call in (decoder.status_of, lambda block: status_in(decode_block(block)),
                 lambda block: status_in(decoder.full(block))):
        try:
            outcomes.append(call(block))
        except Http2Error as error:
            assert error.code in (COMPRESSION_ERROR, PROTOCOL_ERROR)
            outcomes.append(None)
    if outcomes[1] is not None:
        assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_header_list_is_bounded():
    """A block of few bytes that refers to a large entry again and again, as well."""
    field = (b"x", b"a" * 3000)
    fits, encoder = ResponseDecoder(), hpack.Encoder()
    assert fits.full(encoder.encode([field] * 21, huffman=False)) == [field] * 21
    block = hpack.Encoder().encode([field] * 22, huffman=False)
    assert len(block) < 3100
    with pytest.raises(Http2Error) as caught:
        ResponseDecoder().full(block)
    assert caught.value.code == COMPRESSION_ERROR
    assert decode_block(literal_field(b"x", b"a" * 65503))
    with pytest.raises(Http2Error):
        decode_block(literal_field(b"x", b"a" * 65504))


@given(st.lists(responses, max_size=6))
def test_before_the_peer_agrees_its_table_is_followed(lists):
    """Blocks that refer to earlier ones are understood as long as all go through one decoder."""
    encoder, decoder = hpack.Encoder(), ResponseDecoder()
    for fields in lists:
        assert decoder.full(encoder.encode(fields)) == fields


def test_after_it_has_agreed_each_block_stands_alone():
    """One that refers to an earlier one is an error then."""
    encoder, decoder = hpack.Encoder(), ResponseDecoder()
    fields = [(b":status", b"410"), (b"apns-id", b"A")]
    for _ in range(2):
        block = encoder.encode(fields)
        assert decoder.full(block) == fields
    decoder.settle()
    for call in (decoder.full, decoder.status_of, decode_block):
        with pytest.raises(Http2Error) as caught:
            call(block)
        assert caught.value.code == COMPRESSION_ERROR
    encoder.header_table_size = 0
    block = encoder.encode(fields)
    assert decoder.full(block) == fields
    assert decoder.status_of(block) == 410


def test_a_peer_that_agrees_need_not_say_so_in_a_block():
    """Servers that never use a table see no reason to."""
    decoder = ResponseDecoder()
    decoder.settle()
    assert decoder.full(b"\x88") == [(b":status", b"200")]
