"""One client of ``bench_aio.py``: a process of its own, on the first core.

    PYTHON bench_aio_client.py CLIENT KIND

Python 3.8 or newer. It needs nothing but the client that it is about, which may be in an
environment of its own: not all of them get along with each other. Takes a job as a line of JSON
with the keys ``address``, ``certificate``, ``payload`` and ``count``, for callers also ``callers``.
Prints a line of JSON with what was measured.
"""

import asyncio
import gc
import importlib
import itertools
import json
import logging
import os
import random
import resource
import ssl
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOPIC = "com.example.app"
#: How many notifications are sent before anything is measured: tables are filled, streams open.
_WARM = 200
#: How many tasks send single notifications where a million are sent.
_TASKS = 1000
#: How many clients there are where one is too small to be measured.
_CLIENTS = 20


class Ours:
    """Our client."""

    def __init__(self, client, notification):
        self._client = client
        self._notification = notification

    @classmethod
    async def create(cls, job, certificate):
        """Return one whose connection is open."""
        api = importlib.import_module("apnsclient.aio.api")
        models = importlib.import_module("apnsclient.models")
        client = await api.create_client(certificate, tuple(job["address"]), verify=False,
                                         topic=TOPIC, pool_size=1, timeout=120.0)
        aps = job["payload"]["aps"]
        return cls(client, models.Notification(
            alert=models.Alert(**aps["alert"]), badge=aps["badge"], sound=aps["sound"],
            priority=models.Priority.immediately))

    async def send(self, token):
        """Send a notification, and see that it is accepted."""
        await self._client.send_notification(token, self._notification)

    async def send_many(self, count):
        """Send to so many tokens; return how many were accepted."""
        accepted = 0
        async for outcome in self._client.send_many(
                (token, self._notification) for token in new_tokens(count)):
            accepted += outcome.is_accepted
        return accepted

    async def close(self):
        """Close it."""
        await self._client.close()


class Aioapns:
    """aioapns, which knows a response by the ``apns-id`` of its request."""

    def __init__(self, library, client, payload):
        self._library = library
        self._client = client
        self._payload = payload

    @classmethod
    async def create(cls, job, certificate):
        """Return one; it connects when it sends."""
        library = importlib.import_module("aioapns")
        protocol = importlib.import_module("aioapns.connection").APNsProductionClientProtocol
        protocol.APNS_SERVER, protocol.APNS_PORT = job["address"]
        context = new_context(certificate)
        context.set_alpn_protocols(["h2"])
        client = library.APNs(client_cert=certificate, topic=TOPIC, max_connections=1,
                              ssl_context=context)
        return cls(library, client, job["payload"])

    async def send(self, token):
        """Send a notification, and see that it is accepted."""
        response = await self._client.send_notification(self._library.NotificationRequest(
            device_token=token, message=self._payload, priority=10,
            push_type=self._library.PushType.ALERT))
        assert response.is_successful, response.description

    async def close(self):
        """Its connection ends with the process."""


class Aapns:
    """aapns."""

    def __init__(self, library, client, payload):
        self._priority = library.config.Priority.immediately
        self._client = client
        aps = payload["aps"]
        self._notification = library.models.Notification(
            alert=library.models.Alert(**aps["alert"]), badge=aps["badge"], sound=aps["sound"])

    @classmethod
    async def create(cls, job, certificate):
        """Return one whose connection is open, or being opened."""
        library = importlib.import_module("aapns")
        for name in ("api", "config", "models", "pool"):
            importlib.import_module("aapns." + name)
        pool = await library.pool.Pool.create("https://%s:%d" % tuple(job["address"]), size=1,
                                              ssl=cls._context(library, certificate))
        return cls(library, library.api.APNS(pool), job["payload"])

    @staticmethod
    def _context(library, certificate):
        context = library.pool.create_ssl_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(certificate)
        return context

    async def send(self, token):
        """Send a notification, and see that it is accepted."""
        await self._client.send_notification(token, self._notification, priority=self._priority,
                                             topic=TOPIC)

    async def close(self):
        """Close it."""
        await self._client.close()


CLIENTS = {"ours": Ours, "aioapns": Aioapns, "aapns": Aapns}


# What is measured.

async def crowd(client, job):
    """Make all calls at once; of how many bytes the process grows for each."""
    tokens = list(new_tokens(job["count"]))
    grown, figure = await watched(job["count"], lambda: asyncio.gather(
        *[client.send(token) for token in tokens], return_exceptions=True))
    failures = [repr(one) for one in figure.pop("result") if one is not None]
    # What failed was not sent.
    part = 1 - len(failures) / job["count"]
    return {"rate": figure["rate"] * part, "cpu": figure["cpu"] / part,
            "bytes": grown / job["count"], "failed": len(failures), "first": failures[:1]}


