"""``apns demo --http2`` agrees with the simulator's record, and says so when it does not."""

from __future__ import absolute_import, division, print_function

import json
import sys

import pytest

import apnsclient.testing.simulator
from apnsclient.apns import APNs, Message, Result
from apnsclient.cli import demo, main
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import ProviderScript, Simulator
from cli_support import apns

SMALL = ["demo", "--http2", "--tokens", "60"]


def test_demo_succeeds_out_of_the_box():
    """Several failed tokens in one result, and nothing to send again."""
    ended = apns("demo", "--http2")
    assert ended.err == ""
    assert ended.status == 0, ended.out
    for shown in ("One message to 5000 devices", "Sending to 2500 devices with a certificate",
                  "Sending to 2500 devices with a provider token", "8 Invalid token: Unregistered",
                  "8 Invalid token: BadDeviceToken", "8 Invalid token: DeviceTokenNotForTopic",
                  "not hexadecimal", "no longer has the app",
                  "4994 accepted, 6 failed, 1 gone; 2 attempts on 2 connections",
                  "Every outcome agrees with the record."):
        assert shown in ended.out
    # Which half has how many depends on the Python; one of them has at least three.
    halves = ended.out.split("Feedback:")[0].split("Sending to ")[1:]
    counts = [half.count("failed") for half in halves]
    assert (len(counts), sum(counts)) == (2, 6)
    assert max(counts) >= 3
    assert "WRONG" not in ended.out


def test_demo_prints_one_json_document():
    """With what Apple says of each failure."""
    ended = apns(*(SMALL + ["--json", "--bad", 20, "--malformed", 7, "--seed", 7]))
    shown = ended.document
    assert ended.status == 0
    assert (shown["agrees"], shown["protocol"], shown["accepted"]) == (True, "http2", 32)
    assert len(shown["attempts"]) == 2
    assert sum(len(attempt["failed"]) for attempt in shown["attempts"]) == 28
    assert len(shown["failed"]) == 28
    reasons = [failure.get("apns_reason") for failure in shown["failed"]]
    assert [reasons.count(one) for one in (None, "BadDeviceToken", "DeviceTokenNotForTopic",
                                           "Unregistered")] == [7, 14, 6, 1]
    gone, = [one for one in shown["failed"] if one.get("status") == 410]
    told, = shown["feedback"]
    assert (told["token"], told["timestamp"]) == (gone["token"], gone["timestamp"])
    assert len(shown["checks"]) == 6
    assert all(check["differences"] == [] for check in shown["checks"])


