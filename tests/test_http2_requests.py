"""Requests of messages, read back with ``hpack`` and with ``h2``."""

from __future__ import absolute_import, division, print_function

import binascii
import uuid

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.frames import FrameReader
from apnsclient.protocols.http2.requests import LONGEST_ALIKE, RequestEncoder, RequestTemplate
from tables import each

AUTHORITY = b"api.push.apple.com"
TOPIC = (b"apns-topic", b"com.example.app", True)
ALERT = [TOPIC, (b"apns-push-type", b"alert", True), (b"apns-priority", b"10", True)]
OWN = [(b"apns-expiration", b"1700000000", False), (b"apns-collapse-id", b"x" * 64, False)]
TOKEN = b"0123456789abcdefABCDEF" * 2 + b"00" * 10


def octets(value):
    """Return bytes, for what old versions of hpack leave as a view."""
    return value.tobytes() if isinstance(value, memoryview) else bytes(value)


class Peer(object):
    """Takes requests apart, with the library's decoder."""

    def __init__(self):
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)

    def resize(self, encoder, size):
        """Send a setting, and see it acknowledged."""
        self.decoder.max_allowed_table_size = size
        encoder.resize_table(size)

    def decode(self, block):
        return [(octets(name), octets(value))
                for name, value in self.decoder.decode(block, raw=True)]

    def read(self, data):
        """Return ``[(stream, fields, payload)]`` of whole requests, each one's frames in a row."""
        found, reader, is_end = [], FrameReader(), True
        for kind, flags, stream, payload in reader.feed(data):
            if kind == frames.HEADERS:
                assert is_end
                block, body, is_end = [], [], bool(flags & frames.END_STREAM)
                found.append((stream, block, body))
            if kind in (frames.HEADERS, frames.CONTINUATION):
                assert not flags & ~(frames.END_STREAM | frames.END_HEADERS)
                block.append(payload)
                if flags & frames.END_HEADERS:
                    block[:] = self.decode(b"".join(block))
            else:
                assert kind == frames.DATA and not is_end
                is_end = flags == frames.END_STREAM
                body.append(payload)
            assert stream == found[-1][0]
        assert reader._rest == b"" and is_end
        return [(stream, block, b"".join(body)) for stream, block, body in found]


def fields_of(template, token, authorization=None):
    """Return the fields of a request, by another way."""
    token = token if isinstance(token, bytes) else token.encode("ascii")
    shared = [] if authorization is None else [(b"authorization", authorization)]
    shared += [field[:2] for field in template.fields if field[2]]
    own = [] if template.namespace is None else [
        (b"apns-id", str(uuid.uuid5(template.namespace, str(token.lower().decode("ascii"))))
         .encode("ascii"))]
    return [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", AUTHORITY),
            (b":path", b"/3/device/" + token)] + own + shared + [
                field[:2] for field in template.fields if not field[2]]


def expected(template, tokens, first, authorization=None):
    return [(first + 2 * place, fields_of(template, token, authorization), template.payload)
            for place, token in enumerate(tokens)]


def warm(template, **options):
    """Return an encoder whose table has the fields of a template, and its peer."""
    encoder, peer = RequestEncoder(AUTHORITY), Peer()
    encoder.authorization = options.get("authorization")
    peer.read(encoder.alike(template, [TOKEN], 1))
    return encoder, peer


sizes = st.sampled_from([1, 2, 31, 32, 33, 100])
payloads = st.sampled_from([b"{}", b'{"aps":{}}', b"x" * 300, b"", b"y" * 16384])
shared = st.lists(st.tuples(
    st.sampled_from([b"apns-topic", b"apns-push-type", b"x"]),
    st.sampled_from([b"com.example.app", b"com.example.other", b"alert", b"10", b"v" * 150]),
    st.booleans()), max_size=5)
NAMESPACE = uuid.UUID("eabeae54-14a8-11e5-b60b-1697f925ec7b")
templates = st.builds(RequestTemplate, shared, payloads, st.sampled_from([None, NAMESPACE]))
bearers = st.sampled_from([None, b"bearer " + b"a" * 200, b"bearer b"])
table_sizes = st.one_of(st.integers(0, 4096), st.sampled_from([0, 60, 120, 300, 400, 65536]))


