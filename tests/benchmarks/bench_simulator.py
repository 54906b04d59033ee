"""How much the simulator can take: notifications a second on one core, and connections at once.

    python tests/benchmarks/bench_simulator.py [--notifications N] [--connections N] [--chunk BYTES]

The simulator runs in a process of its own, on the last core where the system allows to choose; the
load comes from here, serialised beforehand and written through pyOpenSSL. A figure counts once the
simulator has accepted the last notification, not when it was written.
"""

from __future__ import absolute_import, division, print_function

import argparse
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time

from OpenSSL import SSL, crypto

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from apnsclient._compat import monotonic  # noqa: E402
from apnsclient.testing.simulator import Simulator  # noqa: E402

PAYLOAD = b'{"aps":{"alert":"The quick brown fox jumps over the lazy dog","badge":3}}'


def pin(core):
    """Keep this process on one core, if the system has the call."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, [cores[core]])


def raise_descriptor_limit(wanted):
    """Allow as many open descriptors as are needed, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


# The simulator's process: answers each line of JSON with one.

def serve(record):
    pin(-1)
    raise_descriptor_limit(8192)
    with Simulator(record=record) as apns:
        response(address=apns.gateway_address, certificate=apns.cert_string)
        for line in iter(sys.stdin.readline, ""):
            wanted = json.loads(line)
            done = apns.wait_for(lambda: apns.accepted_count >= wanted["accepted"]
                                 and apns.open_connections >= wanted["connections"], 120)
            used = resource.getrusage(resource.RUSAGE_SELF)
            response(done=done, cpu=used.ru_utime + used.ru_stime, memory=used.ru_maxrss,
                  accepted=apns.accepted_count, connections=apns.open_connections)


def response(**values):
    print(json.dumps(values))
    sys.stdout.flush()


class Server(object):
    """Talks to that process."""

    def __init__(self, record):
        arguments = [sys.executable, os.path.abspath(__file__), "--serve", str(record)]
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        hello = json.loads(self.process.stdout.readline())
        self.address = tuple(hello["address"])
        self.context = client_context(hello["certificate"])
        self.accepted = 0

    def wait(self, accepted=0, connections=0):
        """Wait until so many more were accepted and so many connections are open."""
        self.accepted += accepted
        self.process.stdin.write(json.dumps(
            {"accepted": self.accepted, "connections": connections}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


# The load.

def client_context(pem):
    pem = pem.encode("ascii")
    context = SSL.Context(SSL.SSLv23_METHOD)
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        context.use_certificate(x509.load_pem_x509_certificate(pem))
        context.use_privatekey(serialization.load_pem_private_key(pem, None))
    except TypeError:
        # Older versions of pyOpenSSL take their own types only.
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_PEM, pem))
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, pem))
    return context


def connect(server):
    sock = socket.create_connection(server.address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = SSL.Connection(server.context, sock)
    connection.set_connect_state()
    connection.do_handshake()
    return connection, sock


def frames(count, first=0):
    """Return frames of command 2, serialised one after the other."""
    pack = struct.Struct(">BIBH32sBH%dsBHIBHIBHB" % len(PAYLOAD)).pack
    size = 35 + 3 + len(PAYLOAD) + 7 + 7 + 4
    return b"".join(
        pack(2, size, 1, 32, struct.pack(">I", n) * 8, 2, len(PAYLOAD), PAYLOAD, 3, 4, n,
             4, 4, 2000000000, 5, 1, 10) for n in range(first, first + count))


def write(connection, data, chunk):
    for start in range(0, len(data), chunk):
        connection.sendall(data[start:start + chunk])


def measure_rate(server, connections, notifications, chunk):
    """Send over some connections in turn; return notifications a second, and per CPU second."""
    share = notifications // len(connections)
    data = frames(share)
    cpu = server.wait()["cpu"]
    begin = monotonic()
    # A round per chunk, so that all connections are active at the same time.
    for start in range(0, len(data), chunk):
        piece = data[start:start + chunk]
        for connection, _ in connections:
            connection.sendall(piece)
    report = server.wait(accepted=share * len(connections))
    elapsed = monotonic() - begin
    if not report["done"]:
        raise SystemExit("only %(accepted)d notifications were accepted" % report)
    total = share * len(connections)
    return total / elapsed, total / (report["cpu"] - cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notifications", type=int, default=300000)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--chunk", type=int, default=2048)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve == "True")
        return
    pin(0)
    raise_descriptor_limit(options.connections + 100)
    for record in (False, True):
        server = Server(record)
        one = [connect(server)]
        for chunk in (options.chunk, 16384):
            rate, per_cpu = measure_rate(server, one, options.notifications, chunk)
            print("record=%-5s %5d-byte chunks, 1 connection:    %8d notifications/s, "
                  "%8d per CPU second" % (record, chunk, rate, per_cpu))
        one[0][1].close()
        server.stop()
    server = Server(False)
    begin = time.time()
    many = [connect(server) for _ in range(options.connections)]
    report = server.wait(connections=options.connections)
    print("%d connections at once: %.2f ms of wall time and %.2f ms of CPU time per handshake, "
          "resident %d KiB" % (report["connections"], 1e3 * (time.time() - begin) / len(many),
                               1e3 * report["cpu"] / len(many), report["memory"]))
    for name, connections in (("1 active", many[:1]), ("all active", many)):
        rate, per_cpu = measure_rate(server, connections, options.notifications, options.chunk)
        print("%d connections, %-10s              %8d notifications/s, %8d per CPU second"
              % (len(many), name + ":", rate, per_cpu))
    for _, sock in many:
        sock.close()
    server.stop()


if __name__ == "__main__":
    main()
