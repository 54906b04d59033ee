"""Header blocks of requests, as a server reads them; the library hpack writes them."""

from __future__ import absolute_import, division, print_function

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2.frames import COMPRESSION_ERROR, Http2Error
from apnsclient.protocols.http2.server_headers import RequestDecoder, response_block
from tables import each
from test_http2_server import literal

hpack = pytest.importorskip("hpack")

pytestmark = pytest.mark.timeout(240)

NAMES = st.sampled_from([b":path", b"apns-id", b"apns-topic", b"authorization", b"x-a", b"x-b"])
BLOCKS = st.lists(st.tuples(
    st.lists(st.tuples(NAMES, st.binary(max_size=80), st.integers(0, 2)), max_size=8),
    st.booleans(), st.sampled_from([None, None, 0, 60, 4096])), max_size=8)


@given(BLOCKS)
def test_blocks_are_decoded_as_hpack_encoded_them(blocks):
    """Indexed or not, never to be indexed, with Huffman's code or without, tables of any size."""
    encoder, decoder = hpack.Encoder(), RequestDecoder()
    for fields, huffman, size in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = b""
        for position, (name, value, kind) in enumerate(fields or [(b"x", b"", 0)]):
            # Kind 2 is a literal that enters no table, which the encoder has no way to ask for.
            if kind == 2 and (position or size is None):
                block += b"\0" + literal(name) + literal(value)
            else:
                block += encoder.encode([hpack.HeaderTuple(name, value) if kind == 0 else
                                         hpack.NeverIndexedHeaderTuple(name, value)], huffman)
        assert decoder.decode(block) == [
            (name, value) for name, value, _ in fields or [(b"x", b"", 0)]]


@each("octet", [b"x", b"\0"])
@each("length", [0, 1, 126, 127, 128, 129, 254, 255, 300, 20000])
def test_string_literals_have_lengths_that_hpack_reads(length, octet):
    """The length of a string takes one byte, or several."""
    block = response_block(503, [(b"apns-id", octet * length)])

    assert hpack.Decoder(1 << 20).decode(block, raw=True) == [
        (b":status", b"503"), (b"apns-id", octet * length)]
    assert RequestDecoder().decode(block) == [(b":status", b"503"), (b"apns-id", octet * length)]


@given(st.binary(max_size=60))
def test_garbage_is_decoded_as_hpack_does(block):
    """Or refused, as hpack does: the fast way accepts nothing that hpack would not."""
    try:
        expected = hpack.Decoder().decode(block, raw=True)
    except (hpack.HPACKError, ValueError, IndexError):
        expected = None
    try:
        found = RequestDecoder().decode(block)
    except Http2Error as error:
        assert error.code == COMPRESSION_ERROR
        found = None

    assert found == (expected and [(bytes(bytearray(name)), bytes(bytearray(value)))
                                   for name, value in expected]) or not expected and not found


def test_known_strings_are_kept_up_to_a_limit(monkeypatch):
    """A client that sends others again and again does not fill the memory."""
    monkeypatch.setattr("apnsclient.protocols.http2.server_headers._KNOWN_STRINGS", 10)
    decoder, encoder = RequestDecoder(), hpack.Encoder()
    for number in range(100):
        value = b"%d" % (number + 1000000)
        field = hpack.NeverIndexedHeaderTuple(b":path", value)
        assert decoder.decode(encoder.encode([field])) == [(b":path", value)]

    assert 0 < len(decoder._strings) <= 10
