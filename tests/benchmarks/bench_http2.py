"""How fast notifications go out over HTTP/2, over one connection.

    python tests/benchmarks/bench_http2.py [--server NAME=HOST:PORT]... [--peer NAME=COMMAND]...
        [--failing HOST:PORT] [--payload FILE] [--only SECTION]... [--tokens N] [--rounds N]
        [--json] [--plot FOLDER]

Without ``--server`` it measures against servers of its own, in another process: the simulator, and
a responder that does next to nothing; see bench_http2_server.py. With it, against any HTTP/2 server
that answers 200, on the last core; its certificate is not verified. What is measured:

sending   APNs.send() of one message to many tokens, with the reading of its result, over a
          connection that is open and has been used. The peers do the same.
many      the same number of messages of one token and a payload of its own each, with send_many();
          once with the messages made as they are asked for, once with all of them made before, and
          the same with payloads that are JSON text already.
failing   one message of whose tokens one in ten is answered with an error, and what the result says
          of each of them is read.
ids       one message: as it is; with Session(keep_ids=True), with and without the reading of
          Result.apns_ids; and with an identifier made for each token (apns_id_namespace).
single    APNs.send() of a message to one token: round trip, and processor time. The reference
          writes such a request as it is through pyOpenSSL, and reads until the answer has come.
memory    what a process grows by at most while it sends.

A peer is a command that sends for itself and prints a line of JSON with "rate", notifications a
second, and if it likes "cpu_ms_per_1000", "n" and "ok", how many it sent and how many of them were
accepted; or it is h2load. In the command {host}, {port} and {address} are replaced. With
NAME@SERVER=COMMAND it is run against that server alone. Peers and we take turns within each round,
and all clients run on the first core.

--failing takes a server that answers 400 to tokens that begin with 0bad and 410 to those that begin
with 0dead; nginx.conf in this folder makes one.
"""

from __future__ import absolute_import, division, print_function

import argparse
import json
import os
import re
import resource
import shlex
import struct
import subprocess
import sys
import uuid

from bench_memory import peak, reset_peak
from bench_support import (
    EXPIRY,
    HERE,
    PAYLOAD,
    Plain,
    Report,
    clock,
    host_and_port,
    in_turns,
    median,
    new_parser,
    new_tokens,
    pin,
)
from six.moves import range

# isort: split
from apnsclient import APNs, Message, Session
from apnsclient.testing.certs import Authority

TOPIC = "com.example.app"
SECTIONS = ("sending", "many", "failing", "ids", "single", "memory")
#: What is sent before each measurement: the connection has been used, and its tables are filled.
WARM = 200
#: How many single messages are sent for one figure.
SINGLES = 500
#: What the simulator is spared: it is a test server and takes its time.
SLOWER = 10


class Figure(object):
    """What one run of a client gave.

    :ivar rate: notifications a second.
    :ivar cpu: processor time of the client, in milliseconds for a thousand; None if not known.
    """

    def __init__(self, rate, cpu):
        self.rate = rate
        self.cpu = cpu


def measured(count, function):
    """Return the :class:`Figure` of a call that sends so many notifications."""
    before, begin = processor_time(), clock()
    function()
    seconds = clock() - begin
    return Figure(count / seconds, (processor_time() - before) / count * 1e6)


