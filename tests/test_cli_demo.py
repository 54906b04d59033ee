"""``apns demo`` shows both protocols, and what it shows is what the simulator recorded."""

from __future__ import absolute_import, division, print_function

import sys

import pytest

import apnsclient.testing.simulator
from apnsclient.testing.simulator import ProviderScript, Script, Simulator
from cli_support import apns, environment


def test_demo_succeeds_out_of_the_box():
    """The first thing that anybody sees: no argument, nothing on standard error, status 0."""
    ended = apns("demo")
    assert (ended.status, ended.err) == (0, "")
    for shown in ("One message to 1000 devices", "not hexadecimal", "8 Invalid token\n",
                  "748 were not processed and are sent again", "no longer has the app",
                  "The simulator accepted 997 notifications"):
        assert shown in ended.out
    accepted = [int(line.split()[2]) for line in ended.out.splitlines() if " accepted" in line
                and " tokens: " in line]
    assert sum(accepted) == 997
    assert "\x1b" not in ended.out


def test_demo_of_http2_has_the_responses():
    """All tokens that fail are in one result, and nothing is to be sent again."""
    ended = apns("demo", "--http2")
    assert (ended.status, ended.err) == (0, "")
    for shown in ("1000 tokens: 996 accepted", "not hexadecimal", "8 Invalid token: Unregistered",
                  "8 Invalid token: BadDeviceToken", "no longer has the app",
                  "The simulator accepted 996 notifications"):
        assert shown in ended.out
    assert ended.out.count("failed") == 4
    assert "sent again" not in ended.out


def test_demo_shows_colours_on_a_terminal():
    """Unless the user does not want any."""
    for colours, env in ((True, environment()), (False, environment(NO_COLOR="1")),
                         (False, environment(TERM="dumb"))):
        ended = apns("demo", "--tokens", "10", terminal=["stdout"], env=env)
        assert ended.status == 0
        assert (b"\x1b[31mfailed\x1b[0m" in ended.shown) is colours


def _use(monkeypatch, **options):
    monkeypatch.setattr(apnsclient.testing.simulator, "Simulator", lambda: Simulator(**options))


@pytest.mark.parametrize("options, arguments, error", [
    ({"script": Script(status_at={1: 1})}, (), "Processing error"),
    ({"provider_script": ProviderScript(response_at={1: "Forbidden"})}, ("--http2",), "Forbidden"),
], ids=["always busy", "credential refused"])
def test_demo_ends_with_status_1_where_tokens_are_left(options, arguments, error, monkeypatch):
    """It is not tried for ever."""
    _use(monkeypatch, **options)
    ended = apns("demo", "--tokens", "10", *arguments)
    assert (ended.status, ended.err.count("Traceback")) == (1, 0)
    assert error in ended.out


def test_demo_without_a_connection_is_status_3(monkeypatch):
    """For instance when the simulator cannot be reached."""
    for arguments in ((), ("--http2",)):
        _use(monkeypatch, script=Script(refuse=True), provider_script=ProviderScript(refuse=True))
        ended = apns("demo", *arguments)
        assert ended.status == 3
        assert ended.err.startswith("apns: error: ")
        assert ended.err.count("\n") == 1


@pytest.mark.parametrize("library", ["hpack", "jwt"])
def test_demo_without_the_libraries_is_status_3(library, monkeypatch):
    """The message says what to install; the binary demonstration does without them."""
    monkeypatch.setitem(sys.modules, library, None)
    ended = apns("demo", "--http2")
    assert ended.status == 3
    assert ended.err.startswith("apns: error: ")
    assert "pip install" in ended.err
    assert apns("demo", "--tokens", "10").status == 0
