"""How much memory sending takes: what the process grows by at most, beyond what it was given.

    python tests/benchmarks/bench_memory.py [--tokens N] [--messages N] [--json]

Each figure is of a process of its own, which has connected and sent already when the counting
begins, so that modules and certificates do not count. It is the growth of the largest resident set
(VmHWM of Linux, reset where the kernel can do it), elsewhere of what getrusage() tells, which hides
what stays below an earlier maximum.

One message: the list of tokens is made before. The reference is a process that serialises the
message as a whole before it writes. Many messages: each has one token and is made when it is asked
for, and each result is dropped at once. With a read_tail_timeout a message waits for its result as
long as that, so what is needed depends on how many are sent in that time, 65 536 at most; beyond
that it must not depend on their number.
"""

from __future__ import absolute_import, division, print_function

import argparse
import gc
import json
import resource
import subprocess
import sys

from bench_support import Plain, Report, Server, new_message, new_parser, new_tokens, pin
from six.moves import range

# isort: split
from apnsclient import APNs, Session


def reset_peak():
    """Have the largest resident set start anew from what is resident now, where possible."""
    gc.collect()
    try:
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")
    except (IOError, OSError):
        pass


def peak():
    """Return the largest resident set so far, in KiB."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except (IOError, OSError):
        pass
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // 1024 if sys.platform == "darwin" else used


# What the child processes do. Each function prepares, and returns what is to be measured.

def one_message(apns, plain, count):
    tokens = new_tokens(count)

    def run():
        result = apns.send(new_message(tokens))
        assert not (result.needs_retry() or result.failed or result.errors), result

    return run


def one_message_beforehand(apns, plain, count):
    tokens = new_tokens(count)
    connection = plain.connect()

    def run():
        for chunk in [chunk for _, chunk in new_message(tokens).batch(65536)]:
            connection.sendall(chunk)
        plain.close(connection)

    return run


def many_messages(apns, plain, count):
    token = new_tokens(1)

    def run():
        results = 0
        for result in apns.send_many(new_message(token) for _ in range(count)):
            assert not (result.needs_retry() or result.failed or result.errors), result
            results += 1
        assert results == count

    return run


KINDS = {"one": one_message, "beforehand": one_message_beforehand, "many": many_messages}


def work(kind, count, tail_timeout):
    """Be the child process: print the growth in KiB."""
    pin(0)
    with Server() as server:
        session = Session(ca_string=server.ca_string, read_tail_timeout=tail_timeout)
        apns = APNs(session.get_connection(server.sink, cert_string=server.cert_string))
        run = KINDS[kind](apns, Plain(server.cert_string, server.sink), count)
        list(apns.send_many([new_message(new_tokens(1000))] * 2))
        reset_peak()
        before = peak()
        run()
        print(json.dumps(peak() - before))
        session.shutdown()


def growth(kind, count, tail_timeout=0):
    """Return by how many MiB a child process grew; also less than 0, by a page or two."""
    output = subprocess.check_output(
        [sys.executable, __file__, "--work", kind, str(count), str(tail_timeout)])
    return json.loads(output.decode("ascii")) / 1024


def main():
    parser = new_parser(__doc__, rounds=1)
    parser.add_argument("--tokens", type=int, default=1000000)
    parser.add_argument("--messages", type=int, default=200000)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], int(options.work[1]), float(options.work[2]))
        return
    report = Report(options)
    rows = [["one message, %d tokens" % count, growth("one", count)]
            for count in (options.tokens // 10, options.tokens)]
    rows.append(["the same, serialised beforehand (reference)",
                 growth("beforehand", options.tokens)])
    for tail_timeout in (0, 3):
        rows += [["%d messages, read_tail_timeout %d" % (count, tail_timeout),
                  growth("many", count, tail_timeout)]
                 for count in (options.messages // 4, options.messages // 2, options.messages)]
    report.table("memory", "Growth in MiB", ["", "growth"], rows)
    report.finish("The reference is one_message_beforehand in this file.")


if __name__ == "__main__":
    main()