def processor_time():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Ours(object):
    """Our client on one server.

    :param address: ``(host, port)``.
    :param certificate: what we present (PEM).
    :param payload: JSON text.
    :param options: further arguments of the session.
    """

    def __init__(self, address, certificate, payload, **options):
        self._session = Session(protocol="http2", verify=False, pool_size=1, **options)
        self._apns = APNs(self._session.get_connection(address, cert_string=certificate))
        self._payload = payload
        self._warm = self.message(new_tokens(WARM))

    def message(self, tokens, **options):
        return Message(tokens, payload=self._payload, expiry=EXPIRY, apns_topic=TOPIC, **options)

    def own_messages(self, tokens):
        """Yield a message for each token, with a payload of its own."""
        common = json.loads(self._payload)
        for number, token in enumerate(tokens):
            payload = dict(common, number=number)
            yield Message(token, payload=payload, expiry=EXPIRY, apns_topic=TOPIC)

    def own_texts(self, tokens):
        """Yield the same, but for payloads that are text."""
        head = self._payload.rstrip()[:-1] + ',"number":'
        for number, token in enumerate(tokens):
            payload = head + str(number) + "}"
            yield Message(token, payload=payload, expiry=EXPIRY, apns_topic=TOPIC)

    def warm_up(self):
        expect(self._apns.send(self._warm), 0)

    def send(self, message, failing=0):
        """Send one message, of which so many tokens are answered with an error."""
        self.warm_up()
        return measured(len(message.tokens), lambda: expect(self._apns.send(message), failing))

    def send_and_read(self, message):
        """Send one message, and read the identifiers of what was accepted."""
        self.warm_up()

        def run():
            result = self._apns.send(message)
            assert len(result.apns_ids) == len(message.tokens)

        return measured(len(message.tokens), run)

    def send_many(self, count, messages):
        """Send messages that are all accepted."""
        self.warm_up()
        return measured(count, lambda: self.exhaust(count, messages))

    def exhaust(self, count, messages):
        results = 0
        for result in self._apns.send_many(messages):
            expect(result, 0)
            results += 1
        assert results == count

    def singles(self):
        """Send the same message to one token, time and again."""
        self.warm_up()
        message = self.message(new_tokens(1))

        def run():
            for _ in range(SINGLES):
                expect(self._apns.send(message), 0)

        return measured(SINGLES, run)

    def close(self):
        self._session.shutdown()


def expect(result, failing):
    """Read a result, and see that it says what it should."""
    assert not (result.errors or result.needs_retry()), result
    found = 0
    for code, explanation in result.failed.values():
        assert code == 8, explanation
        found += 1
    assert found == failing, (found, failing)


class Requests(Plain):
    """pyOpenSSL as it is, with HTTP/2 that can do nothing but what is needed here."""

    _HEAD = struct.Struct(">IBI")

    def __init__(self, address, certificate, payload):
        Plain.__init__(self, certificate, address)
        self._context.set_alpn_protos([b"h2"])
        self._payload = payload.encode("utf-8")
        path = b"/3/device/" + new_tokens(1)[0].encode("ascii")
        # POST and https from the static table, the rest as literals (RFC 7541, 6.2.2).
        self._block = b"\x83\x87\x01" + _text(b"localhost") + b"\x04" + _text(path) + b"".join(
            b"\0" + _text(name) + _text(value) for name, value in (
                (b"apns-topic", TOPIC.encode("ascii")), (b"apns-push-type", b"alert"),
                (b"apns-priority", b"10")))
        self._stream = 1
        self._rest = b""
        self._connection = self.connect()
        self._connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + self._frame(4, 0, 0, struct.pack(">HI", 1, 0)) + self._frame(4, 1, 0, b""))

    def _frame(self, kind, flags, stream, payload):
        return self._HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload

    def singles(self):
        """Exchange one request after the other."""
        return measured(SINGLES, lambda: [self.exchange() for _ in range(SINGLES)])

    def exchange(self):
        """Write one request, and read until its response has come."""
        stream, self._stream = self._stream, self._stream + 2
        self._connection.sendall(self._frame(1, 4, stream, self._block)
                                 + self._frame(0, 1, stream, self._payload))
        while True:
            for kind, flags, number in self._frames(self._connection.recv(16384)):
                if kind == 1 and flags & 1 and number == stream:
                    return

    def _frames(self, data):
        data, position, frames = self._rest + data, 0, []
        while len(data) - position >= 9:
            length, flags, stream = self._HEAD.unpack_from(data, position)
            if position + 9 + (length >> 8) > len(data):
                break
            position += 9 + (length >> 8)
            frames.append((length & 0xFF, flags, stream))
        self._rest = data[position:]
        return frames


