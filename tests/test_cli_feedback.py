"""``apns feedback``: rows as they come, in two forms, and the exit statuses."""

from __future__ import absolute_import, division, print_function

import io
import json
import os
import signal
import sys

import pytest

from apnsclient import Session
from apnsclient.feedback_store import SQLiteStore, source_of
from apnsclient.testing.simulator import FeedbackScript
from cli_support import HANG, Bed, apns, environment, token, unread_pipe

#: 2014-01-02 03:04:05 UTC
WHEN = 1388631845


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


def _arguments(bed, *more):
    return ["feedback", "--address", "%s:%d" % bed.simulator.feedback_address,
            "--ca-file", bed.ca, "--cert", bed.cert] + list(more)


def test_rows_are_token_tab_time_in_utc(bed):
    """Whatever the time zone of the machine is. Reading clears the list."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN + 1)
    ended = apns(*_arguments(bed), env=environment(TZ="Asia/Kolkata"))
    assert (ended.status, ended.err) == (0, "")
    assert ended.rows == [[token(1), "2014-01-02T03:04:05Z"], [token(2), "2014-01-02T03:04:06Z"]]
    again = apns(*_arguments(bed))
    assert (again.status, again.out, again.err) == (0, "", "")


def test_json_is_one_object_a_line(bed):
    """So that a reader need not wait for the end."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), 0xFFFFFFFF)
    ended = apns(*_arguments(bed, "--json"))
    assert ended.status == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"token": token(1), "time": "2014-01-02T03:04:05Z", "timestamp": WHEN},
        {"token": token(2), "time": "2106-02-07T06:28:15Z", "timestamp": 0xFFFFFFFF}]


def test_each_row_is_written_at_once_and_ctrl_c_is_status_130(bed):
    """A service that stalls after the first row does not hold that row back.

    Without the flush nothing comes before the service is given up. The end is one line, without a
    traceback.
    """
    lines = []

    def read_and_interrupt(running):
        lines.append(running.output.readline())
        running.interrupt_until_ended()

    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN)
    bed.simulator.script_feedback(FeedbackScript(stall_after=40))
    ended = apns(*_arguments(bed, "--read-timeout", "600"), meanwhile=read_and_interrupt)
    assert lines == ["%s\t2014-01-02T03:04:05Z\n" % token(1)]
    assert (ended.status, ended.out, ended.err) == (130, "", "apns: error: interrupted\n")


@pytest.mark.parametrize("ending", ["stall_after", "close_after", "reset_after"])
def test_a_list_that_is_not_read_to_its_end_is_status_1(bed, ending):
    """What was read is printed; a script must be able to tell that there is more."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN)
    bed.simulator.script_feedback(FeedbackScript(**{ending: 40}))
    ended = apns(*_arguments(bed, "--read-timeout", "0.3"))
    assert ended.status == 1
    if ending != "reset_after":  # A reset may overtake what was sent before it.
        assert ended.rows == [[token(1), "2014-01-02T03:04:05Z"]]
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("apns: warning: ")
    assert lines[1] == ("apns: error: the list was not read to its end; "
                        "the rest is reported the next time")


def test_a_reader_that_goes_away_ends_it_quietly(bed):
    """As in ``apns feedback | head``; what was not read stays with the service."""
    for number in range(1, 2001):
        bed.simulator.devices.uninstall(token(number), WHEN)
    with unread_pipe() as writer:
        ended = apns(*_arguments(bed), stdout=writer)
    assert (ended.status, ended.err) == (141, "")


def test_an_unknown_address_is_status_2(bed):
    """The message lists the known ones."""
    arguments = _arguments(bed)
    arguments[2] = "feedback_sandbax"
    ended = apns(*arguments)
    assert ended.status == 2
    assert "neither HOST:PORT nor one of feedback_sandbox, feedback_production, " in ended.err


def test_no_connection_is_status_3(bed):
    """Nobody listens; or the service rejects the certificate."""
    foreign = bed.file("foreign.pem", bed.simulator.client_certificate(foreign=True))
    ended = apns(*_arguments(bed, "--cert", foreign))
    assert ended.status == 3
    assert "refused our certificate" in ended.err
    bed.simulator.stop()
    ended = apns(*_arguments(bed))
    assert ended.status == 3
    assert ended.err.startswith("apns: error: ")
    assert ended.err.count("\n") == 1


def test_the_prompt_is_not_shown_to_a_pipe(bed):
    """An encrypted key without a passphrase is status 3 there."""
    credential = bed.simulator.authority.issue("client", passphrase="secret")
    cert = bed.file("locked.pem", credential.pem)
    ended = apns(*_arguments(bed, "--cert", cert))
    assert ended.status == 3
    assert "the key is encrypted" in ended.err


# A command for each token, and following.

#: Exit status 3 for the token that ends in 2; what it was given goes into the file of the first
#: argument, and what it says must not be taken for a row.
SCRIPT = """\
import sys
with open(sys.argv[1], "a") as stream:
    stream.write(" ".join(sys.argv[2:]) + "\\n")
print("said")
sys.exit(3 if sys.argv[2].endswith("2") else 0)
"""
GONE = [(token(number), WHEN + number) for number in range(1, 4)]


class Script(object):
    """A program for ``--exec``, and what it was called with."""

    def __init__(self, bed, text=SCRIPT):
        self._bed = bed
        self._log = str(bed.directory / "calls")
        self._words = [sys.executable, bed.file("script.py", text.encode("ascii")), self._log]

    def command(self, *more):
        return " ".join("'%s'" % word for word in self._words + list(more))

    @property
    def calls(self):
        with open(self._log) as stream:
            return [line.split() for line in stream]


def source(bed):
    """Return what the certificate's tokens are stored under."""
    session = Session(protocol="http2")
    connection = session.get_connection(bed.simulator.provider_address, cert_file=bed.cert)
    return source_of(connection.address, connection.certificate)


