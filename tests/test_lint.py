"""Lint finds what is wrong with one notification, and nothing where nothing is."""

from __future__ import absolute_import, division, print_function

import io
import os
import re

from hypothesis import example, given
from hypothesis import strategies as st

from apnsclient.testing.lint import RULES, History, check, describe
from apnsclient.testing.lint.history_rules import HISTORY_RULES
from docs_support import FOLDER
from lint_support import CERTIFICATE, NOW, new_exchange, new_token
from tables import each

LIVE = {"apns-topic": "com.example.app.push-type.liveactivity", "apns-push-type": "liveactivity"}
BACKGROUND = {"apns-push-type": "background", "apns-priority": "5"}
VOIP = {"apns-push-type": "voip", "apns-topic": "com.example.app.voip", "apns-expiration": "0"}
TALK = {"apns-push-type": "pushtotalk", "apns-topic": "com.example.app.voip-ptt"}
WIDGETS = {"apns-push-type": "widgets", "apns-topic": "com.example.app.push-type.widgets"}
MDM = {"apns-push-type": "mdm", "apns-topic": "com.apple.mgmt.External.1"}

START = {"timestamp": int(NOW), "event": "start", "content-state": {"goals": 1},
         "attributes-type": "Match", "attributes": {"home": "A"},
         "alert": {"title": "Match", "body": "It starts"}, "input-push-token": 1}
UPDATE = {"timestamp": int(NOW), "event": "update", "content-state": {"goals": 2}}
END = {"timestamp": int(NOW), "event": "end"}


def aps(**values):
    """Return a payload with keys of ``aps``, hyphens written as underscores."""
    return {"aps": {name.replace("_", "-"): value for name, value in values.items()}}


def live(base, **values):
    """Return the payload of a Live Activity, with keys changed; None leaves one out."""
    changed = dict(base)
    changed.update(aps(**values)["aps"])
    return {"aps": {name: value for name, value in changed.items() if value is not None}}


