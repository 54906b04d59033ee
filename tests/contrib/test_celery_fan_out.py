"""Campaigns: chunks that are tasks of their own, and the counts of all of them."""

import time
import typing
import uuid

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

import apnsclient.contrib.celery as celery_tasks
from apnsclient import Message
from apnsclient.contrib.celery import PushTasks
from apnsclient.contrib.celery._counts import count
from apnsclient.contrib.celery._fan_out import chunk_id, cut
from apnsclient.feedback_store import MemoryStore

pytestmark = pytest.mark.timeout(120)


def wait_for(predicate):
    deadline = time.monotonic() + 60
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@given(st.lists(st.text("0123456789abcdef", max_size=200)), st.integers(1, 5), st.integers(1, 400))
def test_chunks_are_small_and_have_all_tokens_in_order(tokens, most_tokens, most_bytes):
    """By number and by bytes; a token that is too long alone is a chunk."""
    pieces = list(cut(tokens, most_tokens, most_bytes))

    assert [token for piece in pieces for token in piece] == tokens
    for piece in pieces:
        assert 1 <= len(piece) <= most_tokens
        assert len(piece) == 1 or sum(len(token) + 4 for token in piece) <= most_bytes


def test_an_iterable_is_read_as_chunks_are_made():
    """A million tokens are never in memory at the same time; bytes are taken for text."""
    taken = []

    def tokens():
        for number in range(10 ** 6):
            taken.append(number)
            yield b"%064x" % number

    pieces = cut(tokens(), 10, 10 ** 6)
    assert next(pieces) == ["%064x" % number for number in range(10)]
    assert len(taken) == 11
    with pytest.raises(TypeError, match="of type int"):
        list(cut([1], 10, 10))


def test_a_campaign_ends_in_counts(shop):
    """The callback gets the sum; the identifier of the campaign is that of the task that adds."""
    tokens = shop.tokens(45)
    shop.simulator.devices.bad(tokens[44])
    shop.simulator.devices.uninstall(tokens[3], 1700000000)
    campaign = shop.push.fan_out(shop.message(0), iter(tokens), callback=shop.report.s())

    assert (campaign.chunks, campaign.tokens) == (5, 45)
    assert shop.counts(shop.app.AsyncResult(campaign.id)) == {
        "tokens": 45, "accepted": 43, "gone": 1, "rejected": {"BadDeviceToken": 1}}
    wait_for(lambda: shop.reports)
    assert shop.reports.pop()["accepted"] == 43
    assert len({one.apns_id for one in shop.simulator.accepted}) == 43

    # A chunk that is published twice is sent once.
    result = shop.app.tasks["apns.send_chunk"].apply_async(
        (shop.message(1),), {"campaign": campaign.id}, task_id=chunk_id(campaign.id, 0))
    assert shop.counts(result)["tokens"] == 10
    assert len(shop.simulator.accepted) == 43


def test_a_source_is_read_piece_by_piece_in_the_worker(shop, caplog):
    """With the arguments of the campaign; one that raises is called again from where it was."""
    shop.listed, shop.is_failing = shop.tokens(25), True
    campaign = shop.push.fan_out(shop.message(0), source="listed", callback=shop.report.s(),
                                 arguments={"skip": shop.listed[5]})

    assert shop.counts(shop.app.AsyncResult(campaign.id)) == {"tokens": 24, "accepted": 24}
    assert sorted(shop.simulator.accepted_tokens()) == shop.listed[:5] + shop.listed[6:]
    wait_for(lambda: shop.reports)
    shop.reports.pop()
    assert "'listed' of a campaign raised an exception" in caplog.text


def test_without_a_callback_nothing_is_stored(shop):
    """A result back-end is not needed then."""
    shop.listed = shop.tokens(3)
    first = shop.push.fan_out(shop.message(12))
    second = shop.push.fan_out(shop.message(0), source="listed")
    wait_for(lambda: len(shop.simulator.accepted) == 15)
    for campaign in (first, second):
        for name in (0, 1, "source 0", "source 1"):
            assert shop.app.AsyncResult(chunk_id(campaign.id, name)).state == "PENDING"
        assert shop.app.AsyncResult(campaign.id).state == "PENDING"


