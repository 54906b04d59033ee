"""What the web server costs the simulator: requests a second, with nobody and with readers.

    python tests/benchmarks/bench_web.py [--requests N] [--readers N]

The load comes from h2load over one connection with 100 streams, in a process of its own; each
reader of events is curl. The simulator keeps the last 100 000 requests.
"""

import argparse
import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

import httpx  # noqa: E402

from apnsclient.testing.simulator import Simulator  # noqa: E402
from apnsclient.testing.web import WebServer  # noqa: E402
from provider_client import new_token  # noqa: E402

PAYLOAD = '{"aps":{"alert":"The quick brown fox jumps over the lazy dog","badge":3}}'
TOKEN = "5f" * 32


@contextlib.contextmanager
def reading(url, count):
    """Have so many readers of events; yield the files of what they received."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.NamedTemporaryFile()) for _ in range(count)]
        readers = [subprocess.Popen(["curl", "-sN", url + "api/v1/events"], stdout=file)
                   for file in files]
        yield files
        for reader in readers:
            reader.terminate()
            reader.wait()


def load(simulator, requests):
    """Send so many requests; return how many a second were answered."""
    with tempfile.NamedTemporaryFile("w") as body:
        body.write(PAYLOAD)
        body.flush()
        output = subprocess.check_output([
            "h2load", "-n", str(requests), "-c", "1", "-m", "100", "-d", body.name,
            "-H", "apns-topic: com.example", "-H", "apns-push-type: alert",
            "-H", "authorization: bearer " + new_token(simulator),
            "https://%s:%d/3/device/%s" % (simulator.provider_address + (TOKEN,))]).decode()
    # A provider token opens with one stream; h2load does not wait until there are more.
    assert int(re.search("([0-9]+) succeeded", output).group(1)) >= requests - 200, output
    return float(re.search("([0-9.]+) req/s", output).group(1))


def measure(name, requests, readers, is_looked_at=False, has_web=True):
    simulator = Simulator(record=100000)
    with contextlib.ExitStack() as stack:
        stack.enter_context(simulator)
        url = None
        if has_web:
            url = stack.enter_context(WebServer(simulator, ("127.0.0.1", 0))).url
        files = stack.enter_context(reading(url, readers))
        load(simulator, 2000)
        begin = resource.getrusage(resource.RUSAGE_SELF)
        rate = load(simulator, requests)
        end = resource.getrusage(resource.RUSAGE_SELF)
        cpu = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
        time.sleep(0.5)
        sizes = [os.path.getsize(file.name) for file in files]
        print("%-28s %8.0f requests a second, %6.2f s of processor time, %d MiB at most%s" % (
            name, rate, cpu, end.ru_maxrss // 1024,
            ", readers got %s KiB" % [size // 1024 for size in sizes] if sizes else ""))
        if is_looked_at:
            look(simulator, url)


def look(simulator, url):
    """Print how long it takes to ask for what the page asks for, with all that is kept."""
    with httpx.Client(base_url=url + "api/v1", timeout=60) as client:
        for path in ("/notifications?limit=100", "/notifications?limit=1000",
                     "/notifications?text=nothing%20of%20that", "/notifications?token=5e*",
                     "/notifications/%d" % simulator.journal.last_number, "/export"):
            begin = time.time()
            size = len(client.get(path).content)
            print("    %-40s %7.1f ms, %d KiB of %d requests" % (
                path, (time.time() - begin) * 1000, size // 1024, len(simulator.journal)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--readers", type=int, default=10)
    arguments = parser.parse_args()
    measure("without a web server", arguments.requests, 0, has_web=False)
    measure("with one", arguments.requests, 0)
    measure("one reader of events", arguments.requests, 1, is_looked_at=True)
    measure("%d readers" % arguments.readers, arguments.requests, arguments.readers)


if __name__ == "__main__":
    main()
