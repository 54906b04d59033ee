"""A read full of responses with status 200 is taken by the row, and nothing comes of it but speed.

What a server sends is rows of responses of one shape, with everything else in between that it may
send, and some that it may not. One client gets that in reads that end anywhere, the other one gets
it frame by frame and decodes each: both have to come to the same.
"""

from __future__ import absolute_import, division, print_function

import random
import uuid

import hpack
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.events import Response
from apnsclient.protocols.http2.frames import frame
from apnsclient.protocols.http2.headers import decode_block, literal_field
from effort import examples
from http2_support import OK, headers, new_client, response, start, status_block
from tables import each

#: How many requests each batch has. Those of the last one are cancelled before the server responds.
SIZES = [60, 1, 1, 150, 20]


def identifier(number):
    """Return a UUID, the same one for the same number."""
    return str(uuid.UUID(int=random.Random(number).getrandbits(128))).encode("ascii")


def with_huffman(number):
    """Return a block in Huffman's code: its length depends on the identifier."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode([(":status", "200"), ("apns-id", identifier(number))])


#: Blocks with status 200, by number.
SHAPES = {
    "status alone": lambda number: OK,
    "identifier": lambda number: OK + literal_field(b"apns-id", identifier(number)),
    "upper case": lambda number: OK + literal_field(b"apns-id", identifier(number).upper()),
    "never indexed": lambda number: OK + b"\x10\x07apns-id\x24" + identifier(number),
    "two identifiers": lambda number: OK + literal_field(
        b"apns-id", identifier(number)) + literal_field(b"apns-unique-id", identifier(-number)),
    "two lengths": lambda number: OK + literal_field(
        b"apns-id", identifier(number)[:30 + 6 * (number // 2 % 2)]),
    "Huffman": with_huffman,
    "field of the table behind": lambda number: OK + literal_field(
        b"apns-id", identifier(number)) + b"\x90",
    "status spelt out": lambda number: status_block(200) + literal_field(
        b"apns-id", identifier(number)),
}
#: What else may come on a stream that is open, in the place of a response of a shape.
OTHERS = {
    "failure": lambda stream, block: response(stream, 410, b'{"reason":"Unregistered"}'),
    "body in two frames": lambda stream, block: headers(stream, status_block(400), False) + frame(
        frames.DATA, 0, stream, b"{") + frame(frames.DATA, 1, stream, b"}"),
    "body that is empty": lambda stream, block: headers(stream, block, False) + frame(
        frames.DATA, 1, stream),
    "body that does not come": lambda stream, block: headers(stream, block, False),
    "trailers with a status": lambda stream, block: headers(stream, block, False) + headers(
        stream, block),
    "end that does not come": lambda stream, block: frame(frames.HEADERS, 1, stream, block),
    "padding": lambda stream, block: frame(frames.HEADERS, 0x0D, stream, b"\1" + block + b"\0"),
    "two frames for one block": lambda stream, block: frame(
        frames.HEADERS, 1, stream, block[:-1]) + frame(
            frames.CONTINUATION, 4, stream, block[-1:]),
    "reserved bit": lambda stream, block: headers(stream | 1 << 31, block),
    "two statuses": lambda stream, block: headers(stream, block.replace(b"apns-id", b":status")),
    "pseudo-header field": lambda stream, block: headers(
        stream, block.replace(b"apns-unique", b":pns-unique")),
    "shorter value": lambda stream, block: headers(
        stream, block[:-37] + b"\x23" + block[-36:-1] + b"\x90"),
    "frame of unknown type": lambda stream, block: frame(0xFF, 5, stream, block),
    "DATA": lambda stream, block: frame(frames.DATA, 5, stream, block),
    "reset": lambda stream, block: frames.rst_stream(stream, frames.REFUSED_STREAM),
    "response and reset": lambda stream, block: headers(stream, block) + frames.rst_stream(
        stream, 0),
}
#: What may come at any time.
CHATTER = {
    "ping": frames.ping(b"12345678"), "window": frames.window_update(0, 1),
    "settings": frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 500)]),
    "goaway": frames.goaway(201, 0),
}
#: Streams that are not open, and may get a response all the same or not.
STRANGE = {"ended": 1, "even": 2, "never opened": 99999, "the connection": 0}
BETWEEN = sorted(SHAPES) + sorted(OTHERS) + sorted(CHATTER) + sorted(STRANGE) + ["cancelled"]
LAST = 2 * sum(SIZES) - 1
CANCELLED = range(LAST - 2 * SIZES[-1] + 2, LAST + 1, 2)


class Server(object):
    """Says what comes in which frame.

    :param shape: name of the shape that most responses have.
    :param order: puts the streams into the order of their responses, or None (``random.Random``).
    """

    def __init__(self, shape, order):
        self._shape = shape
        self._cancelled = list(CANCELLED)
        self._open = list(range(3, CANCELLED[0], 2))
        if order is not None:
            order.shuffle(self._open)

    def say(self, kind):
        """Return the bytes that are meant, none if there is no stream left for them."""
        if kind in CHATTER:
            return CHATTER[kind]
        if kind in STRANGE:
            return headers(STRANGE[kind], SHAPES[self._shape](STRANGE[kind]))
        streams = self._cancelled if kind == "cancelled" else self._open
        if not streams:
            return b""
        stream = streams.pop(0)
        if kind in OTHERS:
            return OTHERS[kind](stream, SHAPES[self._shape](stream))
        return headers(stream, SHAPES[kind if kind in SHAPES else self._shape](stream))

    def pieces(self, steps):
        """Return the bytes of a row for each step, with something else behind it."""
        pieces = [headers(1, SHAPES[self._shape](1))]
        for count, kind, times in steps:
            pieces += [self.say(self._shape) for _ in range(count)]
            pieces += [self.say(kind) for _ in range(times)]
        return pieces


def plain(event):
    """Return an event as a tuple, with the fields of its header."""
    if not isinstance(event, Response):
        return event[1:]
    fields = event.block if isinstance(event.block, list) else decode_block(event.block)
    return (event.batch.index_of(event.stream), event.stream, event.status, fields, event.body,
            event.is_cut_off)


def play(reads, keeps, is_settled):
    """Return all that comes of what a client receives."""
    client = new_client(is_settled=is_settled)
    client.keep_responses(keeps)
    batches = [start(client, size)[0] for size in SIZES]
    assert len(client.cancel(batches[-1])) == SIZES[-1]
    client.output()
    events = []
    for read in reads:
        events += map(plain, client.receive(read))
        assert sum(batch.left for batch in batches) == client.in_flight
    return (events, client.accepted, client.response_count, [batch.left for batch in batches],
            client.output(), client.error and client.error.code,
            [(stream, is_whole) for _, stream, is_whole in client.abandon()])


#: How many there are of the same.
MANY, FEW = st.sampled_from([20, 1, 17, 40, 90]), st.sampled_from([1, 2, 5])


@given(st.sampled_from(sorted(SHAPES)),
       st.lists(st.tuples(MANY, st.sampled_from(BETWEEN), FEW), min_size=1, max_size=8),
       st.one_of(st.none(), st.randoms()),
       st.lists(st.integers(0, 6000), max_size=3), st.booleans())
@examples(60)
def test_rows_come_to_what_decoding_each_response_comes_to(shape, steps, order, cuts, keeps):
    """Whatever shapes there are, what comes in between, and where a read ends."""
    pieces = Server(shape, order).pieces(steps)
    data = b"".join(pieces[1:])
    places = sorted([0, len(data)] + [min(cut, len(data)) for cut in cuts])
    reads = [pieces[0]] + [data[begin:end] for begin, end in zip(places, places[1:])]
    assert play(reads, keeps, True) == play(pieces, keeps, False)


@each("kind", sorted(BETWEEN))
def test_nothing_hides_in_a_row(kind):
    """What looks much like a response of the row, alone and often, is what it is all the same."""
    for shape, keeps in ("identifier", True), ("two identifiers", False):
        pieces = Server(shape, None).pieces([(30, kind, 1), (20, kind, 19)])
        reads = [pieces[0], b"".join(pieces[1:])]
        assert play(reads, keeps, True) == play(pieces, keeps, False)


@each("keeps", [False, True])
@each("kind", sorted(set(SHAPES) - {"two lengths", "Huffman"}))
def test_a_read_full_of_one_shape_is_taken_at_once(kind, keeps):
    """Also behind the last part of another response, and before the first part of the next."""
    client = new_client()
    client.keep_responses(keeps)
    one, many = start(client, 1)[0], start(client, 151)[0]
    client.receive(headers(1, SHAPES[kind](1)))
    taken = [headers(stream, SHAPES[kind](stream)) for stream in range(3, 305, 2)]
    client.receive(taken[0][:5])
    # Neither frame by frame, nor one response after the other.
    client._receive_frame = client._receive_common = None
    client._decoder.end_accepted = lambda data, position, streams, kept: (0, position)
    events = client.receive(b"".join(taken)[5:-3])
    assert (one.left, many.left, client.accepted) == (0, 1, 151)
    assert events == [(many, stream, 200, SHAPES[kind](stream), b"", False)
                      for stream in range(3, 303, 2) if keeps]