#: For each rule what breaks it: payload, header fields, attributes, and the field of the finding.
BROKEN = [
    ("binary-protocol", new_exchange(protocol="binary", headers={}), "protocol"),
    ("missing-push-type", new_exchange(headers={"apns-push-type": None}), "apns-push-type"),
    ("unknown-push-type", new_exchange(headers={"apns-push-type": "Alert"}), "apns-push-type"),
    ("missing-topic", new_exchange(headers={"apns-topic": None}), "apns-topic"),
    ("topic-without-suffix", new_exchange(headers={"apns-push-type": "voip"}), "apns-topic"),
    ("topic-of-another-push-type", new_exchange(headers=dict(VOIP, **{"apns-push-type": "alert"})),
     "apns-topic"),
    ("needs-provider-token", new_exchange(live(UPDATE), LIVE, credential=CERTIFICATE),
     "authorization"),
    ("unknown-priority", new_exchange(headers={"apns-priority": "7"}), "apns-priority"),
    ("background-priority", new_exchange(
        aps(content_available=1), dict(BACKGROUND, **{"apns-priority": "10"})), "apns-priority"),
    ("background-without-priority", new_exchange(
        aps(content_available=1), {"apns-push-type": "background"}), "apns-priority"),
    ("malformed-apns-id", new_exchange(headers={"apns-id": "17"}), "apns-id"),
    ("apns-id-in-upper-case", new_exchange(
        headers={"apns-id": "123E4567-E89B-12D3-A456-42665544000A"}), "apns-id"),
    ("malformed-expiration", new_exchange(headers={"apns-expiration": "1518182259.475"}),
     "apns-expiration"),
    ("collapse-id-too-long", new_exchange(headers={"apns-collapse-id": "x" * 65}),
     "apns-collapse-id"),
    ("repeated-header", new_exchange()._replace(headers=[("apns-topic", "a")] * 2), "headers"),
    ("malformed-token", new_exchange(token="<0123 4567>"), "token"),
    ("malformed-token", new_exchange(token="{length=32,bytes=0x12...34}"), "token"),
    ("malformed-token", new_exchange(token="abc"), "token"),
    ("malformed-token", new_exchange(token=""), "token"),
    ("token-in-upper-case", new_exchange(token="AB" * 32), "token"),
    ("bad-device-token", new_exchange(reason="BadDeviceToken"), "token"),
    ("token-of-another-topic", new_exchange(reason="DeviceTokenNotForTopic"), "token"),
    ("expiration-in-milliseconds", new_exchange(headers={"apns-expiration": "1700000000000"}),
     "apns-expiration"),
    ("expiration-is-a-duration", new_exchange(headers={"apns-expiration": "3600"}),
     "apns-expiration"),
    ("expiration-in-the-past", new_exchange(headers={"apns-expiration": "1699990000"}),
     "apns-expiration"),
    ("expiration-far-ahead", new_exchange(headers={"apns-expiration": "1900000000"}),
     "apns-expiration"),
    ("incomplete-provider-token", new_exchange(credential=new_token(key_id=None)),
     "authorization"),
    ("expired-provider-token", new_exchange(credential=new_token(4000)), "authorization"),
    ("old-provider-token", new_exchange(credential=new_token(3400)), "authorization"),
    ("early-provider-token", new_exchange(credential=new_token(-120)), "authorization"),
    ("early-provider-token", new_exchange(credential=new_token(-NOW * 999)), "authorization"),
    ("timestamp-in-milliseconds", new_exchange(live(UPDATE, timestamp=int(NOW) * 1000), LIVE),
     "aps.timestamp"),
    ("timestamp-in-the-past", new_exchange(live(UPDATE, timestamp=int(NOW) - 9000), LIVE),
     "aps.timestamp"),
    ("timestamp-in-the-future", new_exchange(live(UPDATE, timestamp=int(NOW) + 9000), LIVE),
     "aps.timestamp"),
    ("stale-date-in-milliseconds", new_exchange(live(UPDATE, stale_date=NOW * 1000), LIVE),
     "aps.stale-date"),
    ("stale-date-in-the-past", new_exchange(live(UPDATE, stale_date=NOW - 1), LIVE),
     "aps.stale-date"),
    ("dismissal-date-in-milliseconds", new_exchange(live(END, dismissal_date=NOW * 1000), LIVE),
     "aps.dismissal-date"),
    ("dismissal-date-in-the-past", new_exchange(live(END, dismissal_date=0), LIVE),
     "aps.dismissal-date"),
    ("dismissal-date-far-ahead", new_exchange(live(END, dismissal_date=NOW + 20000), LIVE),
     "aps.dismissal-date"),
    ("empty-payload", new_exchange(b""), "payload"),
    ("payload-too-large", new_exchange(aps(alert="x" * 4096)), "payload"),
    ("payload-nearly-too-large", new_exchange(aps(alert="x" * 4000)), "payload"),
    ("byte-order-mark", new_exchange(b'\xef\xbb\xbf{"aps":{"alert":"Hi"}}'), "payload"),
    ("payload-not-utf-8", new_exchange(b'{"aps":{"alert":"\xe4"}}'), "payload"),
    ("payload-not-json", new_exchange(b"{'aps': {'alert': 'Hi'}}"), "payload"),
    ("not-a-number", new_exchange(b'{"aps":{"alert":"Hi"},"x":NaN}'), "payload"),
    ("payload-too-deep", new_exchange(b'{"aps":' + b"[" * 100000), "payload"),
    ("repeated-key", new_exchange(b'{"aps":{"alert":"Hi","alert":"Ho"}}'), "payload"),
    ("payload-not-an-object", new_exchange(b'"Hi"'), "payload"),
    ("missing-aps", new_exchange({"alert": "Hi"}), "aps"),
    ("aps-not-an-object", new_exchange({"aps": "Hi"}), "aps"),
    ("missing-mdm", new_exchange({"push": "x"}, MDM), "mdm"),
    ("mdm-for-another-push-type", new_exchange({"mdm": "x"}), "apns-push-type"),
    ("mdm-with-aps", new_exchange({"mdm": "x", "aps": {}}, MDM), "aps"),
    ("misspelt-key", new_exchange({"aps": {"alert": "Hi", "content_available": 1}}),
     "aps.content-available"),
    ("misspelt-key", new_exchange({"aps": {"alert": "Hi", "threadId": "a"}}), "aps.thread-id"),
    ("misspelt-key", new_exchange(aps(alert={"body": "Hi", "Title": "Ho"})), "aps.alert.title"),
    ("unknown-key", new_exchange(aps(alert="Hi", order=17)), "aps"),
    ("deprecated-key", new_exchange(aps(alert={"body": "Hi", "action-loc-key": "VIEW"})),
     "aps.alert.action-loc-key"),
    ("deprecated-key", new_exchange(aps(alert="Hi", url_args=["a"])), "aps.url-args"),
    ("key-beside-aps", new_exchange({"aps": {"alert": "Hi"}, "mutable-content": 1}),
     "mutable-content"),
    ("wrong-type", new_exchange(aps(alert="Hi", badge="1")), "aps.badge"),
    ("wrong-type", new_exchange(aps(alert="Hi", badge=1.5)), "aps.badge"),
    ("wrong-type", new_exchange(aps(alert="Hi", sound=7)), "aps.sound"),
    ("wrong-type", new_exchange(aps(alert="Hi", content_available=True)),
     "aps.content-available"),
    ("wrong-type", new_exchange(aps(alert="Hi", category=None)), "aps.category"),
    ("wrong-type", new_exchange(aps(alert={"loc-key": "A", "loc-args": [1]})),
     "aps.alert.loc-args"),
    ("visible-background", new_exchange(aps(alert="Hi", content_available=1), BACKGROUND), "aps"),
    ("background-without-content", new_exchange({"aps": {}, "x": 1}, BACKGROUND),
     "aps.content-available"),
    ("alert-and-background", new_exchange(aps(alert="Hi", content_available=1)),
     "aps.content-available"),
    ("nothing-to-show", new_exchange(aps(content_available=1)), "aps"),
    ("nothing-to-show", new_exchange({"aps": {}, "x": 1}), "aps"),
    ("empty-alert", new_exchange(aps(alert=" ")), "aps.alert"),
    ("empty-alert", new_exchange(aps(alert={"title": ""})), "aps.alert"),
    ("mutable-without-alert", new_exchange(aps(badge=1, mutable_content=1)),
     "aps.mutable-content"),
    ("unknown-interruption-level", new_exchange(aps(alert="Hi", interruption_level="high")),
     "aps.interruption-level"),
    ("critical-without-sound", new_exchange(
        aps(alert="Hi", interruption_level="critical", sound="x")), "aps.sound"),
    ("critical-alert", new_exchange(aps(alert="Hi", sound={"critical": 1, "name": "x"})),
     "aps.sound"),
    ("time-sensitive", new_exchange(aps(alert="Hi", interruption_level="time-sensitive")),
     "aps.interruption-level"),
    ("relevance-score-out-of-range", new_exchange(aps(alert="Hi", relevance_score=75)),
     "aps.relevance-score"),
    ("negative-badge", new_exchange(aps(badge=-1)), "aps.badge"),
    ("incomplete-sound", new_exchange(aps(alert="Hi", sound={"critical": 1})), "aps.sound.name"),
    ("incomplete-sound", new_exchange(aps(sound={"critical": 1, "name": "x", "volume": 80})),
     "aps.sound.volume"),
    ("incomplete-sound", new_exchange(aps(sound={"critical": True, "name": "x"})),
     "aps.sound.critical"),
    ("incomplete-sound", new_exchange(aps(sound={"name": "x"})), "aps.sound"),
    ("arguments-without-key", new_exchange(aps(alert={"body": "Hi", "loc-args": ["x"]})),
     "aps.alert.loc-args"),
    ("text-beside-key", new_exchange(aps(alert={"body": "Hi", "loc-key": "HI"})),
     "aps.alert.loc-key"),
    ("voip-alert", new_exchange(aps(alert="Hi"), VOIP), "aps.alert"),
    ("voip-expiration", new_exchange({"call": 1}, dict(VOIP, **{"apns-expiration": None})),
     "apns-expiration"),
    ("push-to-talk-headers", new_exchange({"speaker": "A"}, TALK), "apns-expiration"),
    ("missing-content-changed", new_exchange({"aps": {}}, WIDGETS), "aps.content-changed"),
    ("live-activity-event", new_exchange(live(UPDATE, event="updated"), LIVE), "aps.event"),
    ("live-activity-event", new_exchange(live(UPDATE, event=None), LIVE), "aps.event"),
    ("missing-timestamp", new_exchange(live(UPDATE, timestamp=None), LIVE), "aps.timestamp"),
    ("missing-content-state", new_exchange(live(UPDATE, content_state=None), LIVE),
     "aps.content-state"),
    ("missing-attributes", new_exchange(live(START, attributes_type=None), LIVE),
     "aps.attributes-type"),
    ("start-without-alert", new_exchange(live(START, alert=None), LIVE), "aps.alert"),
    ("only-for-start", new_exchange(live(UPDATE, attributes={"home": "A"}), LIVE),
     "aps.attributes"),
    ("two-inputs", new_exchange(live(START, input_push_channel="abc"), LIVE), "aps"),
    ("dismissal-date-before-end", new_exchange(live(UPDATE, dismissal_date=NOW + 60), LIVE),
     "aps.dismissal-date"),
    ("sound-beside-alert", new_exchange(live(UPDATE, sound="x"), LIVE), "aps.sound"),
    ("live-activity-plain-alert", new_exchange(live(UPDATE, alert="Hi"), LIVE), "aps.alert"),
    ("start-by-broadcast", new_exchange(
        live(START), dict(LIVE, **{"apns-topic": None}), kind="broadcast"), "aps.event"),
    ("live-activity-push-type", new_exchange(live(UPDATE)), "apns-push-type"),
]

