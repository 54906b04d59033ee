"""A campaign through workers of Celery while everything goes wrong that can: nobody is left out.

Connections are dropped every now and then, a process of a worker is killed, and for a while nobody
can be connected to. ``CELERY_WORKERS=whole`` makes it a campaign for 20 000 devices and an outage
of 30 seconds, and takes RabbitMQ as the broker, too. Its figures are printed (``pytest -s``).
"""

import os
import signal
import threading
from collections import defaultdict
from contextlib import ExitStack
from typing import NamedTuple

import pytest

pytest.importorskip("celery")
pytest.importorskip("redis")

from apnsclient import Message
from apnsclient.testing.simulator import RequestScript
from celery_brokers import HANG, rabbitmq, redis_server
from celery_support import TOPIC, Site
from net_support import make_tokens

IS_WHOLE = os.environ.get("CELERY_WORKERS") == "whole"

#: Since when a token is dead (seconds since 1970).
DEAD_SINCE = 1700000000
#: Seconds after which something hangs.
LIMIT = 1500 if IS_WHOLE else HANG
#: Tasks that each process or thread has, or greenlet. With one for each, the latter two would look
#: for more every other second only, where there is Redis.
PREFETCH = 4
#: Options of sessions: a worker that is to be killed does not give up before.
SESSION = {"pool_size": 1, "read_timeout": LIMIT, "write_timeout": LIMIT}
#: Options of Redis with which a message of a dead worker comes back while the test waits. Where
#: there is no event loop, none does unless the polling interval is longer than two seconds.
IMPATIENT = {"visibility_timeout": 60, "unacked_restore_interval": 1,
             "unacked_restore_throttle": 1, "polling_interval": 3}


class Load(NamedTuple):
    """How much there is to do.

    :ivar tokens: how many devices there are.
    :ivar chunk: how many are in one task.
    :ivar dead: how many of them are gone.
    :ivar cut: bytes after which each connection is dropped.
    :ivar outage: seconds at least in which nobody can connect.
    """

    tokens: int
    chunk: int
    dead: int
    cut: int
    outage: float


LOAD = Load(20000, 500, 200, 300000, 30.0) if IS_WHOLE else Load(1500, 100, 15, 60000, 0.0)


