"""Behaviors and settings: what is understood, and what is an error."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient.testing.chaos import ChaosProxy, ConfigurationError
from apnsclient.testing.chaos.behavior import Behavior
from apnsclient.testing.chaos.settings import convert, count, direction, rate, seconds, size
from tables import each

NOWHERE = ("127.0.0.1", 1)


@pytest.mark.parametrize("text, shares", [
    ("", ()),
    ("20:delay,5:reset", ((20, "delay"), (5, "reset"))),
    (" 20 : delay , 80:a.b.C ", ((20, "delay"), (80, "a.b.C"))),
    ("0.5:delay,33.3:x,33.3:y,32.9:z", ((0.5, "delay"), (33.3, "x"), (33.3, "y"), (32.9, "z"))),
    (u"100:delay", ((100, "delay"),)),
])
def test_a_behavior_is_understood(text, shares):
    """Names with percentages, in order; and its text means the same."""
    assert Behavior(text).shares == shares
    assert Behavior(str(Behavior(text))) == Behavior(text)


@each("text", [
    "delay", "20delay", "20:", ":delay", "x:delay", "-1:delay", "101:delay", "nan:delay",
    "20:delay,", "20:delay,,5:reset", "60:delay,50:reset", "inf:delay", None, 20])
def test_a_malformed_behavior_is_told(text):
    """With the text, and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        Behavior(text)
    assert "expected" in str(caught.value)
    assert isinstance(caught.value, ValueError)


@each("behavior, settings", [
    (u"d\xe9lay", {}),
    (u"20:d\xe9lay", {}),
    (u"20:d\xe9lay,90:dummy", {}),
    (u"20:nowhere.d\xe9lay", {}),
    ("", {u"d\xe9lay": {}}),
    ("20:delay", {"delay": {u"sl\xe9ep": 1}}),
])
def test_what_is_unknown_and_not_ascii_is_told(behavior, settings):
    """It is named, on every Python."""
    with pytest.raises(ConfigurationError) as caught:
        ChaosProxy(NOWHERE, behavior, settings)
    assert "lay" in str(caught.value)


def test_the_shares_follow_one_another():
    """What is left over is the dummy's."""
    behavior = Behavior("20:a,5:b")
    assert [behavior.choose(fraction) for fraction in (0, 0.1999, 0.2001, 0.2499, 0.2501, 0.99)] \
        == ["a", "a", "b", "b", "dummy", "dummy"]
    assert Behavior("100:a").choose(1 - 1e-12) == "a"
    assert Behavior("0:a").choose(0.0) == "dummy"
    assert repr(behavior) == "Behavior('20:a,5:b')"


@each("kind, value, expected", [
    (bool, "yes", True), (bool, "TRUE", True), (bool, "1", True), (bool, "on", True),
    (bool, "no", False), (bool, "false", False), (bool, u"0", False), (bool, True, True),
    (int, "12", 12), (int, -3, -3), (int, 3.0, 3), (float, "1.5", 1.5), (float, 2, 2.0),
    (str, u"text", "text"), (seconds, "0", 0.0), (seconds, 0.5, 0.5), (rate, "10", 10.0),
    (count, "0", 0), (size, u"1", 1), (direction, u"both", "both"),
])
def test_a_value_is_converted_by_its_type(kind, value, expected):
    """Text of a command line or an ini file, and what JSON or Python has."""
    found = convert("x", kind, value)
    assert (found, type(found)) == (expected, type(expected))


@each("kind, value", [
    (bool, "maybe"), (bool, 1), (bool, ""), (int, "x"), (int, "1.5"), (int, 1.5), (int, True),
    (int, None), (float, "x"), (float, "nan"), (str, 5), (seconds, -1), (seconds, "inf"),
    (rate, 0), (count, -1), (size, 0), (size, "1.0"), (direction, "up"), (direction, []),
])
def test_a_value_of_another_type_is_told(kind, value):
    """With the option, the value, and what was expected."""
    with pytest.raises(ConfigurationError) as caught:
        convert("option x", kind, value)
    assert str(caught.value).startswith("option x is ")
    assert ": expected " in str(caught.value)


def test_settings_are_checked_when_they_are_set():
    """All of a change or nothing."""
    proxy = ChaosProxy(NOWHERE, settings={"delay": {"sleep": "2"}})
    assert proxy.settings("delay") == {"sleep": 2.0, "direction": "both"}
    assert proxy.settings("delay", direction="to_client")["sleep"] == 2.0
    with pytest.raises(ConfigurationError) as caught:
        proxy.change("5:delay", {"delay": {"sleep": 3}, "dummy": {"x": 1}})
    assert "the handler dummy has no option 'x'; it has none at all" in str(caught.value)
    assert (proxy.behavior, proxy.settings("delay")["sleep"]) == ("", 2.0)
    with pytest.raises(ConfigurationError) as caught:
        proxy.configure("delay", slep=3)
    assert "expected one of direction, sleep" in str(caught.value)


def test_an_alias_is_a_name_of_its_own():
    """With settings of its own, so that one handler can serve in two ways."""
    proxy = ChaosProxy(NOWHERE, "10:late,10:later", {"late": {"sleep": 1}, "later": {"sleep": 9}},
                       aliases={"late": "delay", "later": "delay"})
    assert [proxy.settings(name)["sleep"] for name in ("late", "later", "delay")] \
        == [1.0, 9.0, 1.0]
