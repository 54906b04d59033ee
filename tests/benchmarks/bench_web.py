"""What the web server costs the simulator: requests a second, with nobody and with readers.

    python tests/benchmarks/bench_web.py [--requests N] [--readers N] [--streams N] [--browser]

The load comes from h2load over one connection, in a process of its own; each reader of events is
curl. The simulator keeps the last 100 000 requests. With ``--browser`` Chromium has the page open
meanwhile, and is asked for what somebody does who looks at 100 000 requests.
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
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "web"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

import httpx  # noqa: E402
from browser import Window, open_browser  # noqa: E402

from apnsclient.testing.simulator import Simulator  # noqa: E402
from apnsclient.testing.web import WebServer  # noqa: E402
from provider_client import new_token  # noqa: E402

PAYLOAD = '{"aps":{"alert":"The quick brown fox jumps over the lazy dog","badge":3}}'
TOKEN = "5f" * 32

#: Has a page write down the longest time from one frame to the next, in milliseconds.
WATCH_FRAMES = """() => {
  window.longest = 0;
  let last = performance.now();
  const look = (now) => {
    window.longest = Math.max(window.longest, now - last);
    last = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


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


def load(simulator, requests, streams):
    """Send so many requests; return how many a second were answered."""
    with tempfile.NamedTemporaryFile("w") as body:
        body.write(PAYLOAD)
        body.flush()
        output = subprocess.check_output([
            "h2load", "-n", str(requests), "-c", "1", "-m", str(streams), "-d", body.name,
            "-H", "apns-topic: com.example", "-H", "apns-push-type: alert",
            "-H", "authorization: bearer " + new_token(simulator),
            "https://%s:%d/3/device/%s" % (simulator.provider_address + (TOKEN,))]).decode()
    # A provider token opens with one stream; h2load does not wait until there are more.
    missing = requests - int(re.search("([0-9]+) succeeded", output).group(1))
    assert missing <= 2 * streams, output
    return float(re.search("([0-9.]+) req/s", output).group(1))


def measure(name, arguments, readers=0, is_looked_at=False, has_web=True):
    simulator = Simulator(record=100000)
    with contextlib.ExitStack() as stack:
        stack.enter_context(simulator)
        url = None
        if has_web:
            url = stack.enter_context(WebServer(simulator, ("127.0.0.1", 0))).url
        files = stack.enter_context(reading(url, readers))
        load_and_report(name, simulator, arguments)
        time.sleep(0.5)
        sizes = [os.path.getsize(file.name) for file in files]
        if sizes:
            print("    readers got %s KiB" % [size // 1024 for size in sizes])
        if is_looked_at:
            look(simulator, url)


def load_and_report(name, simulator, arguments):
    """Print how many requests a second are answered, and what it takes."""
    load(simulator, 2000, arguments.streams)
    begin = resource.getrusage(resource.RUSAGE_SELF)
    rate = load(simulator, arguments.requests, arguments.streams)
    end = resource.getrusage(resource.RUSAGE_SELF)
    cpu = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    print("%-28s %8.0f requests a second, %6.2f s of processor time, %d MiB at most" % (
        name, rate, cpu, end.ru_maxrss // 1024))


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


def measure_page(arguments):
    """Print what a page that is open costs, whether it keeps up, and how it feels afterwards."""
    simulator = Simulator(record=100000)
    with simulator, WebServer(simulator, ("127.0.0.1", 0)) as server, open_browser() as browser:
        window = Window(browser, server.url).open()
        window.page.evaluate(WATCH_FRAMES)
        load_and_report("the page is open", simulator, arguments)
        begin = time.time()
        see_newest(window, simulator)
        print("    the newest is seen %.0f ms later; longest time without a frame: %.0f ms" % (
            (time.time() - begin) * 1000, window.page.evaluate("window.longest")))
        report_heap(window)
        use(window, simulator)
        report_heap(window)
        window.close()


def see_newest(window, simulator):
    window.page.wait_for_selector(".row[data-number='%d']" % simulator.journal.last_number)


def use(window, simulator):
    """Print how long it takes until a page has what somebody asks for."""
    page = window.page
    number = simulator.journal.last_number - 50
    steps = [
        ("reload", lambda: (page.reload(), see_newest(window, simulator))),
        ("open a notification", lambda: (
            page.evaluate("number => { location.hash = '#/notifications/' + number; }", number),
            window.see("Number %d" % number, ".detail"))),
        ("look for a token", lambda: (
            page.fill("#search", "token:5f*"), window.see("200+ found", ".count"))),
        ("look for what is not there", lambda: (
            page.fill("#search", "nothing of that"), window.see("Nothing matches", ".count"))),
        ("look for nothing", lambda: (
            page.fill("#search", ""), see_newest(window, simulator))),
        ("scroll through 20 000", lambda: scroll(page, 20000)),
        ("go to the first again", lambda: (
            page.evaluate("document.querySelector('.viewport').scrollTop = 0"),
            see_newest(window, simulator))),
    ]
    for name, step in steps:
        page.evaluate(WATCH_FRAMES)
        begin = time.time()
        step()
        print("    %-28s %7.0f ms; longest time without a frame: %.0f ms" % (
            name, (time.time() - begin) * 1000, page.evaluate("window.longest || 0")))


def scroll(page, rows):
    """Go to the end of the list, again and again, until it has so many rows."""
    page.evaluate("""rows => new Promise((resolve) => {
      const viewport = document.querySelector(".viewport");
      const go = () => {
        if (viewport.scrollHeight > rows * 60) resolve();
        else {
          viewport.scrollTop = viewport.scrollHeight;
          requestAnimationFrame(go);
        }
      };
      go();
    })""", rows)


def report_heap(window):
    session = window.page.context.new_cdp_session(window.page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    metrics = {each["name"]: each["value"]
               for each in session.send("Performance.getMetrics")["metrics"]}
    print("    the page has %.1f MiB of objects, and %d nodes" % (
        metrics["JSHeapUsedSize"] / 2.0 ** 20, metrics["Nodes"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--streams", type=int, default=100, help="requests at a time")
    parser.add_argument("--browser", action="store_true", help="have the page open in Chromium")
    arguments = parser.parse_args()
    measure("without a web server", arguments, has_web=False)
    measure("with one", arguments)
    if arguments.browser:
        measure_page(arguments)
        return
    measure("one reader of events", arguments, 1, is_looked_at=True)
    measure("%d readers" % arguments.readers, arguments, arguments.readers)


if __name__ == "__main__":
    main()
