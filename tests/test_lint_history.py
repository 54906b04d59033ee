"""Lint finds what is wrong with a notification in the light of those before it."""

from __future__ import absolute_import, division, print_function

import threading
import time

from apnsclient import APNs, Message, ProviderToken, Session
from apnsclient.testing.lint import History, check
from apnsclient.testing.lint.history_rules import HISTORY_RULES
from apnsclient.testing.simulator import RequestScript, Simulator
from lint_support import CERTIFICATE, NOW, new_connection, new_exchange, new_token
from stdio_support import SOON

LIVE = {"apns-topic": "com.example.app.push-type.liveactivity", "apns-push-type": "liveactivity"}
ID = {"apns-id": "123e4567-e89b-12d3-a456-42665544000a"}


def numbered(exchanges):
    """Return exchanges with numbers in their order."""
    return [each._replace(number=number) for number, each in enumerate(exchanges, 1)]


def find(exchanges, index=-1, history=None):
    """Return the names of the rules for several notifications that one of many breaks."""
    exchanges = numbered(exchanges)
    history = history or History()
    history.feed(exchanges)
    names = set(rule.name for rule in HISTORY_RULES)
    return names.intersection(finding.rule for finding in check(exchanges[index], history))


def update(timestamp):
    return new_exchange({"aps": {"event": "update", "content-state": {}, "timestamp": timestamp}},
                        LIVE)


def test_one_id_for_many_tokens():
    """An apns-id is found again with another token, in whatever case, and not with the same."""
    first, second = new_exchange(headers=ID), new_exchange(headers=ID, token="cd" * 32)
    assert find([first, second]) == {"one-id-for-many-tokens"}
    assert find([first, second], 0) == {"one-id-for-many-tokens"}
    upper = new_exchange(headers={"apns-id": ID["apns-id"].upper()}, token="cd" * 32)
    assert find([first, upper]) == {"one-id-for-many-tokens"}
    assert not find([first, first])
    assert not find([new_exchange(), new_exchange(token="cd" * 32)])


def test_token_signed_too_soon():
    """A provider token is signed again within 20 minutes of the one before it of the same key."""
    old = new_exchange(credential=new_token(1900))
    assert find([old, new_exchange(credential=new_token(1800))]) == {
        "provider-token-signed-too-soon"}
    assert not find([old, new_exchange(credential=new_token(600))])
    assert not find([old, new_exchange(credential=new_token(1800, key_id="ANOTHER890"))])
    assert not find([old, old])


def test_token_for_each_message():
    """Where each message has a provider token of its own, that is what is said."""
    assert find([new_exchange(credential=new_token(age)) for age in (50, 40, 30)]) == {
        "provider-token-for-each-message"}


def test_token_is_gone():
    """A token is pushed to after Apple has said that it is gone."""
    gone = new_exchange(reason="Unregistered", status=410, outcome="rejected")
    assert find([gone, new_exchange()]) == {"token-is-gone"}
    assert not find([gone, new_exchange()], 0)
    assert not find([gone, new_exchange(token="cd" * 32)])


def test_a_late_response_is_remembered():
    """What was pending when it was fed, and says later that the token is gone."""
    history, token = History(), "cd" * 32
    with Simulator() as apns:
        apns.devices.uninstall(token)
        apns.faults.script_requests(RequestScript(hold=True))
        session = Session(protocol="http2", ca_string=apns.ca_string)
        client = APNs(session.get_connection(apns.provider_address, **apns.token_parameters))
        message = Message(token, alert="Hi", apns_topic="com.example.app")
        sending = threading.Thread(target=client.send, args=[message])
        sending.start()
        assert apns.wait_for(lambda: apns.held == 1, SOON)
        (first,) = apns.journal.find()
        history.feed([first])
        apns.release_held()
        sending.join(SOON)
        client.send(message)
        session.shutdown()
        second = apns.journal.find()[0]
    history.feed([second])
    assert (first.reason, second.number) == ("Unregistered", 2)
    assert history.find_gone(second) == 1


