"""``apns demo`` agrees with the simulator's record, and says so when it does not."""

from __future__ import absolute_import, division, print_function

import json

import pytest

import apnsclient.testing.simulator
from apnsclient.apns import Message, Result
from apnsclient.cli import demo, main
from apnsclient.testing.simulator import Script, Simulator
from cli_support import QUIET, apns, environment

#: The last of these devices is a bad one, on each Python: its answer is the end, and the silence of
#: the gateway is not awaited.
SMALL = ["--tokens", "60", "--tail-timeout", "1", "--seed", "206"]


def test_demo_succeeds_out_of_the_box():
    """The first thing that anybody sees: no argument, nothing on standard error, status 0."""
    ended = apns("demo")
    assert ended.err == ""
    assert ended.status == 0, ended.out
    assert "One message to 5000 devices" in ended.out
    assert "8 Invalid token" in ended.out
    assert "5 Invalid token size" in ended.out
    assert "not hexadecimal" in ended.out
    assert "no longer has the app" in ended.out
    assert "4995 accepted, 5 failed, 1 gone; 4 attempts" in ended.out
    assert "Every outcome agrees with the record." in ended.out
    assert "WRONG" not in ended.out
    assert "\x1b" not in ended.out


def test_demo_prints_one_json_document():
    """Counts, failures, feedback and checks, for machines."""
    ended = apns("demo", "--json", "--tokens", 300, "--bad", 2, "--malformed", 1, "--seed", 7,
                 "--tail-timeout", 1)
    shown = ended.document
    assert ended.status == 0
    assert shown["agrees"] is True
    assert (shown["tokens"], shown["seed"], shown["accepted"]) == (300, 7, 297)
    assert sorted(failure["code"] for failure in shown["failed"]) == [5, 8, 8]
    assert [attempt["tokens"] for attempt in shown["attempts"]][0] == 300
    assert len(shown["attempts"]) == 3
    assert len(shown["feedback"]) == 1
    assert shown["unresolved"] == []
    assert len(shown["checks"]) == 5
    assert all(check["differences"] == [] for check in shown["checks"])


def test_demo_shows_colours_on_a_terminal():
    """Unless the user does not want any."""
    for colours, env in ((True, environment()), (False, environment(NO_COLOR="1")),
                         (False, environment(TERM="dumb"))):
        ended = apns("demo", *SMALL, terminal=["stdout"], env=env)
        assert ended.status == 0
        assert (b"\x1b[32mok\x1b[0m" in ended.shown) is colours


def test_demo_is_repeatable(capsys):
    """The same seed makes the same devices; another one makes others."""
    seen = []
    for seed in ("206", "206", "385"):
        assert main(["demo", "--json"] + SMALL + ["--seed", seed]) == 0
        seen.append([one["token"] for one in json.loads(capsys.readouterr().out)["failed"]])
    assert seen[0] == seen[1] != seen[2]


def test_demo_runs_with_good_devices_only(capsys):
    """One attempt then suffices."""
    assert main(["demo", "--bad", "0", "--malformed", "0"] + SMALL + QUIET) == 0
    assert "60 accepted, 0 failed, 1 gone; 1 attempts" in capsys.readouterr().out


def test_demo_shortens_long_lists(capsys):
    """Ten rows of a kind are enough for a look."""
    assert main(["demo", "--bad", "0", "--malformed", "30"] + SMALL + QUIET) == 0
    assert "and 20 more" in capsys.readouterr().out


def test_demo_wants_at_least_one_good_device():
    """Otherwise there is nothing to uninstall the app from."""
    ended = apns("demo", "--tokens", 5)
    assert ended.status == 2
    assert ended.err == ("apns: error: 5 tokens are too few for 3 bad and 2 malformed ones "
                         "and a good one\n")


class Forgetful(Simulator):
    """Its record lacks what it accepted last."""

    @property
    def accepted(self):
        return super(Forgetful, self).accepted[:-1]


class Repetitive(Simulator):
    """Its record has the first notification twice."""

    @property
    def accepted(self):
        recorded = super(Repetitive, self).accepted
        return recorded[:1] + recorded


class Disorderly(Simulator):
    """Its record has two notifications in the wrong order."""

    @property
    def accepted(self):
        recorded = super(Disorderly, self).accepted
        return recorded[1::-1] + recorded[2:]


class Inventive(Simulator):
    """Its record has notifications to the tokens that it refused."""

    @property
    def accepted(self):
        recorded = super(Inventive, self).accepted
        return recorded + [recorded[0]._replace(token=token) for token in self.refused_tokens]

    def __init__(self):
        super(Inventive, self).__init__()
        self.refused_tokens = []
        register = self.devices.bad

        def bad(token, status):
            self.refused_tokens.append(token)
            register(token, status)

        self.devices.bad = bad


