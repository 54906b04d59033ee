"""A worker of Celery and what it does with messages, over a real broker.

One worker serves most tests. Each has tokens and a credential of its own, so that what one has
stopped is not stopped for another, and is connected to anew. What is large is in
``test_celery_storm``.
"""

import itertools
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("celery")
pytest.importorskip("redis")

from apnsclient import Message
from apnsclient.testing.simulator import ProviderScript
from celery_brokers import redis_server
from celery_support import TOPIC, Site
from net_support import SOON, make_tokens

#: Since when a token is dead (seconds since 1970).
DEAD_SINCE = 1700000000
#: What a worker says of its circuit breaker.
STOPPED = r"ERROR/.* nothing is sent to target '%s' with credential '%s'"
WORKS_AGAIN = r"target '%s' with credential '%s' works again"
#: The server takes ten requests, responds to eight, and hangs up.
TWO_UNKNOWN = ProviderScript(no_response_at=[4, 7], close_after=10)


@contextmanager
def new_site(folder, **options):
    """Start an application in a folder, with a broker of its own."""
    with redis_server(folder) as url, Site(folder, url, probe_after=2.0, **options).open() as site:
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with new_site(tmp_path_factory.mktemp("celery")) as running:
        yield running


@pytest.fixture(scope="module")
def worker(site):
    """A worker with two processes."""
    with site.worker("prefork") as running:
        yield running


@pytest.fixture
def credential(site, request):
    """Name of a credential that no other test has."""
    site.set_credentials(**{request.node.name: site.simulator.token_parameters})
    return request.node.name


@pytest.fixture(scope="module")
def new_tokens():
    """A function that makes so many tokens that no other test has."""
    first = itertools.count(0, 100000)
    return lambda count: make_tokens(count, first=next(first))


def push(tokens, **options):
    return Message(tokens, alert="Dinner is ready", apns_topic=TOPIC, **options)


def accepted(site, tokens):
    """Return the notifications to some tokens that were accepted."""
    return [one for one in site.simulator.accepted if one.token in set(tokens)]


def test_connections_last_longer_than_tasks(site, worker, new_tokens, credential):
    """A process has one session for all of its tasks, and so no more connections than it may."""
    tokens = new_tokens(300)
    before = site.simulator.provider_connections

    results = [site.queue(push(tokens[first:first + 10]), credential=credential)
               for first in range(0, 300, 10)]
    counts = [result.get(timeout=SOON) for result in results]

    assert [each["accepted"] for each in counts] == [10] * 30
    assert sorted(one.token for one in accepted(site, tokens)) == tokens
    # Two processes, and the default pool_size.
    assert site.simulator.provider_connections - before <= 2 * 5
    assert {row[1] for row in site.told("asked")} == {credential}


def test_a_policy_says_who_may_get_it_twice(site, worker, new_tokens, credential):
    """Whoever may have got it gets it again, or not, or a function says it."""
    for tasks, resent in (("push", 2), ("once", 0), ("choosing", 1)):
        tokens = new_tokens(10)
        site.simulator.script_provider(TWO_UNKNOWN)

        counts = site.queue(push(tokens), tasks=tasks, credential=credential).get(timeout=SOON)

        assert (counts["tokens"], counts["accepted"], counts["dropped"], counts["resent"]) == (
            10, 8 + resent, 2 - resent, resent)
        found = accepted(site, tokens)
        assert len(found) == 10 + resent
        # What is sent again has the identifier that it had.
        assert len({one.apns_id for one in found}) == 10


