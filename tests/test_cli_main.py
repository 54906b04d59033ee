"""``apns`` itself: help, version, and what happens when the output fails."""

from __future__ import absolute_import, division, print_function

import os
import signal
import sys
import threading
import warnings

import pytest

import apnsclient
from apnsclient.cli import feedback, main
from cli_support import Bed, apns, environment, token, unread_pipe, write_file


def test_version_goes_to_standard_output():
    """On Python 2.7, too, where argparse writes it to standard error."""
    ended = apns("--version")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "apns (apns-client) %s\n" % apnsclient.__version__


def test_help_of_each_command_has_its_exit_statuses():
    """The author of a script finds them there."""
    for name in ("demo", "doctor", "send", "feedback", "simulator", "chaos"):
        ended = apns(name, "--help")
        assert ended.status == 0
        assert "usage: apns %s" % name in ended.out
        assert "exit status:" in ended.out


def test_help_lists_the_commands():
    """Each with a line."""
    shown = apns("--help").out
    for name in ("demo", "doctor", "send", "feedback", "simulator", "chaos"):
        assert "    %s" % name in shown


def test_help_fits_the_terminal():
    """By the variable that a shell sets. What is to be copied is not broken: it is indented."""
    for name in ("demo", "doctor", "send", "feedback", "simulator", "chaos"):
        for columns in (65, 80, 300):
            shown = apns(name, "--help", env=environment(COLUMNS=str(columns))).out
            widest = max(len(line) for line in shown.splitlines() if line[:4] != " " * 4
                         or columns > 65)
            width = min(columns - 2, 100)
            assert width - 20 < widest <= width, (name, columns)


def test_help_keeps_lists_and_what_is_to_be_copied():
    """The text of an item is wrapped below itself; an example stays as it is."""
    shown = apns("send", "--help", env=environment(COLUMNS="60")).out
    assert ("  2    wrong usage: arguments, a message that cannot be\n"
            "       made, ") in shown
    assert "push.pem \\\n        --payload-file news.json - < tokens\n" in shown
    assert not any(line.endswith("-") for line in shown.splitlines())


def test_wrong_usage_is_a_line_and_a_hint():
    """What is wrong, not how the command is used in general; and the one thing to do about it."""
    where = ["send", "--address", "localhost:1"]
    for arguments, complaint, hint in (
            ([], None, "Try: apns --help"),
            (["sned"], "apns: error: unknown command sned", "Did you mean send?"),
            (["bake"], "apns: error: unknown command bake", "Try: apns --help"),
            (["--verison"], "apns: error: unknown option --verison", "Did you mean --version?"),
            (["send"], None, "Try: apns send --help"),
            (["send", "--alret", "x"], "apns send: error: unknown option --alret",
             "Did you mean --alert?"),
            (where + ["--alret=x y"], "apns send: error: unknown option --alret",
             "Did you mean --alert?"),
            (where + ["-alert", "x"], "apns send: error: unknown option -alert",
             "Did you mean --alert?"),
            (where + ["--zoom"], "apns send: error: unknown option --zoom",
             "Try: apns send --help"),
            (where + ["--alert", "-zoom"], "apns send: error: unknown option -zoom",
             "If it is the value of --alert, write --alert=-zoom"),
            (where + ["--badge", "x"], None, "Try: apns send --help")):
        ended = apns(*arguments)
        lines = ended.err.splitlines()
        assert (ended.status, ended.out, lines[1:]) == (2, "", [hint])
        assert complaint in (None, lines[0])


def test_what_begins_with_a_dash_need_not_be_an_option():
    """A negative number, a text with a space in it, and whatever follows two dashes."""
    for arguments in (["--badge", "-1"], ["--alert", "--alret me"], ["--alert=-x"],
                      ["--alert", "x", "--", "--alret"]):
        ended = apns("send", "--address", "localhost:1", *arguments)
        assert ended.err.startswith("apns: error: no credential: "), ended.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line_and_status_4():
    """What could not be written is not lost silently."""
    with open("/dev/full", "wb") as full:
        ended = apns("demo", "--tokens", "20", stdout=full.fileno())
    assert ended.status == 4
    assert ended.err.startswith("apns: error: cannot write to ")
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_the_command_quietly():
    """As in ``apns ... | head``."""
    with unread_pipe() as writer:
        for arguments in (["--help"], ["demo", "--tokens", "50"]):
            ended = apns(*arguments, stdout=writer)
            assert (ended.status, ended.err) == (141, "")


def test_a_reader_that_goes_away_in_the_middle_of_a_line(monkeypatch):
    """A line that is longer than what a pipe takes at once."""
    def run(arguments, console):
        console.line("x" * 3000000)
        return 0

    def read_a_little(running):
        assert running.output.read(1) == b"x"
        running.output.stop_reading()

    monkeypatch.setattr(feedback, "run", run)
    ended = apns("feedback", "--address", "localhost:1", meanwhile=read_a_little)
    assert (ended.status, ended.err) == (141, "")


def test_nobody_reads_either_output(simulator, tmp_path):
    """Neither a warning nor an error can be reported then."""
    bed = Bed(simulator, tmp_path)
    expired = bed.file("expired.pem", simulator.client_certificate(expired=True))
    with unread_pipe() as writer:
        ended = bed.send("--cert", expired, "--alert", "x", token(1), stdout=writer, stderr=writer)
    assert ended.status == 3


def test_it_runs_in_any_thread(capsys):
    """Where signals cannot be handled, they are left alone."""
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(main(["demo", "--tokens", "20"])))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_it_gives_the_handling_of_ctrl_c_back(capsys):
    """As it found it."""
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            assert main(["send", "--address", "localhost:1", "--cert", os.devnull,
                         "--alert", "x", "5f"]) == 3
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_standard_input_that_is_closed_is_not_an_empty_list(simulator, tmp_path, capsys,
                                                              monkeypatch):
    """The user who names it wants it to be read."""
    monkeypatch.setattr(sys, "stdin", None)  # As Python 3 has it then.
    certificate = write_file(tmp_path / "push.pem", simulator.cert_string)
    assert main(["send", "--address", "localhost:1", "--cert", certificate, "--alert", "x",
                 "-"]) == 2
    assert "cannot read the tokens" in capsys.readouterr().err


def test_warnings_of_libraries_are_shown_on_demand_only(monkeypatch):
    """Which Pythons a library is going to drop is nothing that a user of a command can act on."""
    def run(arguments, console):
        warnings.warn("old interpreter", stacklevel=2)
        return 0

    monkeypatch.setattr(feedback, "run", run)
    shown = []
    for options in (["default"], []):
        monkeypatch.setattr(sys, "warnoptions", options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert main(["feedback", "--address", "x:1"]) == 0
        shown.append(["%s" % one.message for one in caught])
    assert shown == [["old interpreter"], []]
