"""The push tasks in a worker: what is queued, what comes back, and what is tried again."""

import datetime
import json
import logging
import time

import pytest
from celery.exceptions import Retry

from apnsclient import Message
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.timeout(120)


def test_each_token_is_counted_and_reported(shop):
    """Dead tokens go to one callable with their time, those that are refused to another."""
    message = shop.message(20)
    shop.simulator.devices.uninstall(message.tokens[1], 1700000000)
    shop.simulator.devices.bad(message.tokens[2])

    assert shop.counts(shop.push.send_push.delay(message)) == {
        "tokens": 20, "accepted": 18, "gone": 1, "rejected": {"BadDeviceToken": 1}}
    assert shop.gone == [(message.tokens[1], datetime.datetime(
        2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc), "Unregistered")]
    assert shop.bad == [(message.tokens[2], "BadDeviceToken")]


def test_what_is_queued_is_json_without_a_secret(shop):
    """The payload is text already, the expiry absolute; credential and target are names."""
    message = shop.message(2, badge=3, expiry=datetime.timedelta(hours=1))
    for signature in (shop.push.send_push.s(message),
                      shop.push.send_push.s(message=message, target="production")):
        queued = json.loads(json.dumps(signature))
        text = json.dumps(queued)
        state = queued["args"][0] if queued["args"] else queued["kwargs"]["message"]

        assert json.loads(state["payload"]) == {"aps": {"alert": "Dinner is ready", "badge": 3}}
        assert state["expiry"] == queued["kwargs"]["until"] == message.expiry
        assert queued["kwargs"]["target"] == "production"
        assert "PRIVATE KEY" not in text and shop.simulator.key_id not in text


def test_a_state_without_contrib_is_sent_as_well(shop):
    """A program on Python 2.7 queues ``message.__getstate__()`` by the name of the task."""
    state = shop.message(1).__getstate__()

    assert shop.counts(shop.app.send_task("apns.send_push", [state])) == {
        "tokens": 1, "accepted": 1}


def test_arguments_that_cannot_be_sent_are_refused_where_they_are_queued(shop):
    """The caller sees the error, not a worker."""
    for message, options in (
            (shop.message(1), {"target": "elsewhere"}),
            (Message(shop.tokens(1), alert="x" * 70000), {}),
            (Message(shop.tokens(1), alert="x", apns_topic="a"), {"no_such": 1})):
        with pytest.raises((TypeError, ValueError)):
            shop.push.send_push.apply_async((message,), options)
    with pytest.raises(TypeError, match="a token is of type int"):
        shop.push.send_push.delay(Message([5], alert="x"))


def test_an_outage_loses_nothing_and_sends_nothing_twice(shop):
    """Without a connection the task goes back, with the tokens that are left."""
    shop.simulator.disconnect_providers()
    shop.push.close()
    shop.simulator.script_provider(ProviderScript(refuse=True))

    message = shop.message(5)
    assert shop.counts(shop.push.send_push.delay(message)) == {"tokens": 5, "accepted": 5}
    assert sorted(shop.simulator.accepted_tokens()) == message.tokens


def test_a_resend_is_recognisable(shop):
    """Each attempt has the identifiers that follow from the task, and one to collapse if asked."""
    shop.push.close()
    shop.simulator.script_provider(ProviderScript(close_after=3, no_response_at=[2, 3]))
    result = shop.push.send_push.delay(shop.message(3), collapse=True)

    counts = shop.counts(result)
    assert counts == {"tokens": 3, "accepted": 3, "resent": 2}
    arrived = shop.simulator.accepted
    assert len(arrived) == 5
    assert len({one.apns_id for one in arrived}) == 3
    assert {one.collapse_id for one in arrived} == {result.id}


def test_a_task_that_is_late_is_dropped_and_counted(shop):
    """Nobody wants yesterday's dinner."""
    result = shop.push.send_push.delay(shop.message(4, expiry=int(time.time()) - 5))

    assert shop.counts(result) == {"tokens": 4, "expired": 4}
    assert not shop.simulator.accepted


def test_a_callable_that_raises_is_called_again_by_itself(shop, caplog):
    """The push is done; only the reports are tried again, by another task."""
    message = shop.message(3)
    for token in message.tokens:
        shop.simulator.devices.uninstall(token, 1700000000)
    taken, errors = shop.gone, shop.simulator.error_count

    class Fragile(list):
        calls = 0

        def append(self, row):
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("the database is away")
            list.append(self, row)

    shop.gone = Fragile()
    try:
        assert shop.counts(shop.push.send_push.delay(message)) == {"tokens": 3, "gone": 3}
        deadline = time.monotonic() + 60
        while len(shop.gone) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [row[0] for row in shop.gone] == message.tokens
    finally:
        shop.gone = taken
    assert shop.simulator.error_count == errors + 3
    assert message.tokens[1] not in caplog.text and message.tokens[1][:8] in caplog.text


def test_a_revoked_key_stops_all_and_loses_nothing(shop, caplog):
    """One error in the log; when it is mended, a person or a probe lets the tasks go on."""
    shop.simulator.revoke_key(shop.simulator.key_id)
    shop.push.close()
    caplog.set_level(logging.WARNING, "apnsclient.contrib.celery")
    results = [shop.push.send_push.delay(shop.message(3)) for _ in range(3)]

    def state():
        reply = shop.app.control.broadcast("apns_breakers", reply=True, timeout=30, limit=1)
        return [circuit["state"] for circuit in list(reply[0].values())[0]]

    def errors():
        return [record for record in caplog.records if record.levelname == "ERROR"]

    deadline = time.monotonic() + 60
    while (state() == ["closed"] or not errors()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(errors()) == 1 and "'production'" in errors()[0].getMessage()
    assert "PRIVATE KEY" not in caplog.text

    shop.credential = dict(shop.credential, key_id="ANOTHERKEY",
                           key_string=shop.simulator.add_key("ANOTHERKEY"))
    [reply] = shop.app.control.broadcast("apns_close_breaker", arguments={"target": "production"},
                                         reply=True, timeout=30, limit=1)
    assert list(reply.values()) == [{"ok": "closed production with default"}]
    assert [shop.counts(result) for result in results] == [{"tokens": 3, "accepted": 3}] * 3
    assert len(errors()) <= 2


def test_where_there_is_no_broker_nothing_is_tried_again(make_shop):
    """A direct call, and an eager one, say what Celery would have done."""
    shop = make_shop()
    message = shop.message(2)
    assert shop.push.send_push(message)["accepted"] == 2

    shop.simulator.script_provider(*[ProviderScript(refuse=True)] * 2)
    shop.push.close()
    with pytest.raises(Retry, match="cannot connect"):
        shop.push.send_push(message)
    shop.app.conf.task_always_eager = True
    assert shop.push.send_push.delay(message).state == "RETRY"
    assert shop.push.send_push.delay(message).get()["accepted"] == 2