SOUND = [
    new_exchange(),
    new_exchange(aps(alert={"title": "A", "subtitle": "B", "body": "C"}, badge=0, sound="default",
                     thread_id="t", category="c", mutable_content=1,
                     interruption_level="passive", relevance_score=0.5),
                 {"apns-priority": "10", "apns-expiration": "1700003600",
                  "apns-id": "123e4567-e89b-12d3-a456-42665544000a", "apns-collapse-id": "x"}),
    new_exchange(aps(alert={"loc-key": "A", "loc-args": ["b"], "title-loc-key": "T"})),
    new_exchange(aps(content_available=1), BACKGROUND),
    new_exchange(live(START), LIVE),
    new_exchange(live(UPDATE, relevance_score=75, stale_date=NOW + 60), LIVE),
    new_exchange(live(UPDATE, alert={"title": {"loc-key": "T", "loc-args": ["a"]}, "body": "B",
                                     "sound": "x"}), LIVE),
    new_exchange(live(END, dismissal_date=NOW + 600), LIVE),
    new_exchange(live(UPDATE), dict(LIVE, **{"apns-topic": None}), kind="broadcast", token=None,
                 payload_limit=5120),
    new_exchange(aps(content_changed=True), WIDGETS),
    new_exchange({"call": 17}, VOIP),
    new_exchange({"speaker": "A"}, dict(TALK, **{"apns-priority": "10", "apns-expiration": "0"})),
    new_exchange({"mdm": "0123"}, MDM),
    new_exchange({"container-identifier": "NSFileProviderWorkingSetContainerItemIdentifier"},
                 {"apns-push-type": "fileprovider",
                  "apns-topic": "com.example.app.pushkit.fileprovider"}),
    new_exchange({}, {"apns-push-type": "location",
                      "apns-topic": "com.example.app.location-query"}),
    new_exchange(headers={"apns-topic": None}, credential=CERTIFICATE),
    new_exchange(b"", kind="channel", payload_limit=5120),
    new_exchange(b"", kind="other"),
]