def test_timestamp_not_newer():
    """The timestamp of a Live Activity has to be newer than those before it."""
    first = update(int(NOW))
    assert find([first, update(int(NOW) - 1)]) == {"timestamp-not-newer"}
    assert find([first, update(int(NOW))]) == {"timestamp-not-newer"}
    assert not find([first, update(int(NOW) + 1)])
    assert not find([first, update(int(NOW) - 1)._replace(token="cd" * 32)])


def test_connection_churn():
    """Many connections with few requests on each are found; as many with more are not."""
    def push(number, moment=NOW):
        return new_exchange(connection=new_connection(number), time=moment,
                            credential=new_token())

    assert find([push(number) for number in range(11)]) == {"connection-churn"}
    assert not find([push(number) for number in range(10)])
    assert not find([push(number // 3) for number in range(33)])
    assert not find([push(number, NOW + 100 * number) for number in range(11)])


def test_one_request_at_a_time():
    """A connection is used for one request after the other."""
    def push(moment, responded):
        return new_exchange(time=NOW + moment, responded=NOW + responded)

    assert find([push(number, number + 0.5) for number in range(50)]) == {
        "one-request-at-a-time"}
    assert not find([push(number, number + 1.5) for number in range(50)])
    assert not find([push(number, number + 0.5) for number in range(49)])
    assert not find([push(9 * number, 9 * number + 0.5) for number in range(50)])


def test_wrong_environment():
    """If all tokens are called bad, they are of the other environment."""
    bad = new_exchange(reason="BadDeviceToken", status=400, outcome="rejected")
    assert find([bad] * 3) == {"wrong-environment"}
    assert not find([bad] * 2)
    assert not find([new_exchange(), bad, bad, bad])


def test_history_is_bounded_and_can_be_cleared():
    """Identifiers are forgotten beyond the limit, the oldest first, and all on demand."""
    history = History(keep=10)
    exchanges = numbered(
        new_exchange(headers={"apns-id": "%08d-e89b-12d3-a456-42665544000a" % number},
                     token="%064d" % number, connection=new_connection(number, CERTIFICATE))
        for number in range(100))
    history.feed(exchanges)
    again = [each._replace(token="cd" * 32, number=101 + number)
             for number, each in enumerate(exchanges)]
    history.feed(again[-1:] + again[:1])
    assert history.find_other(again[-1]) == 100
    assert history.find_other(again[0]) is None
    history.clear()
    assert history.find_other(again[-1]) is None


def test_real_pushes_are_linted():
    """What our client sends through the simulator has no findings, and what is wrong has."""
    with Simulator() as simulator:
        client = APNs(Session(protocol="http2", ca_string=simulator.ca_string).get_connection(
            simulator.provider_address,
            certificate=ProviderToken(**simulator.token_parameters)))
        sent = [
            dict(alert="Hi", badge=1),
            dict(payload={"aps": {"content-available": 1}}),
            dict(payload={"aps": {"alert": "Hi", "badge": "1"}, "thread-id": "x"}),
            dict(alert="Hi", apns_id="123E4567-E89B-12D3-A456-42665544000A"),
            dict(payload={"aps": {"event": "update", "content-state": {},
                                  "timestamp": int(time.time()) - 90000}},
                 apns_topic="com.example.app.push-type.liveactivity"),
        ]
        for parameters in sent:
            parameters.setdefault("apns_topic", "com.example.app")
            client.send(Message("ab" * 32, **parameters))
        exchanges = simulator.journal.find()[::-1]
        history = History()
        history.feed(exchanges)
        found = [sorted(finding.rule for finding in check(each, history)) for each in exchanges]
    assert found == [
        [], [], ["key-beside-aps", "wrong-type"], ["apns-id-in-upper-case"],
        ["timestamp-in-the-past"]]
