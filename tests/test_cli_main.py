"""``apns`` itself: help, version, and what happens when the output fails."""

from __future__ import absolute_import, division, print_function

import os
import signal
import subprocess
import sys
import threading

import pytest
import six

import apnsclient
from apnsclient.cli import main
from cli_support import Bed, apns, command, environment, finish, running, token, write_file


def test_version_goes_to_standard_output():
    """On Python 2.7, too, where argparse writes it to standard error."""
    ended = apns("--version")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out == "apns (apns-client) %s\n" % apnsclient.__version__


@pytest.mark.parametrize("name", ["demo", "send", "feedback", "simulator", "chaos"])
def test_help_of_each_command_tells_its_exit_statuses(name, capsys):
    """Whoever writes a script finds them there."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "usage: apns %s" % name in shown
    assert "exit status:" in shown


def test_help_lists_the_commands(capsys):
    """Each with a line."""
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in ("demo", "send", "feedback", "simulator", "chaos"):
        assert "    %s" % name in shown


def test_no_command_is_wrong_usage():
    """Python 2.7 and 3 agree on the status, though not on the text."""
    ended = apns()
    assert ended.status == 2
    assert ended.out == ""
    assert "usage: apns" in ended.err


def test_help_needs_no_library_beyond_six():
    """``apns --help`` works, quickly, before pyOpenSSL and the extras are there."""
    program = ("import sys\n"
               "from apnsclient.cli import main\n"
               "try: main(['--help'])\n"
               "except SystemExit: pass\n"
               "print(sorted(set(sys.modules) & set(['OpenSSL', 'cryptography', 'tqdm'])))\n")
    with running([command()[0], "-c", program]) as process:
        ended = finish(process)
    assert ended.out.splitlines()[-1] == "[]"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line_and_status_4():
    """What could not be written is not lost silently."""
    with open("/dev/full", "wb") as full:
        ended = apns("demo", "--tokens", "20", "--tail-timeout", "0.2", "--json", stdout=full)
    assert ended.status == 4
    assert ended.err.startswith("apns: error: cannot write to ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--tokens", "50"]])
def test_a_reader_that_goes_away_ends_the_command_quietly(arguments):
    """As in ``apns ... | head``."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = apns(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert ended.status == 141
    assert ended.err == ""


@pytest.mark.parametrize("unbuffered", [None, "1"])
def test_a_reader_that_goes_away_in_the_middle_of_a_line(unbuffered):
    """Without a buffer Python 3 drops what a write has left, and says nothing."""
    program = ("import sys\n"
               "from apnsclient.cli import feedback, main\n"
               "def run(arguments, console):\n"
               "    console.line('x' * 3000000)\n"
               "    return 0\n"
               "feedback.run = run\n"
               "sys.exit(main(['feedback', '--address', 'localhost:1']))\n")
    with running([command()[0], "-c", program],
                 env=environment(PYTHONUNBUFFERED=unbuffered)) as process:
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


def test_nobody_reads_either_output(simulator, tmp_path):
    """Then there is nobody to tell, be it a warning or an error."""
    bed = Bed(simulator, tmp_path)
    expired = bed.file("expired.pem", simulator.client_certificate(expired=True))
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = bed.send("--cert", expired, "--alert", "x", token(1), stdout=writer, stderr=writer)
    finally:
        os.close(writer)
    assert ended.status == 3


def test_it_runs_in_any_thread(capsys):
    """Where signals cannot be handled, they are left alone."""
    statuses = []
    thread = threading.Thread(
        target=lambda: statuses.append(main(["demo", "--tokens", "20", "--tail-timeout", "1"])))
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


def test_closed_outputs_are_no_failure():
    """A daemon may start the command without standard output and standard error."""
    script = 'exec "$0" "$@" >&- 2>&-'
    with running(["sh", "-c", script] + command("demo", "--tokens", "20")) as process:
        ended = finish(process)
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_a_socket_is_not_taken_for_a_standard_stream_that_is_closed():
    """Results would go to the server."""
    program = ("import os, sys\n"
               "from apnsclient.cli import feedback, main\n"
               "def run(arguments, console):\n"
               "    opened = os.open(os.devnull, os.O_RDONLY)\n"
               "    return 100 + opened\n"
               "feedback.run = run\n"
               "sys.exit(main(['feedback', '--address', 'localhost:1']))\n")
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    with running(["sh", "-c", script, command()[0], "-c", program]) as process:
        assert finish(process).status > 102


def test_a_standard_input_that_is_closed_is_not_an_empty_list(simulator, tmp_path, capsys,
                                                              monkeypatch):
    """Whoever names it wants it to be read."""
    monkeypatch.setattr(sys, "stdin", None)  # As Python 3 has it then.
    certificate = write_file(tmp_path / "push.pem", simulator.cert_string)
    assert main(["send", "--address", "localhost:1", "--cert", certificate, "--alert", "x",
                 "-"]) == 2
    assert "cannot read the tokens" in capsys.readouterr().err


def test_an_error_is_one_line_without_a_traceback():
    """Also when its text is not ASCII and the output knows only ASCII."""
    name = six.ensure_str(u"schl\u00fcssel.pem", "utf-8")
    ended = apns("send", "--address", "localhost:1", "--cert", name, "--alert", "x", "5f",
                 env=environment(PYTHONIOENCODING="ascii", LC_ALL="C.UTF-8"))
    assert ended.status == 3
    assert ended.err.startswith("apns: error: cannot read the certificate ")
    assert ended.err.count("\n") == 1


def test_warnings_of_libraries_are_shown_on_demand_only():
    """Which Pythons a library is going to drop is nothing that a user of a command can act on."""
    program = ("import sys, warnings\n"
               "from apnsclient.cli import feedback, main\n"
               "def run(arguments, console):\n"
               "    warnings.warn('old interpreter')\n"
               "    return 0\n"
               "feedback.run = run\n"
               "sys.exit(main(['feedback', '--address', 'x:1', '--cert', 'x']))\n")
    shown = []
    for options in ([], ["-W", "default"]):
        with running([command()[0]] + options + ["-c", program],
                     stderr=subprocess.PIPE) as process:
            shown.append("old interpreter" in finish(process).err)
    assert shown == [False, True]