def _text(value):
    """Encode a string of up to 126 bytes for a header block."""
    assert len(value) < 127
    return struct.pack(">B", len(value)) + value


class Peer(object):
    """Another client, a command.

    :param text: ``NAME=COMMAND`` or ``NAME@SERVER=COMMAND``.
    """

    def __init__(self, text):
        name, _, self._command = text.partition("=")
        self.name, _, self.server = name.partition("@")
        if not self._command:
            raise argparse.ArgumentTypeError("%r is not NAME=COMMAND" % text)
        self.lost = self.sent = 0

    def run(self, address):
        """Return its :class:`Figure`."""
        command = self._command
        for name, value in (("{host}", address[0]), ("{port}", str(address[1])),
                            ("{address}", "%s:%d" % address)):
            command = command.replace(name, value)
        output = subprocess.check_output(shlex.split(command)).decode("utf-8", "replace")
        return self._read(output)

    def _read(self, output):
        for line in reversed(output.splitlines()):
            if line.startswith("{"):
                said = json.loads(line)
                self._count(said.get("n", 0), said.get("ok", said.get("n", 0)))
                return Figure(float(said["rate"]), said.get("cpu_ms_per_1000"))
        # h2load
        rate = re.search(r"finished in [^,]*, ([0-9.]+) req/s", output)
        counts = re.search(r"requests: (\d+) total.* (\d+) succeeded", output)
        if not (rate and counts):
            raise ValueError("%s printed no rate: %s" % (self.name, output[-500:]))
        self._count(int(counts.group(1)), int(counts.group(2)))
        return Figure(float(rate.group(1)), None)

    def _count(self, sent, accepted):
        self.sent += sent
        self.lost += sent - accepted