def test_a_source_that_does_not_move_on_is_a_failure(shop):
    """Instead of a campaign without end."""
    result = shop.app.tasks["apns.read_source"].apply_async((
        {}, "endless", {}, {"campaign": str(uuid.uuid4()), "until": time.time() + 60}, None, "00"))
    with pytest.raises(ValueError, match="gave the same tokens again"):
        result.get(timeout=60, interval=0.01)


def test_chunks_without_a_result_are_counted_when_it_is_too_late(shop, caplog):
    """The campaign ends all the same, and says how many."""
    campaign = str(uuid.uuid4())
    result = shop.app.tasks["apns.collect"].apply_async((
        campaign, [[0, 3]], count(tokens=5, accepted=5), shop.report.s(), time.time() - 3600))
    assert shop.counts(result) == {"tokens": 5, "accepted": 5, "failed_chunks": 3}
    assert "3 chunks of campaign %s have left no result" % campaign in caplog.text
    wait_for(lambda: shop.reports)
    shop.reports.pop()


def test_eager_tasks_are_added_up_at_once(make_shop):
    """As an application's own tests run them."""
    shop = make_shop(chunk_tokens=4)
    shop.app.conf.task_always_eager = True
    shop.listed = shop.tokens(9)
    for source in (None, "listed"):
        message = shop.message(0 if source else 10)
        shop.push.fan_out(message, source=source, callback=shop.report.s())
    assert [counts["accepted"] for counts in shop.reports] == [10, 9]


def test_what_cannot_be_is_refused_where_it_is_asked_for(shop):
    """Tokens from two places or none, names that nobody knows, a callback without a back-end."""
    message = shop.message(2)
    for arguments, options in (
            ((shop.message(0),), {}), ((message, ["00"]), {}),
            ((shop.message(0), ["00"]), {"source": "listed"}),
            ((shop.message(0),), {"source": "nowhere"}), ((message,), {"target": "elsewhere"})):
        with pytest.raises(ValueError):
            shop.push.fan_out(*arguments, **options)
    without = Celery("without", broker="memory://", set_as_current=False)
    with pytest.raises(ValueError, match="set result_backend"):
        PushTasks(without, dict, {"x": "push_production"}).fan_out(message, callback={})
    with pytest.raises(ValueError, match="no tokens"):
        shop.push.send_push.delay(shop.message(0))
    with pytest.raises(ValueError, match="prefix"):
        PushTasks(shop.app, dict, {"production": "push_production"})
    for options in ({"targets": {}}, {"targets": {"x" * 100: "push_production"}},
                    {"unknown": "maybe"}, {"chunk_tokens": 0}, {"probe_after": float("nan")}):
        with pytest.raises(ValueError):
            PushTasks(shop.app, dict, **dict({"targets": {"x": "push_production"},
                                              "prefix": "other."}, **options))


def test_the_feedback_is_given_to_the_same_callable(make_shop, simulator):
    """What is in a store that is shared with other programs, each token once."""
    shop = make_shop(session_options={
        "protocol": "http2", "ca_string": simulator.ca_string, "feedback_store": MemoryStore()})
    message = shop.message(2)
    simulator.devices.uninstall(message.tokens[1], 1700000000)
    shop.push.send_push(message)
    assert [shop.push.poll_feedback(), shop.push.poll_feedback()] == [1, 0]
    assert [row[0] for row in shop.gone] == [message.tokens[1]] * 2
    assert shop.gone[0][1] == shop.gone[1][1] and shop.gone[1][2] == "feedback"


def test_messages_keep_what_they_have(shop):
    """Whatever a message is made of, what arrives is the same."""
    message = Message(shop.tokens(1), content_available=1, apns_topic="com.example.dinner",
                      apns_id="6B1F8C7E-0D2A-4A70-8E9B-2F0D9A5C1E33", apns_collapse_id="dinner")
    assert shop.counts(shop.push.send_push.delay(message, collapse=True))["accepted"] == 1
    [arrived] = shop.simulator.accepted
    assert (arrived.push_type, arrived.priority, arrived.collapse_id, arrived.expiry) == (
        "background", 5, "dinner", message.expiry)


def test_annotations_can_be_read():
    """On the oldest interpreter as well: tools for documents and dependency injection do."""
    for name in celery_tasks.__all__:
        public = getattr(celery_tasks, name)
        assert typing.get_type_hints(public.__init__) is not None
        for method in vars(public).values():
            if callable(method):
                typing.get_type_hints(method)
    assert typing.get_type_hints(PushTasks.fan_out)["return"] is celery_tasks.Campaign