def test_dead_tokens_are_handed_over_until_they_are_taken(site, worker, new_tokens, credential):
    """The application's data base may be away for a while; what was sent is not sent again."""
    tokens = new_tokens(20)
    for token in tokens[:5]:
        site.simulator.devices.uninstall(token, DEAD_SINCE)
    site.simulator.devices.bad(tokens[5])
    site.events.rpush("failures", "once", "twice")

    counts = site.queue(push(tokens), credential=credential).get(timeout=SOON)

    assert (counts["accepted"], counts["gone"]) == (14, 5)
    assert counts["rejected"] == {"BadDeviceToken": 1}
    rows = [site.take("gone")[1:] for _ in range(5)]
    assert sorted(rows) == [[token, "2023-11-14T22:13:20+00:00", "Unregistered"]
                            for token in tokens[:5]]
    assert site.take("bad")[1:] == [tokens[5], "BadDeviceToken"]
    assert len(accepted(site, tokens)) == 14


def test_what_is_too_late_is_dropped_and_counted(site, worker, new_tokens, credential):
    """A message that has expired in the broker is not sent; one that is not stored is."""
    late, now = new_tokens(3), new_tokens(3)

    first = site.queue(push(late, expiry=int(time.time()) - 1), credential=credential)
    second = site.queue(push(now, expiry=0), credential=credential)

    assert first.get(timeout=SOON)["expired"] == 3
    assert second.get(timeout=SOON)["accepted"] == 3
    assert [one.token for one in accepted(site, late + now)] == now


def test_the_soft_time_limit_leaves_nobody_out(site, worker, new_tokens, credential):
    """Sending ends before the limit, and what is left goes back to the broker."""
    tokens, start = new_tokens(20), worker.mark()
    site.simulator.script_provider(ProviderScript(
        silent_after=3, settings={"max_concurrent_streams": 5}))

    result = site.queue(push(tokens), credential=credential, soft_time_limit=4)
    counts = result.get(timeout=SOON)

    assert counts["accepted"] == 20 and 0 < counts["resent"] < 10
    assert {one.token for one in accepted(site, tokens)} == set(tokens)
    assert not worker.find("SoftTimeLimitExceeded", start)


def test_a_key_is_replaced_without_a_word(site, worker, new_tokens, credential):
    """The application gives another key as soon as Apple refuses the one in use."""
    tokens, start = new_tokens(2), worker.mark()
    old = {"key_id": "ROTATED001", "team_id": site.simulator.team_id}
    new = dict(old, key_id="ROTATED002")
    for key in (old, new):
        key["key_string"] = site.simulator.add_key(key["key_id"])
    site.set_credentials(**{credential: old})
    assert site.queue(push(tokens[:1]), credential=credential).get(timeout=SOON)["accepted"] == 1

    site.set_credentials(**{credential: new})
    site.simulator.revoke_key(old["key_id"])

    assert site.queue(push(tokens[1:]), credential=credential).get(timeout=SOON)["accepted"] == 1
    assert not worker.find("ERROR", start)


def test_a_revoked_key_stops_everything_until_there_is_another(
        site, worker, new_tokens, credential):
    """One error in the log; nothing is lost, and no more is tried than to find out."""
    tokens, start = new_tokens(400), worker.mark()
    key = {"key_id": "REVOKED001", "team_id": site.simulator.team_id,
           "key_string": site.simulator.key_string}
    site.set_credentials(**{credential: key})
    before = site.simulator.error_count

    results = [site.queue(push(tokens[first:first + 20]), credential=credential)
               for first in range(0, 400, 20)]
    worker.wait_for(STOPPED % ("simulator", credential), start)
    worker.wait_for("again|retry", start, count=10)
    site.set_credentials(**{credential: site.simulator.token_parameters})

    assert sum(result.get(timeout=SOON)["accepted"] for result in results) == 400
    worker.wait_for(WORKS_AGAIN % ("simulator", credential), start)
    assert len(worker.find("ERROR", start)) == 1
    assert sorted(one.token for one in accepted(site, tokens)) == tokens
    # Two processes may find out at the same time; then there is one probe after the other.
    assert site.simulator.error_count - before < 20