@pytest.fixture
def store(bed):
    """A feedback store, of the certificate, with three tokens; and the arguments that name it."""
    found = SQLiteStore(str(bed.directory / "gone.db"))
    found.add(source(bed), [(each.encode("ascii"), when) for each, when in GONE])
    found.left = lambda: [each.decode("ascii") for each, _ in found.drain(source(bed))]
    found.arguments = [
        "feedback", "--address", "%s:%d" % bed.simulator.provider_address, "--http2", "--ca-file",
        bed.ca, "--cert", bed.cert, "--feedback-store", str(bed.directory / "gone.db")]
    return found


def test_a_command_runs_for_each_token(bed, store):
    """Those for which it fails stay in the store; the others are written once it has succeeded."""
    script = Script(bed)
    ended = apns(*store.arguments + ["--once", "--exec", script.command()])
    assert ended.status == 1
    assert [row[0] for row in ended.rows] == [token(1), token(3)]
    assert ended.err == (
        "apns: warning: status 3 of the command for %s\n"
        "apns: error: the command failed for 1 tokens; they are reported again the next time\n"
        % token(2))
    assert script.calls == [[each] for each, _ in GONE]
    assert store.left() == [token(2)]


def test_a_command_takes_what_it_is_given_where_it_is_named(bed, store):
    """Within a word, too, and without a shell."""
    script = Script(bed)
    ended = apns(*store.arguments + [
        "--exec", script.command("x{token}", "{time}{timestamp}", "$HOME;{x}")])
    assert ended.status == 1
    assert script.calls[0] == [
        "x" + token(1), "2014-01-02T03:04:06Z%d" % (WHEN + 1), "$HOME;{x}"]


@pytest.mark.parametrize("command, said", [
    ("", "--exec is not a command: no program"),
    ("a 'b", "--exec is not a command: No closing quotation"),
    ("/nonexistent/program {token}", "cannot run '/nonexistent/program': "),
])
def test_a_command_that_cannot_be_run_is_status_2(store, command, said):
    """Nothing is lost by it."""
    ended = apns(*store.arguments + ["--exec", command])
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("apns: error: " + said)
    assert store.left() == [each for each, _ in GONE]


def test_the_service_keeps_nothing_for_a_command_that_fails(bed):
    """So the warning has the whole token, and says so."""
    for each, when in GONE:
        bed.simulator.devices.uninstall(each, when)
    ended = apns(*_arguments(bed, "--exec", Script(bed).command()))
    assert ended.status == 1
    assert ended.err == (
        "apns: warning: status 3 of the command for %s, which the feedback service does not report "
        "again\napns: error: the command failed for 1 tokens\n" % token(2))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_the_rest_in_the_store(bed, store, number):
    """Also the token whose command was running: it may be run twice, and never not at all."""
    script = Script(bed, text="""\
import os, signal, sys
os.kill(os.getppid(), %d)
sys.stdin.read()
signal.pause()
""" % number)

    ended = apns(*store.arguments + ["--exec", script.command()],
                 meanwhile=lambda running: running.has_ended.wait(HANG))
    assert (ended.status, ended.out, ended.err) == (130, "", "apns: error: interrupted\n")
    assert store.left() == [each for each, _ in GONE]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_reads_again_and_again(bed, store, number):
    """What comes later is written as well; the end is a success."""
    lines = []

    def add_and_end(running):
        for _ in GONE:
            lines.append(running.output.readline())
        for each in (4, 5):
            store.add(source(bed), [(token(each).encode("ascii"), WHEN)])
            lines.append(running.output.readline())
        os.kill(os.getpid(), number)
        while not running.has_ended.wait(5):
            os.kill(os.getpid(), signal.SIGINT)

    ended = apns(*store.arguments + ["--follow", "--every", "0.01"], meanwhile=add_and_end)
    assert [line.split()[0] for line in lines] == [token(each) for each in range(1, 6)]
    assert (ended.status, ended.out, ended.err) == (0, "", "")


def test_following_goes_on_after_a_failure(bed):
    """A service that was read once may be away for a while; each failure is one warning."""
    lines, said = [], []
    reader, writer = os.pipe()

    def stop_and_end(running):
        lines.append(running.output.readline())
        bed.simulator.stop()
        with io.open(reader, encoding="utf-8") as errors:
            said.append(errors.readline())
            running.interrupt_until_ended()

    bed.simulator.devices.uninstall(token(1), WHEN)
    ended = apns(*_arguments(bed, "--follow", "--every", "0.01"),
                 meanwhile=stop_and_end, stderr=writer)
    os.close(writer)
    assert ended.status == 0
    assert lines == ["%s\t2014-01-02T03:04:05Z\n" % token(1)]
    assert said[0].startswith("apns: warning: cannot connect to ")


def test_following_needs_a_first_success(bed):
    """A mistake among the arguments is not tried for ever. And a pause is for following only."""
    bed.simulator.stop()
    ended = apns(*_arguments(bed, "--follow"))
    assert ended.status == 3
    ended = apns(*_arguments(bed, "--every", "5"))
    assert (ended.status, ended.err) == (
        2, "apns: error: --every needs --follow; without it, the list is read once\n")
