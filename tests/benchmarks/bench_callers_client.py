"""One client of ``bench_callers.py``: a process of its own, on the first core.

    python tests/benchmarks/bench_callers_client.py KIND

Takes a job as a line of JSON with the keys ``address``, ``certificate``, ``payload`` and
``options`` (of the session); for callers also ``callers``, ``each`` (how many messages each of them
sends) and ``is_warm`` (whether each of them has sent one before), for a campaign ``tokens``, and
for single messages ``count``. Prints a line of JSON with what was measured.
"""

from __future__ import absolute_import, division, print_function

import sys

if __name__ == "__main__" and sys.argv[1] == "greenlets":
    # As a worker of gevent does it, before anything else is imported.
    from gevent import monkey
    monkey.patch_all()

import json  # noqa: E402
import os  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402

from bench_http2 import TOPIC, Requests, expect, measured  # noqa: E402
from bench_support import EXPIRY, clock, median, new_tokens, pin  # noqa: E402
from six.moves import range  # noqa: E402

# isort: split
from apnsclient import APNs, Message, Session  # noqa: E402

#: How many tokens are sent to before one large message.
_WARM = 300


class Calls(object):
    """What came out of calls that were made at the same time.

    :ivar seconds: how long each of them took.
    :ivar errors: texts of those that failed.
    """

    def __init__(self):
        self.seconds = []
        self.errors = []

    def call(self, send, token):
        begin = clock()
        try:
            send(token)
        except Exception as error:
            self.errors.append(repr(error))
        self.seconds.append(clock() - begin)

    def summary(self, figure, connections):
        """Return all of it as values of JSON."""
        ordered = sorted(self.seconds)
        return {"rate": figure.rate, "cpu": figure.cpu, "connections": connections,
                "p50": median(ordered), "p99": ordered[len(ordered) * 99 // 100],
                "raised": len(self.errors), "first": self.errors[:1]}


class Client(object):
    """Our client.

    :param job: what stands in the job.
    :param backend: name of the back-end's module.
    """

    def __init__(self, job, backend="apnsclient.backends.stdio"):
        self.session = Session(pool=backend, protocol="http2", verify=False, **job["options"])
        self._apns = APNs(self.session.get_connection(tuple(job["address"]),
                                                      cert_string=job["certificate"]))
        self._payload = job["payload"]

    def send(self, tokens):
        """Send one message, and see that it was accepted for all tokens."""
        expect(self._apns.send(Message(tokens, payload=self._payload, expiry=EXPIRY,
                                       apns_topic=TOPIC)), 0)

    def close(self):
        """Close the session; return how many connections it had."""
        connections = self.session.pool.idle_count()
        self.session.shutdown()
        return connections


def threads(job):
    return _callers(job, Client(job), _run_threads)


def greenlets(job):
    return _callers(job, Client(job, "apnsclient.backends.gevent"), _run_greenlets)


def _callers(job, client, run_all):
    """Send single messages as so many callers who share a session.

    :param run_all: called with a function and a number of callers; calls it with the number of each
        of them, all at the same time.
    """
    callers, calls = job["callers"], Calls()
    tokens = new_tokens(callers * job["each"])

    def work(number):
        for token in tokens[number::callers]:
            calls.call(client.send, token)

    if job["is_warm"]:
        run_all(lambda number: client.send(tokens[number]), callers)
    figure = measured(len(tokens), lambda: run_all(work, callers))
    return calls.summary(figure, client.close())


def _run_threads(function, count):
    started = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def _run_greenlets(function, count):
    import gevent
    gevent.joinall([gevent.spawn(function, number) for number in range(count)], raise_error=True)


def tasks(job):
    import bench_callers_aioapns
    return bench_callers_aioapns.tasks(job)


def campaign(job):
    """Send one message to many tokens."""
    client, tokens = Client(job), new_tokens(job["tokens"])
    client.send(tokens[:_WARM])
    figure = measured(len(tokens), lambda: client.send(tokens))
    return {"rate": figure.rate, "cpu": figure.cpu, "connections": client.close()}


def single(job):
    """Send the same message to one token, time and again."""
    client, token = Client(job), new_tokens(1)
    return _singles(job, lambda: client.send(token))


def plain(job):
    """The same requests, written and read through pyOpenSSL as it is."""
    return _singles(job, Requests(tuple(job["address"]), job["certificate"],
                                  job["payload"]).exchange)


def pycurl(job):
    """The same requests through libcurl."""
    handle, path = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "w") as target:
            target.write(job["certificate"])
        return _singles(job, _new_curl(job, path).perform)
    finally:
        os.remove(path)


def _new_curl(job, certificate):
    """Return an easy handle that sends the request each time it performs."""
    import pycurl as curl
    handle = curl.Curl()
    host, port = job["address"]
    handle.setopt(curl.URL, "https://%s:%d/3/device/%s" % (host, port, new_tokens(1)[0]))
    handle.setopt(curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2TLS)
    handle.setopt(curl.SSL_VERIFYPEER, 0)
    handle.setopt(curl.SSL_VERIFYHOST, 0)
    handle.setopt(curl.SSLCERT, certificate)
    handle.setopt(curl.SSLKEY, certificate)
    handle.setopt(curl.POSTFIELDS, job["payload"])
    handle.setopt(curl.HTTPHEADER, ["apns-topic: " + TOPIC, "apns-push-type: alert",
                                    "apns-priority: 10", "Accept:", "Content-Type:"])
    handle.setopt(curl.FAILONERROR, 1)
    handle.setopt(curl.WRITEFUNCTION, lambda body: None)
    return handle


def _singles(job, send):
    calls = Calls()
    for _ in range(job["count"] // 5):
        send()
    figure = measured(job["count"], lambda: [
        calls.call(lambda _: send(), None) for _ in range(job["count"])])
    return calls.summary(figure, 1)


KINDS = dict((function.__name__, function) for function in (
    threads, greenlets, tasks, campaign, single, plain, pycurl))


def main():
    pin(0)
    print(json.dumps(KINDS[sys.argv[1]](json.loads(sys.stdin.read()))))


if __name__ == "__main__":
    main()