def test_a_person_lets_a_mended_key_be_used(site, worker, new_tokens, credential):
    """The next probe would be in ten minutes; after the control command nobody waits for it."""
    tokens, start = new_tokens(20), worker.mark()
    wrong = dict(site.simulator.token_parameters, key_id="REVOKED002")
    site.set_credentials(**{credential: wrong})
    site.queue(push(tokens), tasks="patient", credential=credential)
    worker.wait_for(STOPPED % ("simulator", credential), start)

    site.set_credentials(**{credential: site.simulator.token_parameters})
    replies = site.application.app.control.broadcast(
        "apns_close_breaker", {"target": "simulator", "credential": credential}, reply=True,
        timeout=SOON, limit=1)
    counts = site.queue(push(tokens), tasks="patient", credential=credential).get(timeout=SOON)

    assert "simulator with %s" % credential in str(replies)
    assert counts["accepted"] == 20
    assert len(worker.find("ERROR", start)) == 1


def test_a_campaign_of_a_source_is_counted(site, worker, credential):
    """Workers read the source piece by piece, and the callback gets the counts of all of them."""
    application, first = site.application, 0xf000
    message = Message([], alert="Dinner is ready", apns_topic=TOPIC)
    tokens = make_tokens(2500, first=first)
    site.simulator.devices.uninstall(tokens[-1], DEAD_SINCE)

    campaign = application.push.fan_out(
        message, source="numbers", arguments={"start": first, "end": first + 2500},
        target="simulator", credential=credential, callback=application.count.s())

    counts = site.take("counted")[1]
    assert (counts["tokens"], counts["accepted"], counts["gone"]) == (2500, 2499, 1)
    assert application.app.AsyncResult(campaign.id).get(timeout=SOON) == counts
    assert site.take("gone")[1] == tokens[-1]
    assert sorted(one.token for one in accepted(site, tokens)) == tokens[:-1]


def test_a_wrong_environment_deletes_nobody(site, worker, new_tokens, credential):
    """Every token is refused as bad: there is one error, and nothing is handed over or lost."""
    tokens, start = new_tokens(200), worker.mark()
    for token in tokens:
        site.simulator.devices.bad(token)

    results = [site.queue(push(tokens[first:first + 50]), "direct", credential=credential)
               for first in range(0, 200, 50)]
    worker.wait_for(STOPPED % ("direct", credential), start)
    # A message of which some tokens are accepted already shows that the others are really bad.
    left = {result.id for result in results}
    while left:
        left.discard(site.take("ended")[2])
    site.simulator.devices.remove(*tokens)

    assert sum(result.get(timeout=SOON)["accepted"] for result in results) == 200
    assert len(worker.find("ERROR", start)) == 1
    assert site.told("bad") == site.told("gone") == []
    assert sorted(one.token for one in accepted(site, tokens)) == tokens


def test_a_warm_shutdown_leaves_nobody_out(tmp_path, new_tokens):
    """What is in flight is sent to its end, and what is not begun is left to another worker."""
    tokens = new_tokens(60)
    with new_site(tmp_path, session={"pool_size": 1}) as site:
        site.simulator.script_provider(ProviderScript(hold=True))
        results = [site.queue(push(tokens[first:first + 10])) for first in range(0, 60, 10)]
        with site.worker("threads", "--loglevel", "DEBUG") as leaving:
            assert site.simulator.wait_for(lambda: site.simulator.held, SOON)
            leaving.ask_to_end()
            # Until then it takes more from the broker.
            leaving.wait_for("Worker: (Closing|Stopping) Pool")
            while leaving.is_running():
                site.simulator.wait_for(lambda: site.simulator.held, 0.1)
                site.simulator.release_held()
            assert leaving.wait() == 0
        finished = len(accepted(site, tokens))
        assert finished % 10 == 0 and 0 < finished < 60

        with site.worker("solo") as staying:
            assert sum(result.get(timeout=SOON)["accepted"] for result in results) == 60
            staying.ask_to_end()
            assert staying.wait() == 0
        assert sorted(one.token for one in accepted(site, tokens)) == tokens