@each("rule, exchange, field", BROKEN)
def test_each_rule_fires(rule, exchange, field):
    """Each rule is broken by something, and the finding says in which field."""
    assert (rule, field) in [(finding.rule, finding.field) for finding in check(exchange)]


def test_each_rule_is_tried():
    """No rule is left out of the tests."""
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    in_history = {rule.name for rule in HISTORY_RULES}
    assert {rule for rule, _, _ in BROKEN} == set(names) - in_history
    assert all(re.match(r"^[a-z0-9]+(-[a-z0-9]+)*\Z", name) for name in names)


@each("exchange", SOUND)
def test_nothing_is_found_where_nothing_is_wrong(exchange):
    """What follows Apple's pages has no findings, whatever its push type."""
    assert not check(exchange)
    assert not check(exchange, History())


def test_errors_come_first():
    """The findings are sorted by their severity, and each is complete."""
    found = check(new_exchange(b'{"aps":{"alert":"","badge":"1","foo":1}}', {"apns-id": "x"}))
    severities = [finding.severity for finding in found]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert set(severities) == {"error", "warning", "note"}
    assert all(all(finding) for finding in found)


def test_docs_have_all_rules():
    """The page of rules has each rule with its severity, its source, and what it says."""
    with io.open(os.path.join(FOLDER, "lint.rst"), encoding="utf-8") as stream:
        page = stream.read()
    rows = re.findall(
        r"^   \* - ``([a-z0-9-]+)``\n     - (\w+)\n     - (.+)\n     - (.+)$", page, re.M)
    assert [row[:3] for row in rows] == [
        (rule.name, rule.severity, rule.source) for rule in RULES]
    said = {finding.message for _, exchange, _ in BROKEN for finding in check(exchange)}
    in_history = {rule.name for rule in HISTORY_RULES}
    assert not [row for row in rows if row[0] not in in_history and row[3] not in said]


