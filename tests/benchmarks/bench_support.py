"""What the benchmarks share: the clock, tokens, statistics, tables, and the server's process.

They are scripts of their own and need nothing but what the package needs. What they print are
ratios within one run: of our figure to that of a reference which does the same work in the same
process, both measured in turns. Machines drift; figures of different runs say little.
"""

from __future__ import absolute_import, division, print_function

import argparse
import json
import os
import platform
import random
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, os.pardir, os.pardir))

from OpenSSL import SSL, crypto  # noqa: E402

from apnsclient import Message  # noqa: E402

#: Fine enough to time a handshake, on Python 2.7 too.
clock = getattr(time, "perf_counter", time.time)

PAYLOAD = {"aps": {"alert": {"title": "Performance", "body": "Hello from the benchmark, with a few "
                             "more words to fill it up"}, "badge": 1, "sound": "default"}}
#: A fixed expiry, so that the frames of one run are those of the next.
EXPIRY = 2000000000
#: What write_buffer_size and read_buffer_size are set to in turn.
SIZES = (2048, 16384, 65536)


def new_tokens(count):
    """Return as many device tokens, always the same ones."""
    source = random.Random(1)
    return ["%064x" % source.getrandbits(256) for _ in range(count)]


def new_message(tokens):
    return Message(tokens, payload=PAYLOAD, expiry=EXPIRY)


def pin(core):
    """Keep this process on one core, 0 for the first and -1 for the last, where Python can."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, [cores[core]])


def median(values):
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def timed(function):
    """Return how long a call takes, in seconds."""
    begin = clock()
    function()
    return clock() - begin


def in_turns(rounds, candidates):
    """Measure candidates round by round, in an order that changes from one round to the next.

    :param candidates: list of ``(name, function)``; each function returns what it measured.
    :return: ``{name: list of figures}``, a figure for each round.
    """
    figures = dict((name, []) for name, _ in candidates)
    for number in range(rounds):
        for name, function in candidates[::-1 if number % 2 else 1]:
            figures[name].append(function())
    return figures


def compare(ours, reference):
    """Return how many times as fast as the reference we are: ``[by medians, by best rounds]``."""
    return [median(reference) / median(ours), min(reference) / min(ours)]


class Report(object):
    """Prints tables for people, or in the end one line of JSON.

    :param options: what :func:`parse_arguments` returned.
    """

    def __init__(self, options):
        self._is_json = options.json
        self._plots = options.plot
        self._values = {"python": platform.python_version(),
                        "implementation": platform.python_implementation(),
                        "tls": SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii")}
        self.say("%(implementation)s %(python)s, %(tls)s" % self._values)

    def say(self, text):
        if not self._is_json:
            print(text)
            sys.stdout.flush()

    def table(self, name, title, heads, rows, bars=()):
        """Print a table, and draw it if that is wanted.

        The first column is text and names the row, the others are figures.

        :param bars: heads of the columns to draw, which have the same unit.
        """
        if self._plots and bars:
            from bench_plot import save_bars
            save_bars(self._plots, name.replace(" ", "-"), title, [row[0] for row in rows], [
                (head, [row[place] for row in rows])
                for place, head in enumerate(heads) if head in bars])
        self._values[name] = [dict(zip(heads, row)) for row in rows]
        cells = [[_cell(value) for value in row] for row in [[heads[0] or "\\"] + list(heads[1:])]
                 + [list(row) for row in rows]]
        widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
        rule = "  ".join(["=" * width for width in widths])
        lines = ["  ".join([row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]) for row in cells]
        # As the page about benchmarks has it.
        self.say("\n%s:\n\n%s\n%s\n%s\n%s\n%s" % (
            title, rule, lines[0], rule, "\n".join(lines[1:]), rule))

    def finish(self, *remarks):
        """Print what explains the figures, or all of them as JSON."""
        if self._is_json:
            print(json.dumps(self._values, sort_keys=True))
        for remark in remarks:
            self.say("\n" + remark)


def _cell(value):
    if isinstance(value, float):
        return "%.*f" % (2 if value < 10 else 1 if value < 100 else 0, value)
    return format(value, ",d").replace(",", " ") if isinstance(value, int) else str(value)


def new_parser(documentation, rounds):
    """Return an argument parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds,
                        help="how often everything is measured, in turns (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--plot", metavar="FOLDER",
                        help="draw what can be drawn, as SVG, in a folder")
    return parser


def host_and_port(text):
    """Parse ``HOST:PORT``, as a type of an argument."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


class Server(object):
    """The other side, in a process of its own, on the last core; see ``bench_server.py``.

    :param rows: how many rows its feedback service has (int).
    """

    def __init__(self, rows=0):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "bench_server.py"), str(rows)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        hello = json.loads(self._process.stdout.readline())
        self.sink = tuple(hello["sink"])
        self.feedback = tuple(hello["feedback"])
        self.ca_string = hello["ca"]
        self.cert_string = hello["certificate"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The server ends with its standard input.
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Plain(object):
    """pyOpenSSL as it is, over a blocking socket: the reference for what goes over TLS.

    :param cert_string: our certificate with its key (PEM).
    :param address: where to connect to.
    """

    def __init__(self, cert_string, address):
        self._address = address
        self._context = SSL.Context(SSL.SSLv23_METHOD)
        use_certificate(self._context, cert_string)

    def connect(self):
        """Return an SSL.Connection whose handshake is done."""
        family, kind, protocol, _, address = socket.getaddrinfo(
            self._address[0], self._address[1], 0, socket.SOCK_STREAM)[0]
        connected = socket.socket(family, kind, protocol)
        connected.connect(address)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = SSL.Connection(self._context, connected)
        connection.set_connect_state()
        connection.do_handshake()
        return connection

    @staticmethod
    def close(connection):
        """Close gracefully: once this returns, the peer has read all that was written."""
        connection.shutdown()
        connection.sock_shutdown(socket.SHUT_WR)
        read_all(connection)
        connection.close()


def read_all(connection, size=65536):
    """Read and drop everything up to the end of the stream, whichever way it ends."""
    try:
        while connection.recv(size):
            pass
    except SSL.Error:
        pass


def use_certificate(context, pem):
    """Have a context present a certificate with its key, given as PEM text."""
    from cryptography import x509
    from cryptography.hazmat.backends import default_backend
    from cryptography.hazmat.primitives import serialization
    pem = pem.encode("ascii")
    try:
        context.use_certificate(x509.load_pem_x509_certificate(pem, default_backend()))
        context.use_privatekey(serialization.load_pem_private_key(pem, None, default_backend()))
    except TypeError:
        # Older versions of pyOpenSSL take nothing but their own types.
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, pem))
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, pem))
