"""Lint finds the mistakes of real pushes, as a simulator has received and judged them."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.lint import History, check
from apnsclient.testing.simulator import Simulator
from provider_client import TOKEN, with_token

TOPIC = "com.example.app"
LIVE = {"apns_topic": TOPIC + ".push-type.liveactivity", "apns_push_type": "liveactivity",
        "apns_priority": "10"}
BACKGROUND = {"apns_push_type": "background", "apns_priority": "5"}
ALERT, QUIET = b'{"aps":{"alert":"Hi"}}', b'{"aps":{"content-available":1}}'
GONE = "cd" * 32

#: What is different from an alert as it should be, token and payload, and what comes of it: the
#: reason that the simulator gives, and the rules.
MISTAKES = [
    ({}, TOKEN, ALERT, None, []),
    (BACKGROUND, TOKEN, QUIET, None, []),
    ({"apns_push_type": None}, TOKEN, ALERT, None, ["missing-push-type"]),
    ({"apns_push_type": "Alert"}, TOKEN, ALERT, "InvalidPushType", ["unknown-push-type"]),
    ({"apns_topic": None}, TOKEN, ALERT, "MissingTopic", ["missing-topic"]),
    ({"apns_push_type": "voip", "apns_expiration": "0"}, TOKEN, b'{"call":1}',
     "DeviceTokenNotForTopic", ["topic-without-suffix", "token-of-another-topic"]),
    (dict(BACKGROUND, apns_priority="10"), TOKEN, QUIET, "BadPriority", ["background-priority"]),
    (BACKGROUND, TOKEN, ALERT, None, ["visible-background", "background-without-content"]),
    ({"apns_priority": "7"}, TOKEN, ALERT, "BadPriority", ["unknown-priority"]),
    ({"apns_expiration": "1500000000"}, TOKEN, ALERT, None, ["expiration-in-the-past"]),
    ({"apns_expiration": "3600"}, TOKEN, ALERT, None, ["expiration-is-a-duration"]),
    ({"apns_id": "7"}, TOKEN, ALERT, "BadMessageId", ["malformed-apns-id"]),
    ({"apns_collapse_id": "x" * 65}, TOKEN, ALERT, "BadCollapseId", ["collapse-id-too-long"]),
    ({}, TOKEN, b'{"aps":{"alert":"' + b"x" * 4096 + b'"}}', "PayloadTooLarge",
     ["payload-too-large"]),
    ({}, TOKEN, b'{"aps":{"alert":"Hi","badge":"3"}}', None, ["wrong-type"]),
    ({}, TOKEN, b'{"aps":{"alert":"Hi"},"a":NaN}', None, ["not-a-number"]),
    ({}, TOKEN, b"Hi", None, ["payload-not-json"]),
    ({}, TOKEN, b'{"aps":{"alert":"Hi","content_available":1}}', None, ["misspelt-key"]),
    (LIVE, TOKEN, b'{"aps":{"event":"update","content-state":{}}}', None, ["missing-timestamp"]),
    ({}, TOKEN.upper(), ALERT, None, ["token-in-upper-case"]),
    ({}, "xyz", ALERT, "BadDeviceToken", ["malformed-token", "bad-device-token"]),
    ({}, GONE, ALERT, "Unregistered", []),
    ({}, GONE, ALERT, "Unregistered", ["token-is-gone"]),
]


def test_typical_mistakes_are_found_in_real_pushes():
    """Each with the response that it gets, and nothing is found where nothing is wrong."""
    with Simulator() as apns:
        apns.devices.uninstall(GONE)
        with with_token(apns) as client:
            for changes, token, payload, _, _ in MISTAKES:
                fields = dict({"apns_topic": TOPIC, "apns_push_type": "alert"}, **changes)
                client.push(token, payload, **{name: value for name, value in fields.items()
                                               if value is not None})
        exchanges = apns.journal.find()[::-1]
    history = History()
    history.feed(exchanges)
    found = [(each.reason, [finding.rule for finding in check(each, history)])
             for each in exchanges]
    for mistake, what in zip(MISTAKES, found):
        assert mistake[:3] + what == mistake
    assert len(found) == len(MISTAKES)
