"""What it costs to get a connection, in milliseconds: full handshake, resumed handshake, reuse.

    python tests/benchmarks/bench_connect.py [--rounds N] [--json]

Through the default back-end, to a server in another process, with a client certificate. A full
handshake is what the first connection of a process pays, a resumed one what each further connection
pays, and reuse is what a send pays that finds a connection in the pool: taking it, looking whether
it is still good, giving it back. Loading the certificate and building the TLS context is paid once
for each certificate, and shown apart. The reference is a full handshake through pyOpenSSL over a
blocking socket, with a context that is ready. Closing counts nowhere.
"""

from __future__ import absolute_import, division, print_function

from bench_support import Plain, Report, Server, clock, in_turns, median, new_parser, pin

# isort: split
from apnsclient.backends.stdio import Backend


class Connecting(object):
    """Opens one connection at a time, in several ways; each returns milliseconds."""

    def __init__(self, server):
        self._address = server.sink
        self._trust = server.ca_string
        self._cert_string = server.cert_string
        self._plain = Plain(server.cert_string, server.sink)
        self._backend = self._new_backend()
        self._certificate = self._backend.get_certificate({"cert_string": self._cert_string})
        # Once, so that there is a session to resume and an idle connection.
        for _ in range(2):
            self._backend.get_new_connection(self._address, self._certificate).close()
        self._backend.release(
            self._backend.get_new_connection(self._address, self._certificate))

    def _new_backend(self):
        return Backend(ca_string=self._trust)

    def first(self):
        """Certificate and context included."""
        backend = self._new_backend()
        begin = clock()
        certificate = backend.get_certificate({"cert_string": self._cert_string})
        return self._open(backend, certificate, begin, False)

    def full(self):
        """A back-end that has no session to resume; the certificate keeps the context."""
        return self._open(self._new_backend(), self._certificate, None, False)

    def resumed(self):
        return self._open(self._backend, self._certificate, None, True)

    def reuse(self):
        begin = clock()
        connection = self._backend.get_cached_connection(self._address, self._certificate)
        self._backend.release(connection)
        return 1e3 * (clock() - begin)

    def reference(self):
        begin = clock()
        connection = self._plain.connect()
        elapsed = clock() - begin
        self._plain.close(connection)
        return 1e3 * elapsed

    def _open(self, backend, certificate, begin, is_resumed):
        begin = begin or clock()
        connection = backend.get_new_connection(self._address, certificate)
        elapsed = clock() - begin
        assert connection.session_reused == is_resumed
        connection.close()
        return 1e3 * elapsed

    def close(self):
        """Close the idle connection."""
        self._backend.get_cached_connection(self._address, self._certificate).close()


def main():
    options = new_parser(__doc__, rounds=100).parse_args()
    pin(0)
    report = Report(options)
    with Server() as server:
        connecting = Connecting(server)
        figures = in_turns(options.rounds, [
            (name, getattr(connecting, name))
            for name in ("first", "full", "resumed", "reuse", "reference")])
        connecting.close()
    titles = [("first", "first: certificate, context, full handshake"),
              ("full", "full handshake"), ("resumed", "resumed handshake"),
              ("reuse", "reuse from the pool"), ("reference", "pyOpenSSL, full handshake")]
    reference = median(figures["reference"])
    report.table("connecting", "Milliseconds (medians and best of %d rounds)" % options.rounds,
                 ["", "median", "best", "of the reference"],
                 [[title, "%.3f" % median(figures[name]), "%.3f" % min(figures[name]),
                   median(figures[name]) / reference] for name, title in titles])
    report.finish("The reference runs in the same process, in turns: Connecting.reference in this "
                  "file.")


if __name__ == "__main__":
    main()
