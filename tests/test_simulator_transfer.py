"""Requests that were exported come back: into the same simulator, or another one."""

from __future__ import absolute_import, division, print_function

import gc
import json

import pytest

from apnsclient.apns import Message
from apnsclient.testing.simulator import Observer, Simulator
from apnsclient.testing.simulator.documents import exchange_document
from apnsclient.testing.simulator.stored_exchange import StoredExchange, read_exchanges

#: What belongs to the simulator that a request came to.
OWN = ("number", "connection", "response")


class Counting(Observer):
    """Counts what arrives."""

    count = 0

    def arrived(self, exchanges):
        self.count += len(exchanges)


@pytest.fixture
def documents(simulator, client):
    """Two requests as they are exported, and read again."""
    simulator.devices.bad("bb" * 32)
    client.send(Message(["aa" * 32, "bb" * 32], alert=u"D\xfcner", apns_topic="com.example"))
    return json.loads(json.dumps([exchange_document(each)
                                  for each in simulator.journal.exchanges()]))


def without_own(document):
    return {name: value for name, value in document.items() if name not in OWN}


def test_requests_come_back_as_they_were(simulator, documents):
    """Behind all others, while it runs and while it does not; nobody is told of an arrival."""
    for target, before in ((simulator, 2), (Simulator(), 0)):
        counting = Counting()
        target.add_observer(counting)
        accepted = target.accepted_count
        assert target.load(documents) == 2
        found = [exchange_document(each) for each in target.journal.exchanges()]
        assert [each["number"] for each in found] == list(range(1, before + 3))
        assert [without_own(each) for each in found[-2:]] == [
            without_own(each) for each in documents]
        assert found[-1]["response"]["reason"] == "BadDeviceToken"
        connection = target.journal.connections()[0]
        assert (connection.ending, connection.request_count) == ("imported", 2)
        assert (counting.count, target.accepted_count) == (0, accepted)


def test_what_was_pending_will_not_be_answered(documents):
    """Its response cannot come here."""
    target = Simulator()
    target.load([dict(documents[0], outcome="pending", response=None)])
    assert target.journal.get(1).outcome == "unanswered"


def test_a_document_that_is_none_is_refused_with_all_others(documents):
    """The text begins with the field."""
    target = Simulator()
    for changes, field in [({"service": 1}, "service"), ({"time": "now"}, "time"),
                           ({"payload_base64": "?"}, "payload_base64")]:
        with pytest.raises(ValueError) as caught:
            target.load([documents[0], dict(documents[1], **changes)])
        assert str(caught.value).startswith(field + ": ")
    with pytest.raises(ValueError, match="it is not an object"):
        target.load([[]])
    assert len(target.journal) == 0


def test_what_is_not_kept_takes_no_memory(documents):
    """Of however many documents, the last are kept; all are looked at, and counted."""
    alive = []

    def count_alive():
        return len([each for each in gc.get_objects() if type(each) is StoredExchange])

    def many(before):
        for number in range(50):
            yield dict(documents[0], token="%064x" % number, connection=number // 10)
        alive.append(count_alive() - before)

    target = Simulator(record=3)
    assert target.load(many(count_alive())) == 50
    assert [int(each.token, 16) for each in target.journal.exchanges()] == [47, 48, 49]
    assert alive[0] <= 4
    size = StoredExchange(target.journal.connections()[0], documents[0]).size
    found, count = read_exchanges(many(0), keep_bytes=2 * size)
    assert (len(found), count) == (2, 50)


def test_an_observer_comes_and_goes_while_it_runs(simulator, client):
    """It is told of what happens meanwhile."""
    counting = Counting()
    message = Message("aa" * 32, alert="hi", apns_topic="com.example")
    client.send(message)
    simulator.add_observer(counting)
    client.send(message)
    simulator.remove_observer(counting)
    client.send(message)
    assert counting.count == 1 and simulator.journal.last_number == 3
    simulator.forget()
    assert simulator.journal.last_number == 3