@st.composite
def alike_tokens(draw, largest=40):
    """Lists of tokens of one length and type."""
    size, count = draw(sizes), draw(st.integers(1, largest))
    seed = draw(st.integers(0, 255))
    tokens = [binascii.hexlify(bytes(bytearray((seed + place * 7 + octet) % 256
                                               for octet in range(size))))
              for place in range(count)]
    if draw(st.booleans()):
        tokens = [token.upper() for token in tokens]
    return [token.decode("ascii") for token in tokens] if draw(st.booleans()) else tokens


steps = st.lists(st.one_of(
    st.tuples(st.just("alike"), st.integers(0, 2), alike_tokens()),
    st.tuples(st.just("one"), st.integers(0, 2), alike_tokens(3)),
    st.tuples(st.just("resize"), table_sizes),
    st.tuples(st.just("authorization"), bearers),
    st.tuples(st.just("block"), shared),
), min_size=1, max_size=15)


@given(st.lists(templates, min_size=3, max_size=3), steps)
def test_the_peer_reads_what_was_meant(three, steps):
    """Whatever the size of the table, when it changes, and what else is said in between."""
    encoder, peer, stream = RequestEncoder(AUTHORITY), Peer(), 1
    for step in steps:
        if step[0] == "resize":
            peer.resize(encoder, step[1])
        elif step[0] == "authorization":
            encoder.authorization = step[1]
        elif step[0] == "block":
            assert peer.decode(encoder.block(step[1])) == [field[:2] for field in step[1]]
        else:
            template, tokens = three[step[1]], step[2]
            if step[0] == "alike":
                data = encoder.alike(template, tokens, stream)
                assert len(data) >= encoder.size(template, len(tokens[0]))
            else:
                data = b"".join(one_of(encoder, template, token, stream + 2 * place)
                                for place, token in enumerate(tokens))
            assert isinstance(data, bytes)
            assert peer.read(data) == expected(template, tokens, stream, encoder.authorization)
            stream += 2 * len(tokens)


def one_of(encoder, template, token, stream):
    """Return one whole request."""
    token = token if isinstance(token, bytes) else token.encode("ascii")
    if len(token) % 4:
        return encoder.one(template, token, stream, has_data=True)
    header = encoder.one(template, token, stream)
    payload = template.payload
    return header + (frames.data_frames(stream, payload, True) if payload else b"")


@each("first", [
    1, 127, 249, 255, 65535 - 200, 65535, (1 << 24) - 301, (1 << 24) - 1, (1 << 31) - 801])
def test_streams_are_numbered_across_every_carry(first):
    """Each octet of the number is laid over the requests by itself."""
    template = RequestTemplate(ALERT, b"{}")
    encoder, peer = warm(template)
    tokens = [TOKEN] * 400
    data = encoder.alike(template, tokens, first)
    assert peer.read(data) == expected(template, tokens, first)


@pytest.mark.parametrize("namespace", [None, NAMESPACE])
@pytest.mark.parametrize("payload", [b"{}", b"", b"x" * 16384])
def test_a_request_has_its_exact_size(payload, namespace):
    """Once the fields are in the table, chunks can be cut to size."""
    template = RequestTemplate(ALERT + OWN, payload, namespace)
    encoder, _ = warm(template, authorization=b"bearer abc")
    for token in (TOKEN, b"ab", b"00" * 100):
        data = encoder.alike(template, [token] * 3, 3)
        assert len(data) == 3 * encoder.size(template, len(token))
    # What is foretold of a connection that has sent nothing is not far from it.
    first = RequestEncoder(AUTHORITY).size(template, len(TOKEN))
    assert abs(first - encoder.size(template, len(TOKEN))) < 8


def test_warm_requests_refer_to_the_table():
    """What they share takes a byte for each field, and the token most of the rest."""
    template = RequestTemplate(ALERT, b"{}")
    encoder, _ = warm(template, authorization=b"bearer " + b"a" * 200)
    rest = 9 + 2 + len(b"\x04\x4a/3/device/") + len(TOKEN) + 3 + 1 + len(ALERT) + 9
    assert encoder.size(template, len(TOKEN)) == rest
    assert len(encoder.one(template, TOKEN, 3)) == rest - 9 - 2