class OwnServers(object):
    """The servers of bench_http2_server.py."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "bench_http2_server.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        hello = json.loads(self._process.stdout.readline())
        self.addresses = dict((name, tuple(address))
                              for name, address in hello["addresses"].items())
        self.certificate = hello["certificate"]

    def close(self):
        """The servers end with their standard input."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Bench(object):
    """One run.

    :param options: the arguments.
    :param own: :class:`OwnServers`.
    """

    def __init__(self, options, own):
        self._options = options
        self._own = own
        self._payload = options.payload or json.dumps(PAYLOAD, separators=(",", ":"))
        self._report = Report(options)
        self._servers = options.server or [(name, own.addresses[name])
                                           for name in ("simulator", "responder")]
        self._certificate = own.certificate if not options.server else new_certificate()

    def run(self):
        for section in self._options.only or SECTIONS:
            getattr(self, section)()
        remarks = ["%s: %d of %d notifications were not accepted." % (peer.name, peer.lost,
                                                                     peer.sent)
                   for peer in self._options.peer if peer.lost]
        self._report.finish(*remarks)

    def _count(self, name):
        """How many tokens a server gets at once."""
        return self._options.tokens // (SLOWER if name == "simulator" else 1)

    def _ours(self, address):
        return Ours(address, self._certificate, self._payload)

    def sending(self):
        candidates, clients = [], []
        for name, address in self._servers:
            ours = self._ours(address)
            clients.append(ours)
            message = ours.message(new_tokens(self._count(name)))
            candidates.append(((name, "ours"), lambda ours=ours, message=message:
                               ours.send(message)))
            candidates += [((name, peer.name), lambda peer=peer, address=address:
                            peer.run(address))
                           for peer in self._options.peer if peer.server in ("", name)]
        figures = in_turns(self._options.rounds, candidates)
        for ours in clients:
            ours.close()
        for name, _ in self._servers:
            rows = dict((client, figures[server, client])
                        for server, client in figures if server == name)
            self._table("sending " + name, "%s: one message to %d tokens" % (
                name, self._count(name)), [client for (server, client), _ in candidates
                                           if server == name], rows, "ours")

    def many(self):
        """Compare with one payload for all."""
        for name, address in self._servers:
            ours, tokens = self._ours(address), new_tokens(self._count(name))
            message, count = ours.message(tokens), len(tokens)
            figures = in_turns(self._options.rounds, [
                ("one message", lambda: ours.send(message)),
                ("many, made on the way", lambda: ours.send_many(count, ours.own_messages(tokens))),
                ("many, made before", lambda: ours.send_many(
                    count, list(ours.own_messages(tokens)))),
                ("text, made on the way", lambda: ours.send_many(count, ours.own_texts(tokens))),
                ("text, made before", lambda: ours.send_many(
                    count, list(ours.own_texts(tokens))))])
            ours.close()
            self._table("many " + name, "%s: %d tokens, with a payload of its own each" % (
                name, count), ["one message", "many, made on the way", "many, made before",
                               "text, made on the way", "text, made before"],
                figures, "one message", True)

    def failing(self):
        tokens = new_tokens(self._options.tokens)
        self._compare_failing("responder", self._own.addresses["responder"],
                              self._own.addresses["failing"], tokens, tokens)
        if self._options.failing:
            # None of these is refused by chance.
            tokens = ["1" + token[1:] for token in tokens]
            self._compare_failing("--failing", self._options.failing, self._options.failing,
                                  tokens, spoil(tokens))

    def _compare_failing(self, name, address, failing_address, tokens, failing_tokens):
        good = Ours(address, self._own.certificate, self._payload)
        bad = Ours(failing_address, self._own.certificate, self._payload)
        message = good.message(tokens)
        failing = bad.message(failing_tokens)
        bad.warm_up = good.warm_up
        figures = in_turns(self._options.rounds, [
            ("none fails", lambda: good.send(message)),
            ("one in ten fails", lambda: bad.send(failing, len(tokens) // 10))])
        good.close()
        bad.close()
        self._table("failing " + name, "%s: %d tokens" % (name, len(tokens)),
                    ["none fails", "one in ten fails"], figures, "none fails", True)

    def ids(self):
        name, address = "responder", self._own.addresses["responder"]
        plain = Ours(address, self._own.certificate, self._payload)
        keeping = Ours(address, self._own.certificate, self._payload, keep_ids=True)
        tokens = new_tokens(self._options.tokens)
        message = plain.message(tokens)
        named = plain.message(tokens, apns_id_namespace=uuid.uuid4())
        kinds = [("as it is", lambda: plain.send(message)),
                 ("keep_ids", lambda: keeping.send(message)),
                 ("keep_ids, and read", lambda: keeping.send_and_read(message)),
                 ("apns_id_namespace", lambda: plain.send(named))]
        figures = in_turns(self._options.rounds, kinds)
        plain.close()
        keeping.close()
        self._table("ids " + name, "%s: one message to %d tokens" % (name, len(tokens)),
                    [kind for kind, _ in kinds], figures, "as it is", True)

    def single(self):
        rows = []
        for name, address in self._servers:
            ours = self._ours(address)
            plain = Requests(address, self._certificate, self._payload)
            figures = in_turns(self._options.rounds, [("ours", ours.singles),
                                                      ("plain", plain.singles)])
            ours.close()
            trips = [1e6 / median([one.rate for one in figures[who]]) for who in ("ours", "plain")]
            costs = [median([one.cpu for one in figures[who]]) for who in ("ours", "plain")]
            rows.append([name] + trips + [trips[1] / trips[0]] + costs)
        self._report.table(
            "single", "One message to one token, microseconds",
            ["server", "round trip", "plain", "ours : plain", "CPU", "plain CPU"], rows,
            ["round trip", "plain"])

    def memory(self):
        name, address = self._servers[-1]
        rows = []
        for kind, count in (("one", self._options.tokens), ("one", self._options.tokens * 10),
                            ("many", self._options.tokens), ("many", self._options.tokens * 2)):
            rows.append(["%s, %d tokens" % (
                "one message" if kind == "one" else "a message each", count),
                self._growth(kind, address, count)])
        self._report.table("memory", "%s: growth in MiB" % name, ["", "growth"], rows)

    def _growth(self, kind, address, count):
        """Return by how many MiB a child process grew."""
        command = [sys.executable, __file__, "--work", kind, "%s:%d" % address, str(count)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        output, _ = process.communicate(
            json.dumps([self._certificate, self._payload]).encode("utf-8"))
        assert not process.returncode, command
        return json.loads(output.decode("ascii")) / 1024

    def _table(self, name, title, order, figures, base, is_part=False):
        """Print rates, and how they compare to one of them.

        :param is_part: whether the others are told as a part of that one.
        """
        rows = []
        reference = [one.rate for one in figures[base]]
        for client in order:
            rates = [one.rate for one in figures[client]]
            ratios = [median(rates) / median(reference), max(rates) / max(reference)]
            if not is_part:
                ratios = [1 / ratio for ratio in ratios]
            costs = [one.cpu for one in figures[client] if one.cpu is not None]
            rows.append([client, int(round(median(rates)))]
                        + [significant(ratio) for ratio in ratios]
                        + [significant(median(costs)) if costs else "-"])
        heads = ["of the first", "best"] if is_part else ["ours : it", "best"]
        self._report.table(name, title, ["", "a second"] + heads + ["CPU ms/1000"], rows,
                           ["a second"])


def significant(value):
    """Leave figures that mean something: two decimals below 10, none above 100."""
    return round(value, 2) if value < 10 else round(value, 1) if value < 100 else int(round(value))


def spoil(tokens):
    """Replace one token in ten by one that --failing's server refuses."""
    spoilt = list(tokens)
    for place in range(0, len(tokens) // 10 * 10, 10):
        prefix = "0bad" if place % 20 else "0dead"
        spoilt[place] = prefix + tokens[place][len(prefix):]
    return spoilt


def new_certificate():
    return Authority("benchmark").issue("benchmark", topic=TOPIC).pem


def work(kind, address, count):
    """Be the child process that is watched: print the growth of its memory in KiB."""
    pin(0)
    certificate, payload = json.loads(sys.stdin.read())
    ours, tokens = Ours(host_and_port(address), certificate, payload), new_tokens(count)
    ours.exhaust(1000, ours.own_messages(tokens[:1000]))
    ours.warm_up()
    reset_peak()
    before = peak()
    if kind == "one":
        ours.send(ours.message(tokens))
    else:
        ours.exhaust(count, ours.own_messages(tokens))
    print(json.dumps(peak() - before))
    ours.close()


def named_address(text):
    """Parse ``NAME=HOST:PORT``."""
    name, _, address = text.partition("=")
    return name, host_and_port(address)


def read_payload(path):
    with open(path, "rb") as source:
        return source.read().decode("utf-8").strip()


def main():
    parser = new_parser(__doc__, rounds=5)
    parser.add_argument("--tokens", type=int, default=100000)
    parser.add_argument("--server", type=named_address, action="append", default=[],
                        metavar="NAME=HOST:PORT", help="a server to measure against")
    parser.add_argument("--peer", type=Peer, action="append", default=[],
                        metavar="NAME[@SERVER]=COMMAND", help="another client")
    parser.add_argument("--failing", type=host_and_port, metavar="HOST:PORT",
                        help="a server that fails some tokens")
    parser.add_argument("--payload", type=read_payload, metavar="FILE",
                        help="JSON text that is sent")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="measure this alone")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], options.work[1], int(options.work[2]))
        return
    own = OwnServers()
    try:
        pin(0)
        Bench(options, own).run()
    finally:
        own.close()


if __name__ == "__main__":
    main()