class Altering(Simulator):
    """Its record has another payload in one place."""

    @property
    def accepted(self):
        recorded = super(Altering, self).accepted
        return recorded[:-1] + [recorded[-1]._replace(payload=b"{}")]


class OtherStatus(Simulator):
    """Answers other statuses than it was told to."""

    def __init__(self):
        super(OtherStatus, self).__init__()
        register = self.devices.bad
        self.devices.bad = lambda token, status: register(token, 2)


class Silent(Simulator):
    """Has no record of what it answered."""

    answers = ()


class Strict(Simulator):
    """Refuses a device that nothing is wrong with: each one that it has not heard of."""

    def __init__(self):
        super(Strict, self).__init__(script=Script(status_at={2: 8}))


class WithoutFeedback(Simulator):
    """Does not notice that the app was removed."""

    def __init__(self):
        super(WithoutFeedback, self).__init__()
        self.devices.uninstall = lambda token, when: None


class WrongFeedback(Simulator):
    """Tells another time, and a device that still has the app."""

    def __init__(self):
        super(WrongFeedback, self).__init__()
        register = self.devices.uninstall

        def uninstall(token, when):
            register(token, when + 1)
            register("00" * 32, when)

        self.devices.uninstall = uninstall


class Unable(Simulator):
    """Says at each attempt that it could not process the first notification."""

    def __init__(self):
        super(Unable, self).__init__(script=Script(status_at={1: 1}))


@pytest.mark.parametrize("faulty, complaint", [
    (Forgetful, "was reported as accepted and is not in the record"),
    (Repetitive, "is in the record 2 times"),
    (Disorderly, "the record has the tokens in another order"),
    (Inventive, "failed and is in the record"),
    (Altering, "was delivered with another payload"),
    (OtherStatus, "failed with status 2, expected 8"),
    (Silent, "status 8 was answered 0 times, expected 2"),
    (Strict, "failed, and nothing is wrong with it"),
    (WithoutFeedback, "is None in the feedback, expected"),
    (WrongFeedback, "00000000... is"),
    (Unable, "has no outcome"),
], ids=lambda value: getattr(value, "__name__", None))
def test_demo_fails_when_the_record_differs(faulty, complaint, monkeypatch, capsys):
    """One outcome that is not what the simulator recorded makes the status 1, and is shown."""
    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", faulty)
    assert main(["demo"] + SMALL) == 1
    shown = capsys.readouterr().out
    assert complaint in shown
    assert "WRONG" in shown
    assert "Every outcome agrees" not in shown


def test_demo_fails_in_json_too(monkeypatch):
    """The status and the document say the same."""
    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", Forgetful)
    ended = apns("demo", "--json", *SMALL)
    assert ended.status == 1
    assert ended.document["agrees"] is False


@pytest.fixture
def impatient(monkeypatch):
    """Do not wait long for the simulator to receive what it will never get."""
    monkeypatch.setattr(demo, "RECORD_TIMEOUT", 0.5)


def test_demo_finds_a_client_that_loses_a_token(monkeypatch, impatient, capsys):
    """The comparison works in the other direction, too: here the fault is the client's."""
    honest = Message.retry
    monkeypatch.setattr(Message, "retry", lambda self, index, include_failed:
                        honest(self, index + 1, include_failed))
    assert main(["demo"] + SMALL) == 1
    assert "was reported as accepted and is not in the record" in capsys.readouterr().out


def test_demo_finds_a_client_that_hides_a_failure(monkeypatch, impatient, capsys):
    """A refused token that the client takes for delivered is a difference."""
    honest = Result.failed.fget
    monkeypatch.setattr(Result, "failed", property(
        lambda self: dict(item for item in honest(self).items() if item[1][0] != 5)))
    assert main(["demo"] + SMALL) == 1
    assert "failed with status none, expected 5" in capsys.readouterr().out


def test_demo_finds_a_client_that_reports_feedback_twice(monkeypatch, capsys):
    """Once is what the list has."""
    from apnsclient.apns import APNs

    honest = APNs.feedback
    monkeypatch.setattr(APNs, "feedback", lambda self: list(honest(self)) * 2)
    assert main(["demo"] + SMALL) == 1
    assert "a token is told twice in the feedback" in capsys.readouterr().out


def test_demo_without_a_connection_is_status_3(monkeypatch, capsys):
    """For instance when the simulator cannot be reached."""
    class Deaf(Simulator):
        def __init__(self):
            super(Deaf, self).__init__(script=Script(refuse=True))

    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", Deaf)
    assert main(["demo"] + SMALL) == 3
    shown = capsys.readouterr().err
    assert shown.startswith("apns: error: ")
    assert shown.count("\n") == 1
