"""How fast a message for many tokens is serialised and sent over the binary protocol.

    python tests/benchmarks/bench_binary.py [--tokens N] [--messages N] [--rounds N]
                                            [--sink HOST:PORT] [--json]

Serialisation: Message.batch(). Two references, both in this file: the straightforward way, which
packs each notification with struct in a Python loop, and the fastest way to use struct, in which
map() drives one Struct.pack whose arguments are the constant parts.

Sending: APNs.send() over TLS to a sink in another process. The reference writes the same bytes,
serialised beforehand and cut into the same chunks, through pyOpenSSL over a blocking socket. Both
count from the first chunk to the last one's being handed to the kernel, over a connection that is
open and has been used: what is measured last is the look for an answer that has come already,
because read_tail_timeout is 0. With any other value a send takes that much longer, however many
tokens it has.

Many messages: APNs.send_many(), each to one token and with a payload of its own, made beforehand.
The reference turns the same payloads into JSON, packs each notification with struct in the loop,
and writes chunks of the same size through pyOpenSSL. Both in processor time of this process.

The sink that is started here is written in Python, and can be what limits the larger chunks. With
--sink any other TLS server that reads and drops will do; its certificate is not verified. Such as
this one, with a certificate and a key of your own:

    openssl s_server -accept 12195 -cert server.pem -key server.pem -quiet > /dev/null

Keep it off the first core, where this process runs.
"""

from __future__ import absolute_import, division, print_function

import binascii
import contextlib
import itertools
import json
import struct
import time

from bench_support import (
    EXPIRY,
    SIZES,
    Plain,
    Report,
    Server,
    compare,
    host_and_port,
    in_turns,
    median,
    new_message,
    new_parser,
    new_tokens,
    pin,
    timed,
)
from six.moves import map, range

# isort: split
from apnsclient import APNs, Message, Session

#: Of this process alone, whatever else the machine does (seconds).
processor_time = getattr(time, "process_time", None) or time.clock


def pack_in_loop(tokens, payload, chunk_size, first=0):
    """Yield chunks of frames: each notification packed on its own."""
    chunk, size = [], 0
    for identifier, token in enumerate(tokens, first):
        items = struct.pack(">BH32sBH%dsBHIBHIBHB" % len(payload),
                            1, 32, binascii.unhexlify(token), 2, len(payload), payload,
                            3, 4, identifier, 4, 4, EXPIRY, 5, 1, 10)
        frame = struct.pack(">BI", 2, len(items)) + items
        chunk.append(frame)
        size += len(frame)
        if size >= chunk_size:
            yield b"".join(chunk)
            chunk, size = [], 0
    if chunk:
        yield b"".join(chunk)