def test_without_the_option_it_is_the_binary_protocol(capsys):
    """Which says how to see the other one."""
    assert main(["demo", "--tokens", "60", "--tail-timeout", "1", "--seed", "206", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["protocol"] == "binary"


@pytest.mark.parametrize("tokens", [1, 2])
def test_demo_runs_with_hardly_any_device(tokens, capsys):
    """Then one half is small, or empty."""
    assert main(["demo", "--http2", "--tokens", str(tokens), "--bad", "0", "--malformed", "0"]) == 0
    assert "%d accepted, 1 failed, 1 gone" % (tokens - 1) in capsys.readouterr().out


class Changed(Simulator):
    """Its record is not what happened."""

    @property
    def accepted(self):
        return self.change(super(Changed, self).accepted)


class Forgetful(Changed):
    """Lacks what it accepted last."""

    def change(self, recorded):
        return recorded[:-1]


class Repetitive(Changed):
    """Has the first notification twice."""

    def change(self, recorded):
        return recorded[:1] + recorded


class Disorderly(Changed):
    """Has two notifications in the wrong order."""

    def change(self, recorded):
        return recorded[1::-1] + recorded[2:]


class Altering(Changed):
    """Has another payload in one place."""

    def change(self, recorded):
        return recorded[:-1] + [recorded[-1]._replace(payload=b"{}")]


class OtherTopic(Changed):
    """Has another topic in one place."""

    def change(self, recorded):
        return recorded[:-1] + [recorded[-1]._replace(topic="com.example.other")]


class OneConnection(Changed):
    """Says that all came over one connection."""

    def change(self, recorded):
        return [one._replace(connection=1) for one in recorded]


class ManyConnections(Changed):
    """Says that each came over a connection of its own."""

    def change(self, recorded):
        return [one._replace(connection=number) for number, one in enumerate(recorded)]


class OtherReason(Simulator):
    """Answers other reasons than it was told to."""

    def __init__(self):
        super(OtherReason, self).__init__()
        register = self.devices.bad
        self.devices.bad = lambda token, reason: register(token, reason="ExpiredToken")


class Silent(Simulator):
    """Has no record of what it answered."""

    answers = ()


class Strict(Simulator):
    """Refuses a device that nothing is wrong with."""

    def __init__(self):
        super(Strict, self).__init__(
            provider_script=ProviderScript(answer_at={1: "BadDeviceToken"}))


class Unaware(Simulator):
    """Does not notice that the app was removed."""

    def __init__(self):
        super(Unaware, self).__init__()
        self.devices.uninstall = lambda token, when: None


class WrongTime(Simulator):
    """Tells another time than that of the removal."""

    def __init__(self):
        super(WrongTime, self).__init__()
        register = self.devices.uninstall
        self.devices.uninstall = lambda token, when: register(token, when + 1)


class Unable(Simulator):
    """Says of the first request of each connection that it is too busy."""

    def __init__(self):
        super(Unable, self).__init__(provider_script=ProviderScript(
            answer_at=dict((number, "ServiceUnavailable") for number in range(1, 500))))


class Unwilling(Simulator):
    """Accepts neither credential."""

    def __init__(self):
        super(Unwilling, self).__init__(
            provider_script=ProviderScript(answer_at={1: "Forbidden"}))


@pytest.mark.parametrize("faulty, complaint", [
    (Forgetful, "was reported as accepted and is not in the record"),
    (Repetitive, "is in the record 2 times"),
    (Disorderly, "the record has the tokens in another order"),
    (Altering, "was delivered with another payload"),
    (OtherTopic, "was delivered for topic com.example.other as alert"),
    (OneConnection, "a certificate and a provider token share a connection"),
    (ManyConnections, "connections, expected 1"),
    (OtherReason, "failed with status 8 (410 ExpiredToken, time None), expected 8 (400 "),
    (Silent, "was answered 0 times, expected 1"),
    (Strict, "failed, and nothing is wrong with it"),
    (Unaware, "is None in the feedback, expected"),
    (WrongTime, "in the feedback, expected"),
    (Unable, "has no outcome"),
    (Unwilling, "has no outcome"),
], ids=lambda value: getattr(value, "__name__", None))
def test_demo_fails_when_the_record_differs(faulty, complaint, monkeypatch, capsys):
    """One outcome that is not what the simulator recorded makes the status 1, and is shown."""
    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", faulty)
    assert main(SMALL) == 1
    shown = capsys.readouterr().out
    assert complaint in shown
    assert "WRONG" in shown
    assert "Every outcome agrees" not in shown


def test_demo_finds_a_client_that_hides_a_failure(monkeypatch, capsys):
    """A refused token that the client takes for delivered is a difference."""
    monkeypatch.setattr(demo, "RECORD_TIMEOUT", 0.5)
    honest = Result.failed.fget
    monkeypatch.setattr(Result, "failed", property(lambda self: dict(
        item for item in honest(self).items() if item[1].reason != "DeviceTokenNotForTopic")))
    assert main(SMALL) == 1
    shown = capsys.readouterr().out
    assert "failed with status none, expected 8 (400 DeviceTokenNotForTopic, time None)" in shown
    assert "was reported as accepted and is not in the record" in shown


def test_demo_finds_a_client_that_sends_twice(monkeypatch, capsys):
    """Once is what each device is to get."""
    honest = APNs.send
    monkeypatch.setattr(APNs, "send", lambda self, message: [
        honest(self, Message(message.tokens[:1], alert="x", apns_topic="com.example.demo")),
        honest(self, message)][1])
    assert main(SMALL) == 1
    assert "is in the record 2 times" in capsys.readouterr().out


def test_demo_finds_a_client_that_tells_feedback_twice(monkeypatch, capsys):
    """It is read twice to see that."""
    honest = MemoryStore.drain

    def drain(self, source):
        rows = honest(self, source)
        self.add(source, rows)
        return rows

    monkeypatch.setattr(MemoryStore, "drain", drain)
    assert main(SMALL) == 1
    assert "a token is told twice in the feedback" in capsys.readouterr().out


def test_demo_fails_in_json_too(monkeypatch):
    """The status and the document say the same."""
    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", Forgetful)
    ended = apns(*(SMALL + ["--json"]))
    assert ended.status == 1
    assert ended.document["agrees"] is False


def test_demo_without_a_connection_is_status_3(monkeypatch, capsys):
    """For instance when the simulator cannot be reached."""
    class Deaf(Simulator):
        def __init__(self):
            super(Deaf, self).__init__(provider_script=ProviderScript(refuse=True))

    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", Deaf)
    assert main(SMALL) == 3
    shown = capsys.readouterr().err
    assert shown.startswith("apns: error: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize("library", ["hpack", "jwt"])
def test_demo_without_the_libraries_is_status_3(library, monkeypatch):
    """The message says what to install; the binary demonstration does without them."""
    monkeypatch.setitem(sys.modules, library, None)
    ended = apns("demo", "--http2")
    assert ended.status == 3
    assert ended.err.startswith("apns: error: ")
    assert "pip install" in ended.err
    assert apns("demo", "--tokens", "60", "--seed", "206").status == 0
