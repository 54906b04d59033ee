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
from cli_support import Bed, apns, token, unread_pipe, write_file


def test_version_goes_to_standard_output():
    """On Python 2.7, too, where argparse writes it to standard error."""
    ended = apns("--version")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "apns (apns-client) %s\n" % apnsclient.__version__


def test_help_of_each_command_tells_its_exit_statuses():
    """Whoever writes a script finds them there."""
    for name in ("demo", "send", "feedback", "simulator", "chaos"):
        ended = apns(name, "--help")
        assert ended.status == 0
        assert "usage: apns %s" % name in ended.out
        assert "exit status:" in ended.out


def test_help_lists_the_commands():
    """Each with a line."""
    shown = apns("--help").out
    for name in ("demo", "send", "feedback", "simulator", "chaos"):
        assert "    %s" % name in shown


def test_no_command_is_wrong_usage():
    """Python 2.7 and 3 agree on the status, though not on the text."""
    ended = apns()
    assert ended.status == 2
    assert ended.out == ""
    assert "usage: apns" in ended.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line_and_status_4():
    """What could not be written is not lost silently."""
    with open("/dev/full", "wb") as full:
        ended = apns("demo", "--tokens", "20", "--tail-timeout", "0.2", "--json",
                     stdout=full.fileno())
    assert ended.status == 4
    assert ended.err.startswith("apns: error: cannot write to ")
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_the_command_quietly():
    """As in ``apns ... | head``."""
    with unread_pipe() as writer:
        for arguments in (["--help"], ["demo", "--tokens", "50", "--tail-timeout", "0.2"]):
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
    """Then there is nobody to tell, be it a warning or an error."""
    bed = Bed(simulator, tmp_path)
    expired = bed.file("expired.pem", simulator.client_certificate(expired=True))
    with unread_pipe() as writer:
        ended = bed.send("--cert", expired, "--alert", "x", token(1), stdout=writer, stderr=writer)
    assert ended.status == 3


def test_it_runs_in_any_thread(capsys):
    """Where signals cannot be handled, they are left alone."""
    statuses = []
    thread = threading.Thread(
        target=lambda: statuses.append(main(["demo", "--tokens", "20", "--tail-timeout", "0.2"])))
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
    """Whoever names it wants it to be read."""
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