def pack_by_map(tokens, payload, chunk_size):
    """Yield chunks of frames: one Struct, whose constant arguments are packed once."""
    middle = struct.pack(">BH%dsBH" % len(payload), 2, len(payload), payload, 3, 4)
    tail = struct.pack(">BHIBHB", 4, 4, EXPIRY, 5, 1, 10)
    head = struct.pack(">BIBH", 2, 3 + 32 + len(middle) + 4 + len(tail), 1, 32)
    frame = struct.Struct(">%ds32s%dsI%ds" % (len(head), len(middle), len(tail)))
    per_chunk = -(-chunk_size // frame.size)
    heads, middles, tails = map(itertools.repeat, (head, middle, tail))
    for start in range(0, len(tokens), per_chunk):
        part = tokens[start:start + per_chunk]
        yield b"".join(map(frame.pack, heads, map(binascii.unhexlify, part), middles,
                           range(start, start + len(part)), tails))


def exhaust(chunks):
    for _ in chunks:
        pass


def serialise(rounds, tokens, size):
    """Return the seconds that each way took in each round."""
    message = new_message(tokens)
    payload = message.get_json_payload()
    expected = b"".join(chunk for _, chunk in message.batch(size))
    for pack in (pack_in_loop, pack_by_map):
        assert b"".join(pack(tokens, payload, size)) == expected, pack
    return in_turns(rounds, [
        ("ours", lambda: timed(lambda: exhaust(message.batch(size)))),
        ("loop", lambda: timed(lambda: exhaust(pack_in_loop(tokens, payload, size)))),
        ("map", lambda: timed(lambda: exhaust(pack_by_map(tokens, payload, size))))])


def measure_serialisation(report, rounds, tokens):
    rows = []
    for size in SIZES:
        figures = serialise(rounds, tokens, size)
        rates = [len(tokens) / median(figures[name]) / 1e6 for name in ("ours", "loop", "map")]
        rows.append([str(size)] + rates + compare(figures["ours"], figures["loop"])
                    + compare(figures["ours"], figures["map"]))
    report.table(
        "serialisation", "Serialisation of %d tokens, millions a second (medians), and ratios by "
        "medians and by best rounds" % len(tokens),
        ["packet size", "ours", "loop", "map", "ours : loop", "loop, best", "ours : map",
         "map, best"], rows)


def pack_messages(messages, chunk_size):
    """Yield chunks of frames of messages to one token each, packed on their own."""
    chunk, size = [], 0
    for identifier, message in enumerate(messages):
        payload = json.dumps(message.payload, separators=(",", ":")).encode("utf-8")
        frame = next(pack_in_loop(message.tokens, payload, 1, identifier + 1))
        chunk.append(frame)
        size += len(frame)
        if size >= chunk_size:
            yield b"".join(chunk)
            chunk, size = [], 0
    yield b"".join(chunk)


class Many(object):
    """Sends many messages over a connection that is open.

    :param sending: :class:`Sending` of the same size.
    :param is_at_hand: whether they are a list, and not what a generator yields one by one.
    """

    def __init__(self, sending, messages, is_at_hand):
        self._sending = sending
        self._messages = messages
        self._is_at_hand = is_at_hand

    def ours(self):
        messages = self._messages if self._is_at_hand else iter(self._messages)
        with self._sending.session() as apns:
            begin = processor_time()
            for result in apns.send_many(messages):
                assert not (result.needs_retry() or result.failed or result.errors), result
            return processor_time() - begin

    def straightforward(self):
        with self._sending.plain() as connection:
            begin = processor_time()
            for chunk in pack_messages(self._messages, self._sending.size):
                connection.sendall(chunk)
            return processor_time() - begin


class Sending(object):
    """Sends one message over a fresh connection each time.

    :param server: Server, for its certificates.
    :param address: of the sink, another than the server's if it is not None.
    """

    def __init__(self, server, address, message, size):
        # Another sink has a certificate that we know nothing of.
        trust = {"verify": False} if address else {"ca_string": server.ca_string}
        self.size = size
        self._session = Session(write_buffer_size=size, read_tail_timeout=0, **trust)
        self._address = address or server.sink
        self._plain = Plain(server.cert_string, self._address)
        self._certificate = server.cert_string
        self._message = message
        self._first = message.with_tokens(message.tokens[:100])
        self._chunks = [chunk for _, chunk in message.batch(size)]

    @contextlib.contextmanager
    def session(self):
        """Yield an APNs whose connection is open, and was used."""
        apns = APNs(self._session.get_connection(self._address, cert_string=self._certificate))
        assert not apns.send(self._first).needs_retry()
        yield apns
        self._session.shutdown()

    @contextlib.contextmanager
    def plain(self):
        """Yield the same of pyOpenSSL."""
        connection = self._plain.connect()
        for _, chunk in self._first.batch(65536):
            connection.sendall(chunk)
        yield connection
        self._plain.close(connection)

    def ours(self):
        results = []
        with self.session() as apns:
            seconds = timed(lambda: results.append(apns.send(self._message)))
        for result in results:
            assert not (result.needs_retry() or result.failed or result.errors), result
        return seconds

    def beforehand(self):
        chunks = self._chunks
        with self.plain() as connection:
            write = connection.sendall

            def write_all():
                for chunk in chunks:
                    write(chunk)

            return timed(write_all)


def measure_sending(report, rounds, tokens, address):
    message = new_message(tokens)
    with Server() as server:
        sendings = [(size, Sending(server, address, message, size)) for size in SIZES]
        candidates = []
        for size, sending in sendings:
            candidates += [(("ours", size), sending.ours), (("limit", size), sending.beforehand)]
        figures = in_turns(rounds, candidates)
    rows = []
    for size in SIZES:
        ours, limit = figures["ours", size], figures["limit", size]
        rows.append([str(size)] + [len(tokens) / median(part) / 1e6 for part in (ours, limit)]
                    + compare(ours, limit))
    report.table("sending", "Sending to %d tokens over TLS, millions a second (medians), and the "
                 "ratio by medians and by best rounds" % len(tokens),
                 ["write_buffer_size", "send()", "beforehand", "ours : beforehand", "best"], rows)


def measure_many(report, rounds, tokens, address):
    messages = [Message([token], alert="Hello, this is number %d" % number, badge=1, expiry=EXPIRY)
                for number, token in enumerate(tokens)]
    candidates = []
    with Server() as server:
        for size in SIZES:
            sending = Sending(server, address, new_message(tokens), size)
            for name, is_at_hand in (("list", True), ("generator", False)):
                candidates.append(((name, size), Many(sending, messages, is_at_hand).ours))
            candidates.append((("loop", size), Many(sending, messages, True).straightforward))
        figures = in_turns(rounds, candidates)
    rows = []
    for size in SIZES:
        ways = [figures[name, size] for name in ("list", "generator", "loop")]
        rows.append([str(size)] + [median(way) / len(tokens) * 1e6 for way in ways]
                    + compare(ways[0], ways[2]))
    report.table("many", "Sending %d messages to one token each, microseconds of processor time "
                 "for each (medians), and the ratio by medians and by best rounds" % len(tokens),
                 ["write_buffer_size", "list", "generator", "loop", "list : loop", "best"], rows)


def main():
    parser = new_parser(__doc__, rounds=15)
    parser.add_argument("--tokens", type=int, default=100000)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--sink", type=host_and_port, metavar="HOST:PORT",
                        help="a TLS server that reads and drops, instead of our own")
    options = parser.parse_args()
    pin(0)
    report = Report(options)
    tokens = new_tokens(options.tokens)
    measure_serialisation(report, options.rounds, tokens)
    measure_sending(report, options.rounds, tokens, options.sink)
    measure_many(report, options.rounds, new_tokens(options.messages), options.sink)
    report.finish(
        "The references run in the same process, in turns: pack_in_loop, pack_by_map, "
        "pack_messages and\nSending.beforehand in this file. The sink was %s."
        % ("%s:%d" % options.sink if options.sink else
           "our own, in Python, which can limit the larger sizes; see --help about --sink"))


if __name__ == "__main__":
    main()
