"""How fast the feedback service is read.

    python tests/benchmarks/bench_feedback.py [--rows N] [--rounds N] [--json]

Parsing: bytes in, (timestamp, hexadecimal token) out, in pieces as read_buffer_size cuts them. Two
references, both in this file: the straightforward way, which unpacks row by row, and the fastest
way to use struct, Struct.iter_unpack (Python 3), which takes nothing but tokens of 32 bytes.

Reading: APNs.feedback() over TLS from a server in another process, with everything that belongs to
it: connecting, the datetime of each row, closing. The reference does the same through pyOpenSSL
over a blocking socket, with the row by row reference as its parser.
"""

from __future__ import absolute_import, division, print_function

import struct
from binascii import hexlify
from datetime import datetime

from bench_support import (
    EXPIRY,
    SIZES,
    SSL,
    Plain,
    Report,
    Server,
    compare,
    in_turns,
    median,
    new_parser,
    pin,
    timed,
)
from six.moves import range

# isort: split
from apnsclient import APNs, Session
from apnsclient.protocols.feedback import FeedbackParser

HEAD = struct.Struct(">IH")
ROW = struct.Struct(">IH32s")


def rows_in_loop(pieces):
    """Yield rows, each unpacked on its own."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        place = 0
        while place + HEAD.size <= len(buffer):
            timestamp, size = HEAD.unpack_from(buffer, place)
            end = place + HEAD.size + size
            if end > len(buffer):
                break
            yield timestamp, hexlify(buffer[place + HEAD.size:end])
            place = end
        buffer = buffer[place:]


def rows_by_iter_unpack(pieces):
    """Yield rows, all of which must have tokens of 32 bytes."""
    buffer = b""
    for piece in pieces:
        buffer += piece
        end = len(buffer) // ROW.size * ROW.size
        for timestamp, _, token in ROW.iter_unpack(buffer[:end]):
            yield timestamp, hexlify(token)
        buffer = buffer[end:]


def rows_of_ours(pieces):
    feed = FeedbackParser().feed
    for piece in pieces:
        for row in feed(piece):
            yield row


def exhaust(rows):
    for _ in rows:
        pass


def new_stream(count):
    return b"".join(ROW.pack(EXPIRY - index, 32, struct.pack(">I", index) * 8)
                    for index in range(count))


def cut(data, size):
    return [data[start:start + size] for start in range(0, len(data), size)]


def measure_parsing(report, rounds, count):
    stream = new_stream(count)
    names = ["ours", "loop"]
    readers = {"ours": rows_of_ours, "loop": rows_in_loop}
    if hasattr(ROW, "iter_unpack"):
        names.append("iter_unpack")
        readers["iter_unpack"] = rows_by_iter_unpack
    heads = ["piece", "ours", "loop", "ours : loop", "loop, best"]
    if len(names) > 2:
        heads += ["iter_unpack", "ours : iter_unpack", "iter_unpack, best"]
    table = []
    for size in SIZES:
        pieces = cut(stream, size)
        expected = list(rows_in_loop(pieces))
        assert all(list(readers[name](pieces)) == expected for name in names)
        figures = in_turns(rounds, [
            (name, lambda read=readers[name]: timed(lambda: exhaust(read(pieces))))
            for name in names])
        rates = dict((name, count / median(figures[name]) / 1e6) for name in names)
        row = [str(size), rates["ours"]]
        for name in names[1:]:
            row += [rates[name]] + compare(figures["ours"], figures[name])
        table.append(row)
    report.table("parsing", "Parsing %d rows of feedback, millions a second (medians), and ratios "
                 "by medians and by best rounds" % count, heads, table)


def read_plainly(plain, size):
    """Yield what APNs.feedback() yields, by the straightforward way."""
    connection = plain.connect()

    def pieces():
        try:
            while True:
                piece = connection.recv(size)
                if not piece:
                    return
                yield piece
        except SSL.ZeroReturnError:
            return

    for timestamp, token in rows_in_loop(pieces()):
        yield token, datetime.fromtimestamp(timestamp)
    plain.close(connection)


def measure_reading(report, rounds, count):
    table = []
    with Server(rows=count) as server:
        plain = Plain(server.cert_string, server.feedback)
        for size in SIZES:
            apns = APNs(Session(ca_string=server.ca_string, read_buffer_size=size).new_connection(
                server.feedback, cert_string=server.cert_string))
            assert list(apns.feedback()) == list(read_plainly(plain, size))
            figures = in_turns(rounds, [
                ("ours", lambda: timed(lambda: exhaust(apns.feedback()))),
                ("plain", lambda: timed(lambda: exhaust(read_plainly(plain, size))))])
            ours, reference = figures["ours"], figures["plain"]
            table.append([str(size), count / median(ours) / 1e6, count / median(reference) / 1e6]
                         + compare(ours, reference))
    report.table("reading", "Reading %d rows of feedback over TLS, millions a second (medians), "
                 "and the ratio by medians and by best rounds" % count,
                 ["read_buffer_size", "feedback()", "plain", "ours : plain", "best"], table)


def main():
    parser = new_parser(__doc__, rounds=9)
    parser.add_argument("--rows", type=int, default=100000)
    options = parser.parse_args()
    pin(0)
    report = Report(options)
    measure_parsing(report, options.rounds, options.rows)
    measure_reading(report, options.rounds, options.rows)
    report.finish("The references run in the same process, in turns: rows_in_loop, "
                  "rows_by_iter_unpack and read_plainly\nin this file.")


if __name__ == "__main__":
    main()