_SCALARS = (st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
            | st.sampled_from([10 ** 40, "\ud800", "start", "critical", 1, NOW, NOW * 1000]))
_KEYS = st.text(max_size=5) | st.sampled_from([
    "aps", "alert", "badge", "sound", "event", "timestamp", "content-state", "loc-key", "loc-args",
    "title", "interruption-level", "content-available", "mdm", "Thread_ID", "stale-date",
    "relevance-score", "critical", "volume", "name", "attributes", "content-changed"])
_JSON = st.recursive(
    _SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(_KEYS, below, max_size=6),
    max_leaves=12)
_APS = st.dictionaries(_KEYS, _JSON, max_size=8)
_PAYLOADS = (st.binary(max_size=60) | _JSON | _APS
             | st.builds(lambda value, rest: dict(rest, aps=value), _APS, _APS)
             | st.sampled_from([b"[" * 100000, b'{"aps":{"alert":' + b'{"a":' * 50000, b"9" * 99999,
                                b'{"aps":{"badge":1e999,"sound":-1e999}}', b"\xff\xfe{}",
                                b'{"aps":{"badge":' + b"9" * 9999 + b"}}",
                                b'{"aps":{"alert":"' + b"x" * 99999 + b'"}}']))
_TEXTS = st.none() | st.text(max_size=8) | st.sampled_from([
    "alert", "background", "voip", "liveactivity", "mdm", "widgets", "com.example.app.voip"])


@given(payload=_PAYLOADS, push_type=_TEXTS, topic=_TEXTS, token=_TEXTS, apns_id=_TEXTS,
       expiration=st.none() | st.integers(), kind=st.sampled_from(["notification", "broadcast"]),
       issued_at=st.none() | st.integers() | st.floats())
@example(b"{}", None, None, None, None, 10 ** 400, "notification", 10 ** 400)
@example(b'{"a":NaN}', "alert", "com.example", None, None, None, "notification", float("nan"))
@example(b'{"aps":{"badge":-Infinity,"alert":NaN,"timestamp":NaN}}', "liveactivity", None, None,
         None, None, "notification", float("-inf"))
def test_hostile_notifications_are_survived(payload, push_type, topic, token, apns_id, expiration,
                                            kind, issued_at):
    """Whatever there is in a notification, nothing is raised, and what is said is bounded."""
    exchange = new_exchange(
        payload, {"apns-push-type": push_type, "apns-topic": topic}, token=token, kind=kind,
        apns_id=apns_id, expiration=expiration,
        credential=new_token()._replace(issued_at=issued_at))
    history = History()
    history.feed([exchange, exchange._replace(number=2)])
    found = check(exchange, history)
    assert len(found) <= 50
    for finding in found:
        assert len(finding.message) < 700
        finding.message.encode("ascii")
    appearance = describe(exchange)
    assert isinstance(appearance["shows"], bool) and appearance["explanation"]
    assert len(repr(appearance)) < 100000