def test_a_message_of_its_own_adds_nothing_to_the_table():
    """Messages to one token each have fields of their own, and share the others."""
    encoder, peer = warm(RequestTemplate(ALERT, b"{}"))
    table = list(peer.decoder.header_table.dynamic_entries)
    for number in range(300):
        own = [(b"apns-id", b"%d" % number, False)]
        template = RequestTemplate(ALERT + own, b"{%d}" % number)
        data = encoder.one(template, TOKEN, 3, has_data=True)
        assert peer.read(data) == expected(template, [TOKEN], 3)
    assert list(peer.decoder.header_table.dynamic_entries) == table


def test_many_topics_are_not_remembered_for_ever():
    """The blocks that are kept are bounded, and so is what they are kept for."""
    encoder, peer = warm(RequestTemplate(ALERT, b"{}"))
    for number in range(1000):
        # The table does not change, and with it not what is kept: these have no place in it.
        template = RequestTemplate([(b"apns-topic", b"t" * 5000 + b"%d" % number, True)], b"{}")
        assert peer.read(encoder.one(template, TOKEN, 3, has_data=True)) == expected(
            template, [TOKEN], 3)
        assert len(encoder._forms) <= 256


def test_alternating_messages_do_not_disturb_each_other():
    """As long as the table has room for both, none of them is spelt out again."""
    first, second = RequestTemplate(ALERT, b"1"), RequestTemplate([TOPIC] + OWN, b"2")
    encoder, peer = warm(first)
    peer.read(encoder.alike(second, [TOKEN], 3))
    for template in (first, second) * 3:
        data = encoder.alike(template, [TOKEN] * 20, 5)
        assert len(data) == 20 * encoder.size(template, len(TOKEN))
        assert peer.read(data) == expected(template, [TOKEN] * 20, 5)


def test_messages_with_the_same_fields_keep_their_payloads():
    """Also where the fields are one and the same list."""
    encoder, peer = warm(RequestTemplate(ALERT, b"{}"))
    for payload in (b"1", b"2", b"", b"4"):
        template = RequestTemplate(ALERT, payload)
        data = encoder.alike(template, [TOKEN] * 3, 3)
        assert peer.read(data) == expected(template, [TOKEN] * 3, 3)


BAD = [
    [], [b""], [u""], [None], [5], [b"a"], [u"abc"], [b"zz"], [u"zz"], [u"\xe9\xe9"],
    [u"\uff11\uff12"], [b"a b c "], [b"ab", None], [b"ab", 5], [b"ab", u"cd"], [u"ab", b"\xff\xff"],
    [b"ab", b"abcd"], [b"abcd", b"ab"], [b"abcd", b"ab", b"abcdef"], [b"ab", b"a b"],
    [b"abcd", b"ab d"], [u"abcd", u"ab d"], [b"abcd", b"abc", b"abcde"], [b"ab cd", b"abcde"],
    [b"abcd", b" bcd"], [b"ab", b"a\n"], [b"ab", bytearray(b"ab")], [bytearray(b"ab")],
    [b"ab", b"+1"], [b"ab", b"0x"], [u"ab", u"\u0661\u0662"], [b"ab", b"", b"abcd"],
]


@each("tokens", BAD)
def test_tokens_that_are_not_alike_are_refused_and_change_nothing(tokens):
    """One type, one even length, all hexadecimal; else it is None, and the table as before."""
    template = RequestTemplate(ALERT, b"{}")
    for encoder, peer in ((RequestEncoder(AUTHORITY), Peer()), warm(template)):
        if len(tokens) > 1 and tokens[1] == b"cd" and str is bytes:
            continue
        assert encoder.alike(template, tokens, 1) is None
        data = encoder.alike(template, [TOKEN] * 2, 3)
        assert peer.read(data) == expected(template, [TOKEN] * 2, 3)


@given(st.lists(st.one_of(st.text(u"abF09 g", max_size=6), st.binary(max_size=4)), min_size=1,
                max_size=6))
def test_alike_is_what_the_definition_says(tokens):
    """Compared token by token."""
    texts = [token.decode("latin-1") if isinstance(token, bytes) else token for token in tokens]
    is_alike = (len(set(map(type, tokens))) == 1 and len(set(map(len, texts))) == 1
                and len(texts[0]) % 2 == 0 and texts[0] != u""
                and set(u"".join(texts)) <= set(u"0123456789abcdefABCDEF"))
    template, encoder = RequestTemplate([], b"{}"), RequestEncoder(AUTHORITY)
    data = encoder.alike(template, tokens, 1)
    assert (data is not None) == is_alike
    if is_alike:
        assert Peer().read(data) == expected(template, tokens, 1)


