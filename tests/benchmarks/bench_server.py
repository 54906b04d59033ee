"""The servers that the benchmarks talk to: a sink and a feedback service, in one process.

Started by the benchmarks. Prints one line of JSON with the addresses, and with certificates that
were made for the purpose, and ends with its standard input.

The sink reads and drops. TLS is fed from memory in large pieces, which saves two system calls for
each record, but it is Python: it takes some millions of notifications a second at best. Where a
sender might be faster than that, point ``--sink`` to one that is written in C.
"""

from __future__ import absolute_import, division, print_function

import functools
import json
import socket
import struct
import sys
import threading

from bench_support import EXPIRY, SSL, pin, read_all, use_certificate

# isort: split
from apnsclient.testing.certs import Authority

_PIECE = 262144


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)
    return listener


def new_context(pem):
    context = SSL.Context(SSL.SSLv23_METHOD)
    use_certificate(context, pem)
    # A client's certificate is asked for, and any is taken. Sessions can be resumed.
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.set_session_id(b"benchmark")
    return context


def serve(listener, context, talk):
    """Accept connections for ever; each gets a thread."""
    while True:
        start(converse, context, listener.accept()[0], talk)


def start(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    thread.start()


def converse(context, connected, talk):
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        talk(context, connected)
    except (SSL.Error, OSError, IOError):
        pass  # The client has gone.
    finally:
        connected.close()


def sink(context, connected):
    """Read and drop everything."""
    tls = SSL.Connection(context, None)
    tls.set_accept_state()
    receive = functools.partial(tls.recv_into, bytearray(16384))
    step = tls.do_handshake
    while True:
        try:
            while True:
                step()
                step = receive
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return
        finally:
            flush(tls, connected)
        data = connected.recv(_PIECE)
        if not data:
            return
        tls.bio_write(data)


def flush(tls, connected):
    """Send what TLS has to say: handshake, tickets, close-notify."""
    try:
        while True:
            connected.sendall(tls.bio_read(65536))
    except SSL.WantReadError:
        pass


def new_feedback(count):
    """Return a function that writes as many rows, and hangs up."""
    row = struct.Struct(">IH32s")
    rows = b"".join(row.pack(EXPIRY - index, 32, struct.pack(">I", index) * 8)
                    for index in range(count))

    def talk(context, connected):
        tls = SSL.Connection(context, connected)
        tls.set_accept_state()
        tls.do_handshake()
        for place in range(0, len(rows), 65536):
            tls.sendall(rows[place:place + 65536])
        tls.shutdown()
        tls.sock_shutdown(socket.SHUT_WR)
        read_all(tls)

    return talk


def main():
    pin(-1)
    authority = Authority("benchmark")
    context = new_context(
        authority.issue("127.0.0.1", addresses=["127.0.0.1"], usage="server").pem)
    addresses = []
    for talk in (sink, new_feedback(int(sys.argv[1]))):
        listener = listen()
        addresses.append(listener.getsockname())
        start(serve, listener, context, talk)
    print(json.dumps({"sink": addresses[0], "feedback": addresses[1], "ca": authority.ca_string,
                      "certificate": authority.issue("benchmark").pem}))
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
