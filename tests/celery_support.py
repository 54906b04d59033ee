"""What tests of Celery workers share: an application, its workers, and what they send to.

The workers are processes of the command ``celery``. What the application's functions get of the
tasks comes to the test over Redis, so that a test waits for what it expects. The tasks send to a
simulator in the test's process, through a chaos proxy.
"""

import importlib.util
import json
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import redis
from celery import signals

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.simulator import Simulator
from celery_brokers import HANG, Program
from net_support import script_environment

__all__ = ["Site", "TOPIC", "Worker"]

TOPIC = "com.example.dinner"

#: The module of the application. Its settings are read anew wherever a program would ask a data
#: base, so that a test can change them while workers run.
APPLICATION = '''
import json
import os
import pathlib

import redis
from celery import Celery, signals

from apnsclient.contrib.celery import PushTasks

FILE = pathlib.Path(__file__).with_name("settings.json")


def read_settings():
    return json.loads(FILE.read_text())


GIVEN = read_settings()
app = Celery("application", broker=GIVEN["broker"], backend=GIVEN["redis"] + "/1")
app.conf.update(GIVEN["celery"])
events = redis.Redis.from_url(GIVEN["redis"] + "/2")


def tell(kind, *what):
    events.rpush(kind, json.dumps([os.getpid(), *what]))


def find_credential(name):
    tell("asked", name)
    return read_settings()["credentials"][name]


def forget_token(token, since, reason):
    if events.lpop("failures"):
        raise RuntimeError("the data base is locked")
    tell("gone", token, since.isoformat(), reason)


def note_bad_token(token, reason):
    tell("bad", token, reason)


def resend_to_all(message, tokens):
    tell("unknown", tokens)
    return tokens


def resend_to_every_other(message, tokens):
    return tokens[::2]


def numbers(after, limit, start, end):
    first = (int(after, 16) if after else start) + 1
    return ["%064x" % number for number in range(first, min(first + limit, end + 1))]


def new_tasks(**options):
    return PushTasks(
        app, credentials=find_credential, targets=GIVEN["targets"],
        session_options=GIVEN["session"], on_gone=forget_token, on_bad_token=note_bad_token,
        sources={"numbers": numbers}, **{**GIVEN["options"], **options})


push = new_tasks(unknown=resend_to_all)
once = new_tasks(unknown="drop", prefix="once.")
choosing = new_tasks(unknown=resend_to_every_other, prefix="choosing.")
patient = new_tasks(probe_after=600.0, probe_at_most=600.0, prefix="patient.")


@app.task(shared=False)
def count(counts):
    tell("counted", counts)


@signals.task_prerun.connect
def begin(task_id, task, args, kwargs, **_):
    message = kwargs.get("message") or (args or [{}])[0]
    tokens = message.get("tokens", []) if isinstance(message, dict) else []
    tell("began", task.name, task_id, task.request.retries, tokens)


@signals.task_postrun.connect
def end(task_id, task, state, **_):
    tell("ended", task.name, task_id, state)
'''

#: Together, so that nothing that a worker has taken is lost with it.
CELERY = {
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 1,
    "broker_connection_retry_on_startup": True,
}