@pytest.mark.parametrize("fields, payload, digits", [
    ([(b"x", b"y" * 16384, False)], b"{}", 64), ([(b"x", b"y" * 16384, True)], b"{}", 64),
    (ALERT, b"{}", 16384), (ALERT, b"{}", 131070), (ALERT, b"x" * 16385, 64),
])
def test_what_takes_more_than_one_frame_is_made_one_by_one(fields, payload, digits):
    """With CONTINUATION frames where the header is long."""
    template, token = RequestTemplate(fields, payload), b"a" * digits
    for encoder, peer in ((RequestEncoder(AUTHORITY), Peer()), warm(RequestTemplate(ALERT, b""))):
        for stream in (3, 5, 7):
            assert encoder.alike(template, [token], stream) is None
            data = encoder.one(template, token, stream, has_data=True)
            assert peer.read(data) == expected(template, [token], stream)


def test_the_frame_size_of_the_peer_is_kept():
    """Header and payload are cut into frames of that size, and say the same."""
    template = RequestTemplate(ALERT, b"p" * 250)
    encoder, peer = RequestEncoder(AUTHORITY), Peer()
    data = encoder.one(template, TOKEN, 1, 100, True)
    assert max(len(payload) for _, _, _, payload in FrameReader().feed(data)) == 100
    assert peer.read(data) == expected(template, [TOKEN], 1)


def test_another_authorization_holds_from_the_next_request_on():
    """A new provider token, none, and one that was used before."""
    template = RequestTemplate(ALERT, b"{}")
    encoder, peer = warm(template, authorization=b"bearer 1")
    for value in (b"bearer 1", b"bearer 2", None, b"bearer 1"):
        encoder.authorization = value
        assert encoder.authorization == value
        data = encoder.alike(template, [TOKEN] * 3, 3)
        assert peer.read(data) == expected(template, [TOKEN] * 3, 3, value)


def test_a_table_too_small_for_two_fields_keeps_one():
    """The requests behind the first do not count on what it drove out of the table."""
    template = RequestTemplate(ALERT, b"{}")
    for size in range(330):
        encoder, peer = RequestEncoder(AUTHORITY), Peer()
        peer.resize(encoder, size)
        for stream in (1, 9):
            data = encoder.alike(template, [TOKEN] * 4, stream)
            assert peer.read(data) == expected(template, [TOKEN] * 4, stream)
        assert len(data) == 4 * encoder.size(template, len(TOKEN))


def new_server():
    """Return a server's side of h2 that has heard the client's first words."""
    server = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding=None))
    server.initiate_connection()
    server.receive_data(frames.PREFACE + frames.settings_frame([]) + frames.SETTINGS_ACK
                        + frames.window_update(0, 1 << 20))
    server.clear_outbound_data_buffer()
    return server


def requests_in(server, data):
    """Return ``[(stream, fields, payload)]`` that h2 makes of bytes; let go of the streams."""
    found, bodies = [], {}
    for event in server.receive_data(data):
        if isinstance(event, h2.events.RequestReceived):
            bodies[event.stream_id] = b""
            found.append((event.stream_id, [(bytes(name), bytes(value))
                                            for name, value in event.headers]))
        elif isinstance(event, h2.events.DataReceived):
            bodies[event.stream_id] += event.data
            server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            server.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
    server.clear_outbound_data_buffer()
    return [(stream, fields, bodies[stream]) for stream, fields in found]


@each("size", [None, 0, 50, 64, 200, 300, 4096, 65536])
def test_h2_accepts_the_requests(size):
    """With each size of the table, which changes while the connection is in use."""
    encoder, server, stream = RequestEncoder(AUTHORITY), new_server(), 1
    encoder.authorization = b"bearer " + b"a" * 100
    made = [RequestTemplate(ALERT, b"{}"), RequestTemplate(ALERT + OWN, b"x" * 300),
            RequestTemplate([TOPIC], b"")]
    for number in range(3):
        for template in made:
            tokens = [TOKEN[number:] + TOKEN[:number]] * 7
            data = encoder.alike(template, tokens, stream)
            assert requests_in(server, data) == expected(
                template, tokens, stream, encoder.authorization)
            stream += 2 * len(tokens)
        if size is not None and number == 0:
            server.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
            server.receive_data(frames.SETTINGS_ACK)
            encoder.resize_table(size)