class Storm:
    """A campaign, and what is done to it.

    :param site: the :class:`Site`.
    """

    def __init__(self, site):
        self.site = site
        self.tokens = make_tokens(LOAD.tokens)
        self.dead = self.tokens[::LOAD.tokens // LOAD.dead][:LOAD.dead]
        self.alive = sorted(set(self.tokens).difference(self.dead))
        for token in self.dead:
            site.simulator.devices.uninstall(token, DEAD_SINCE)

    def drop_connections(self):
        """Have each connection dropped after a while."""
        self.site.proxy.set_handler("cut-after-bytes", count=LOAD.cut, direction="to_backend")

    def begin(self):
        """Queue the campaign; when a fifth of it has come, responses are held back.

        However fast the workers are, they are then in the middle of it.
        """
        self.site.simulator.faults.script_requests(
            RequestScript(count=LOAD.tokens // 5),
            RequestScript(hold=True, count=100 * LOAD.tokens))
        application = self.site.application
        message = Message([], alert="Dinner is ready", apns_topic=TOPIC)
        application.push.fan_out(message, self.tokens, target="simulator",
                                 callback=application.count.s())

    def await_middle(self):
        """Wait until responses are held back."""
        simulator = self.site.simulator
        assert simulator.wait_for(lambda: simulator.held > 0, LIMIT)

    def await_outage(self, workers):
        """Let nobody connect until the workers have noticed, and so many seconds at least.

        Connections are reset when it begins. In the end responses come again.
        """
        marks = [worker.mark() for worker in workers]
        self.site.proxy.stop()
        threading.Event().wait(LOAD.outage)
        for worker, mark in zip(workers, marks):
            worker.wait_for("cannot connect", mark, limit=LIMIT)
        self.site.simulator.faults.clear_scripts("requests")
        self.site.simulator.release_held()
        self.site.proxy.start()

    def judge(self, counts):
        """See that nobody was left out, and that only who had to be got it twice; print figures."""
        sent_to, lost = self.count_accepted(), self.find_lost()
        unknown = {token for _, tokens in self.site.told("unknown") for token in tokens}
        again = {token for token, identifiers in sent_to.items() if len(identifiers) > 1}
        assert sorted(sent_to) == self.alive
        assert again <= unknown | lost
        assert {row[1] for row in self.site.told("gone")} == set(self.dead)
        # A device that shows what has the same identifier once shows it once.
        assert all(len(set(identifiers)) == 1 for identifiers in sent_to.values())
        assert counts["tokens"] == LOAD.tokens and counts["gone"] == LOAD.dead
        assert counts["accepted"] == len(self.alive) and counts["rejected"] == {}
        duplicates = sum(len(identifiers) - 1 for identifiers in sent_to.values())
        print("%d accepted, %d of them twice; in flight at a fault: %d without a response, %d in "
              "tasks of killed processes; %d connections, %d resumed, %d dropped; counts %r" % (
                  self.site.simulator.accepted_count, duplicates, len(unknown), len(lost),
                  self.site.simulator.provider_connections, self.site.simulator.resumed,
                  self.site.proxy.fault_count, counts))

    def count_accepted(self):
        """Return the identifiers of all notifications that were accepted, by token."""
        found = defaultdict(list)
        for accepted in self.site.simulator.accepted:
            found[accepted.token].append(accepted.apns_id)
        return found

    def find_lost(self):
        """Return the tokens of the tasks whose process was killed: they were begun again."""
        begun = defaultdict(list)
        for _, _, task, retries, tokens in self.site.told("began"):
            begun[task, retries].append(tokens)
        return {token for attempts in begun.values() for tokens in attempts[1:]
                for token in tokens}


@pytest.fixture(params=["redis"] + ["rabbitmq"] * IS_WHOLE)
def site(request, tmp_path):
    """An application in a folder of its own, with a broker of its own."""
    with ExitStack() as stack:
        redis_url = stack.enter_context(redis_server(tmp_path, LIMIT))
        options, broker = {"worker_prefetch_multiplier": PREFETCH}, None
        if request.param == "redis":
            options["broker_transport_options"] = IMPATIENT
        else:
            broker = stack.enter_context(rabbitmq(tmp_path, LIMIT))
        yield stack.enter_context(Site(
            tmp_path, redis_url, broker, celery=options, session=SESSION,
            chunk_tokens=LOAD.chunk).open())


def kill_child(site, worker):
    """Kill a process of a prefork worker while it runs a task."""
    killed, start = set(), worker.mark()
    while not worker.find("WorkerLostError", start):
        ended = {row[2] for row in site.told("ended")}
        busy = {row[0] for row in site.told("began") if row[2] not in ended} - killed
        if busy:
            killed.add(min(busy))
            os.kill(min(busy), signal.SIGKILL)
            worker.wait_for("exited with 'signal 9", start, len(killed))


@pytest.mark.timeout(LIMIT + 60)
def test_nobody_is_left_out_by_processes(site):
    """A child that is killed leaves its task to another."""
    storm = Storm(site)
    storm.drop_connections()
    with site.worker("prefork", limit=LIMIT) as worker:
        storm.begin()
        storm.await_middle()
        kill_child(site, worker)
        storm.await_outage([worker])
        storm.judge(site.take("counted", LIMIT)[1])
        worker.ask_to_end()
        assert worker.wait() == 0


@pytest.mark.timeout(LIMIT + 60)
@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_nobody_is_left_out_when_a_worker_is_killed(site, pool):
    """The broker gives its tasks to another one: RabbitMQ at once, Redis after a while.

    Redis loses a task that it has given away and a worker has not noted yet. So the worker is
    killed when it has all that it may have, and is stuck in the middle of it. A worker of
    greenlets loses one even so, and is killed with RabbitMQ only.
    """
    storm = Storm(site)
    if pool == "threads" or not site.has_redis:
        site.proxy.set_handler("hang", after=LOAD.chunk * 150, direction="to_backend")
        with site.worker(pool, limit=LIMIT) as first:
            storm.begin()
            assert site.proxy.wait_for(lambda: site.proxy.fault_count, LIMIT)
            site.await_taken(2 * PREFETCH, LOAD.tokens // LOAD.chunk + 1, LIMIT)
            first.kill()
        site.expire_taken()
    else:
        storm.begin()
    storm.drop_connections()
    with site.worker(pool, limit=LIMIT) as second:
        storm.await_middle()
        storm.await_outage([second])
        storm.judge(site.take("counted", LIMIT)[1])
        second.ask_to_end()
        assert second.wait() == 0