class Site:
    """An application in a folder, and what it talks to.

    :param folder: ``pathlib.Path``.
    :param redis_url: a Redis for results and for what the application tells, ``redis://host:port``.
    :param broker: URL of the broker; None for the same Redis.
    :param celery: options of Celery (dict).
    :param session: options of sessions (dict).
    :param options: further options of all ``PushTasks``.

    :ivar simulator: what the tasks send to: target "simulator",
    :ivar proxy: through this; the target "direct" leads to it without.
    :ivar events: what the application tells: a Redis client.
    """

    def __init__(self, folder, redis_url, broker=None, celery=None, session=None, **options):
        self.folder = folder
        self.simulator = Simulator()
        self.proxy = ChaosProxy(("127.0.0.1", 0))
        self.events = redis.Redis.from_url(redis_url + "/2", socket_timeout=None)
        #: The broker, if it is Redis.
        self._queues = None if broker else redis.Redis.from_url(redis_url + "/0")
        self._given = {
            "redis": redis_url, "broker": broker or redis_url + "/0",
            "celery": dict(CELERY, **celery or {}), "options": options, "credentials": {},
            "session": dict(session or {}, protocol="http2", ca_string=self.simulator.ca_string)}
        self._module = None

    @contextmanager
    def open(self):
        """Start the simulator and the proxy, and write the application."""
        with ExitStack() as stack:
            stack.callback(self.events.close)
            if self._queues is not None:
                stack.callback(self._queues.close)
            apple = stack.enter_context(self.simulator)
            self.proxy.backend = apple.provider_address
            stack.enter_context(self.proxy)
            self._given["targets"] = {
                "simulator": self.proxy.address, "direct": apple.provider_address,
                "feedback": {"address": apple.feedback_address, "protocol": "binary"}}
            (self.folder / "application.py").write_text(APPLICATION)
            self.set_credentials(default=apple.token_parameters)
            yield self

    @property
    def has_redis(self):
        """Whether Redis is the broker."""
        return self._queues is not None

    def set_credentials(self, **credentials):
        """Write down credentials by name, for the application to find."""
        self._given["credentials"].update(credentials)
        new = self.folder / "settings.new"
        new.write_text(json.dumps(self._given))
        new.replace(self.folder / "settings.json")

    def queue(self, message, target="simulator", tasks="push", **options):
        """Queue a message; return Celery's result of it.

        :param tasks: name of one of the application's ``PushTasks``.
        :param options: of the task, beside those of ``apply_async`` that are named below.
        """
        named = {name: options.pop(name) for name in ("soft_time_limit",) if name in options}
        task = getattr(self.application, tasks).send_push
        return task.apply_async((message, target), options, **named)

    @property
    def application(self):
        """The module of the application, as a program imports it that queues messages."""
        if self._module is None:
            spec = importlib.util.spec_from_file_location(
                "application", str(self.folder / "application.py"))
            self._module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._module)
            # They are for workers: tasks of other tests, which run here, would call them, too.
            signals.task_prerun.disconnect(self._module.begin)
            signals.task_postrun.disconnect(self._module.end)
        return self._module

    def take(self, kind, limit=HANG):
        """Wait for the next thing of a kind that the application tells; return it."""
        found = self.events.blpop([kind], timeout=limit)
        assert found is not None, "nothing came of %r: %s" % (kind, self._describe_queues())
        return json.loads(found[1])

    def _describe_queues(self):
        if self._queues is None:
            return ""
        return "%d tasks are queued, %d are taken, since %s" % (
            self._queues.llen("celery"), self._queues.hlen("unacked"),
            [time.ctime(since) for _, since in self._queues.zrange(
                "unacked_index", 0, -1, withscores=True)])

    def told(self, kind):
        """Return all things of a kind that have not been taken."""
        return [json.loads(one) for one in self.events.lrange(kind, 0, -1)]

    def await_taken(self, count, total, limit=HANG):
        """Wait until workers have taken so many tasks, of all that were queued, and none is lost.

        Redis gives a task away before the worker notes that it has it. Of another broker, which
        notes that itself, nothing is known.

        :param total: how many were queued (int).
        """
        if self._queues is None:
            return
        pause, end = threading.Event(), time.monotonic() + limit
        while True:
            taken = self._queues.hlen("unacked")
            ended = sum(row[3] == "SUCCESS" for row in self.told("ended"))
            if taken >= count and taken + self._queues.llen("celery") + ended == total:
                return
            assert time.monotonic() < end, self._describe_queues()
            pause.wait(0.02)

    def expire_taken(self):
        """Let the ``visibility_timeout`` of all that was taken be over, if the broker is Redis."""
        if self._queues is not None:
            for tag in self._queues.zrange("unacked_index", 0, -1):
                self._queues.zadd("unacked_index", {tag: 0})

    @contextmanager
    def worker(self, pool, *arguments, limit=HANG):
        """Start a worker; it is ready in the block, and dead at its end, or after ``limit``."""
        started = Worker(self.folder, pool, arguments, limit)
        try:
            started.wait_for("@.* ready")
            yield started
        except BaseException:
            print(started.output)
            raise
        finally:
            started.stop()


class Worker(Program):
    """A process of ``celery worker``, with those that it starts."""

    _count = 0

    def __init__(self, folder, pool, arguments=(), limit=HANG, application="application",
                 **environment):
        Worker._count += 1
        command = [
            sys.executable, "-m", "celery", "-A", application, "worker", "--pool", pool,
            "-c", "2", "--loglevel", "INFO", "--without-gossip", "--without-mingle",
            "--without-heartbeat", "-n", "apns%d@%%h" % Worker._count]
        super().__init__(command + list(arguments), folder,
                         dict(script_environment(), PYTHONFAULTHANDLER="1", **environment), limit)

    def ask_to_end(self):
        """Ask it for a warm shutdown, as an operator does."""
        self.send_signal(signal.SIGTERM)