def each_of(encoder, made, tokens, stream):
    """Return requests made at once and one by one, of a warm encoder that both leave as it was."""
    together = encoder.each(made, tokens, stream)
    singly = b"".join(
        encoder.one(template, token if isinstance(token, bytes) else token.encode("ascii"),
                    stream + 2 * place, has_data=True)
        for place, (template, token) in enumerate(zip(made, tokens)))
    return together, singly


#: Header fields of a message, among which some are shared with others.
VOIP = [(b"apns-topic", b"com.example.app.voip", True), (b"apns-push-type", b"voip", True)]
kinds = st.sampled_from([ALERT, ALERT, ALERT + OWN, ALERT + OWN[1:], VOIP, VOIP + OWN, [],
                         ALERT + [(b"apns-collapse-id", b"y" * 300, False)]])


@given(alike_tokens(), st.lists(st.binary(min_size=1, max_size=300), min_size=40, max_size=40),
       st.lists(kinds, min_size=1, max_size=40), st.sampled_from([1, 3, 0x7FFF0001]), bearers,
       st.sampled_from([None, NAMESPACE]), st.one_of(st.just(4096), st.integers(0, 4096)))
def test_payloads_and_fields_of_their_own_make_the_same_requests(
        tokens, bodies, kinds, stream, authorization, namespace, size):
    """As if they were made one by one, whatever their sizes and the first stream."""
    encoder, peer = RequestEncoder(AUTHORITY), Peer()
    encoder.authorization = authorization
    peer.resize(encoder, size)
    made = [RequestTemplate(kinds[place % len(kinds)], bodies[place], namespace)
            for place in range(len(tokens))]
    # Whatever is put into the table changes how the others refer to it.
    for template in made * 2:
        peer.read(encoder.alike(template, [TOKEN] * 3, 1))
    together, singly = each_of(encoder, made, tokens, stream)
    if size < 1024 and together is None:
        # There is no room in the table for the fields of all of them.
        return
    assert together == singly
    longest = max(map(encoder.list_size, made)) + LONGEST_ALIKE
    assert encoder.each(made, tokens, stream, longest) == together
    assert encoder.each(made, tokens, stream, longest - 1) is None
    assert peer.read(together) == [
        (stream + 2 * place, fields_of(template, token, authorization), template.payload)
        for place, (template, token) in enumerate(zip(made, tokens))]


@each("change", [
    "cold", "fields", "empty", "long payload", "long header", "long header of one", "odd",
    "not hexadecimal", "shorter", "mixed types", "resized", "namespace", "nothing"])
def test_what_is_not_alike_is_left_to_be_made_one_by_one(change):
    """And the table of the header fields is what it was."""
    fields = ALERT + ([(b"apns-id", b"x" * 16384, False)] if change == "long header" else [])
    encoder, peer = RequestEncoder(AUTHORITY), Peer()
    # The second request is the first that refers to the table alone, and is remembered.
    for _ in range(0 if change == "cold" else 2):
        peer.read(encoder.one(RequestTemplate(fields, b"{}"), TOKEN, 1, has_data=True))
    bodies = [b"1", b"" if change == "empty" else b"22" * (
        8193 if change == "long payload" else 1), b"3"]
    made = [RequestTemplate(fields, body) for body in bodies]
    tokens = [TOKEN, TOKEN, TOKEN]
    if change == "fields":
        made[1] = RequestTemplate([TOPIC], b"22")
    elif change == "long header of one":
        made[1] = RequestTemplate(fields + [(b"apns-id", b"x" * 16384, False)], b"22")
    elif change == "namespace":
        made[1] = RequestTemplate(fields, b"22", NAMESPACE)
    elif change == "resized":
        peer.resize(encoder, 100)
    elif change in ("odd", "not hexadecimal", "shorter", "mixed types"):
        tokens[1] = {"odd": TOKEN[1:], "not hexadecimal": b"xy" + TOKEN[2:], "shorter": TOKEN[2:],
                     "mixed types": TOKEN.decode("ascii") if str is not bytes
                     else TOKEN + b"ab"}[change]
    assert (encoder.each(made, tokens, 1) is None) == (change != "nothing")
    alike = [RequestTemplate(fields, b"{}")]
    assert peer.read(encoder.one(alike[0], TOKEN, 1, has_data=True)) == expected(
        alike[0], [TOKEN], 1)