async def tasks(client, job):
    """Send as so many tasks, one notification after the other each."""
    seconds, failures, each = [], [], job["count"] // job["callers"]

    async def work(tokens):
        for token in tokens:
            begin = time.perf_counter()
            try:
                await client.send(token)
            except Exception as error:
                failures.append(repr(error))
            seconds.append(time.perf_counter() - begin)

    async def run(count):
        tokens = list(new_tokens(count * job["callers"]))
        await asyncio.gather(*[work(tokens[number::job["callers"]])
                               for number in range(job["callers"])])

    await run(1)
    seconds.clear()
    _, figure = await watched(each * job["callers"], lambda: run(each))
    figure.pop("result")
    ordered = sorted(seconds)
    return dict(figure, p50=ordered[len(ordered) // 2], p99=ordered[len(ordered) * 99 // 100],
                failed=len(failures), first=failures[:1])


async def many(client, job):
    """Send them with ``send_many()``."""
    grown, figure = await watched(job["count"], lambda: client.send_many(job["count"]))
    return dict(figure, grown=grown, failed=job["count"] - figure.pop("result"), first=[])


async def each(client, job):
    """Send them as many tasks, one notification after the other each, and keep nothing."""
    tokens = new_tokens(job["count"])

    async def work():
        sent = 0
        for token in tokens:
            await client.send(token)
            sent += 1
        return sent

    grown, figure = await watched(job["count"], lambda: asyncio.gather(
        *[work() for _ in range(_TASKS)]))
    return dict(figure, grown=grown, failed=job["count"] - sum(figure.pop("result")), first=[])


async def idle(client, job):
    """Make further clients, which have sent a notification and do nothing now."""
    before, others = resident(), []
    with certificate_of(job) as path:
        for _ in range(_CLIENTS):
            other = await type(client).create(job, path)
            await other.send("00" * 32)
            others.append(other)
    grown = resident() - before
    for other in others:
        await other.close()
    return {"grown": grown / _CLIENTS}


KINDS = {function.__name__: function for function in (crowd, tasks, many, each, idle)}


async def watched(count, start):
    """Return by how many bytes the process grew, and what a call gave; it is awaited.

    :param count: how many notifications it sends.
    """
    gc.collect()
    reset_peak()
    before, used, begin = resident(), processor_time(), time.perf_counter()
    result = await start()
    seconds, used = time.perf_counter() - begin, processor_time() - used
    return peak() - before, {"rate": count / seconds, "cpu": used / count * 1e6, "result": result}


def processor_time():
    """Return the seconds of processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident():
    """Return the resident set, in bytes."""
    return _status("VmRSS:") or peak()


def peak():
    """Return the largest resident set since it was reset, in bytes."""
    return _status("VmHWM:") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak():
    """Forget how large it was, where Linux lets us."""
    try:
        with open("/proc/self/clear_refs", "w") as target:
            target.write("5")
    except OSError:
        pass


def _status(name):
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(name):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def new_tokens(count):
    """Return an iterator of so many device tokens: always the same ones, a thousand at most."""
    source = random.Random(1)
    tokens = ["%064x" % source.getrandbits(256) for _ in range(min(count, 1000))]
    return itertools.islice(itertools.cycle(tokens), count)


def new_context(certificate):
    """Return an SSL context that presents a certificate, and verifies nothing."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate)
    return context


class certificate_of:
    """Context manager that gives the certificate of a job as a file."""

    def __init__(self, job):
        self._text = job["certificate"]
        self._path = None

    def __enter__(self):
        handle, self._path = tempfile.mkstemp()
        with os.fdopen(handle, "w") as target:
            target.write(self._text)
        return self._path

    def __exit__(self, *exception):
        os.remove(self._path)


async def measure(client_name, kind, job):
    """Return what a client gave."""
    with certificate_of(job) as path:
        client = await CLIENTS[client_name].create(job, path)
        await client.send("00" * 32)
        await asyncio.gather(*[client.send(token) for token in new_tokens(_WARM)])
    figure = await KINDS[kind](client, job)
    await client.close()
    return figure


def main():
    """Keep to the first core, and measure."""
    # Some have thousands of lines to say, which would be measured, too.
    logging.disable(logging.CRITICAL)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    sys.path.insert(0, os.path.join(HERE, os.pardir, os.pardir))
    print(json.dumps(asyncio.run(measure(*sys.argv[1:3], json.loads(sys.stdin.read())))))


if __name__ == "__main__":
    main()
