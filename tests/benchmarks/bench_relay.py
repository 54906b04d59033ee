"""A relay that puts servers a long way off: one process, for ``bench_callers.py``.

    python tests/benchmarks/bench_relay.py SECONDS HOST:PORT...

Everything that passes is delayed by so many seconds in each direction, and no rate is limited.
Prints one line of JSON, a list of addresses in the order of the servers, and ends with its standard
input. Connections are accepted without a delay; their TLS handshake has it.
"""

from __future__ import absolute_import, division, print_function

import json
import socket
import sys
import time

from bench_server import listen, start
from bench_support import clock, host_and_port, pin
from six.moves import queue

_PIECE = 262144


def accept(listener, target, delay):
    """Accept connections for ever; each direction gets a thread that reads and one that writes."""
    while True:
        near = listener.accept()[0]
        far = socket.create_connection(target)
        for source, sink in ((near, far), (far, near)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pieces = queue.Queue()
            start(read, source, pieces, delay)
            start(write, sink, pieces)


def read(source, pieces, delay):
    """Put what arrives into a queue, with the time when it is due; the end is an empty piece."""
    piece = True
    while piece:
        try:
            piece = source.recv(_PIECE)
        except (OSError, IOError):
            piece = b""
        pieces.put((clock() + delay, piece))


def write(sink, pieces):
    """Write pieces when they are due."""
    while True:
        due, piece = pieces.get()
        wait = due - clock()
        if wait > 0:
            time.sleep(wait)
        try:
            if not piece:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(piece)
        except (OSError, IOError):
            return  # The other side has gone.


def main():
    pin(-1)
    delay, addresses = float(sys.argv[1]), []
    for target in sys.argv[2:]:
        listener = listen()
        addresses.append(listener.getsockname())
        start(accept, listener, host_and_port(target), delay)
    print(json.dumps(addresses))
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
