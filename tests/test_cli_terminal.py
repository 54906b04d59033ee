"""The progress bar, Ctrl-C, and readers that go away, with real terminals and signals."""

from __future__ import absolute_import, division, print_function

import json
import os
import signal

import pytest

from apnsclient.testing.simulator import Script, Simulator
from cli_support import (
    Bed,
    apns,
    command,
    environment,
    finish,
    interrupt_on_terminal,
    interrupt_until_ended,
    python,
    read_terminal,
    running,
    terminal,
    token,
)

GOOD = [token(number) for number in range(1, 8)]
MANY = [token(number) for number in range(1, 3001)]


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


@pytest.fixture
def slow_bed(tmp_path):
    """A bed whose gateway reads 300 notifications, and then nothing more."""
    with Simulator(receive_buffer=4096, script=Script(stall_after=300)) as simulator:
        yield Bed(simulator, tmp_path)


def _lines(tokens):
    return ("\n".join(tokens) + "\n").encode("ascii")


def test_a_terminal_gets_a_progress_bar_and_the_output_does_not(bed):
    """The bar is on standard error; standard output has the results alone."""
    name = bed.file("tokens", _lines(MANY))
    arguments = bed.arguments("--alert", "hi", "--slice", "500", "--tokens-file", name)
    with terminal(command(*arguments), pipes=("stdout",)) as (process, screen):
        shown = read_terminal(screen)
        out = process.stdout.read()
        assert process.wait() == 0
    assert b"100%" in shown
    assert b"3.00k/3.00k" in shown
    assert b"awaiting answers" in shown
    assert out.startswith(b"3000 of 3000 tokens accepted")
    assert out.count(b"\n") == 1


def test_the_bar_goes_back_by_what_is_sent_again(bed):
    """At the end it stands at the number of tokens, however often they were sent."""
    bed.simulator.devices.bad(GOOD[2])
    bed.simulator.script(None, Script(shutdown_after=1))
    with terminal(command(*bed.arguments("--alert", "hi", *GOOD))) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() == 1
    assert b"7.00/7.00" in shown
    assert b"Invalid token" in shown


def test_a_pipe_gets_no_bar(bed):
    """Nor does a log file."""
    assert bed.send("--alert", "hi", *GOOD).err == ""


def test_the_bar_can_be_switched_off(bed):
    """And tqdm is not even imported then."""
    arguments = bed.arguments("--alert", "hi", "--no-progress", *GOOD)
    with terminal(command(*arguments), pipes=("stdout",)) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() == 0
    assert shown == b""


def test_without_tqdm_all_works_and_a_terminal_is_told_once(bed):
    """The bar is an extra."""
    (bed.directory / "tqdm.py").write_text(u"raise ImportError('not installed')\n")
    arguments = bed.arguments("--alert", "hi", "--slice", "2", *GOOD)
    path = os.pathsep.join([str(bed.directory), environment()["PYTHONPATH"]])
    env = environment(PYTHONPATH=path)
    with terminal(command(*arguments), pipes=("stdout",), env=env) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() == 0
    assert shown.count(b"pip install 'apns-client[cli]'") == 1
    assert shown.count(b"\n") == 1
    piped = apns(*arguments, env=env)
    assert (piped.status, piped.err) == (0, "")


def test_tqdm_is_not_imported_where_no_bar_is_shown(bed):
    """It takes its time."""
    ended = python("import sys\n"
                   "from apnsclient.cli import main\n"
                   "main(sys.argv[1:])\n"
                   "print('tqdm' in sys.modules)\n", *bed.arguments("--alert", "hi", *GOOD))
    assert ended.out.splitlines()[-1] == "False"


def test_a_warning_appears_above_the_bar(bed):
    """And the bar goes on below it."""
    bed.simulator.script(Script(garbage_after=2))
    arguments = bed.arguments("--alert", "hi", *GOOD)
    with terminal(command(*arguments), pipes=("stdout",)) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() in (0, 1)
    warnings = [line for line in shown.replace(b"\r", b"\n").splitlines()
                if line.startswith(b"apns: warning: ")]
    assert len(warnings) == 1
    assert b"100%" in shown[shown.index(warnings[0]):]


def test_a_long_list_of_failures_is_shortened_on_a_terminal(bed):
    """A pipe gets all of it."""
    bad = ["bad-%d" % number for number in range(25)]
    arguments = bed.arguments("--alert", "hi", *bad)
    with terminal(command(*arguments)) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() == 1
    assert shown.count(b"\tbad-") == 20
    assert b"... and 5 more: --json, or a pipe, shows all" in shown
    assert apns(*arguments).out.count("\tbad-") == 25


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_ctrl_c_while_reading_tokens_ends_in_good_order(bed, form):
    """What was sent is awaited and told; status 130, no traceback."""
    arguments = bed.arguments("--alert", "hi", "--slice", "1", *form)
    with running(command(*arguments)) as process:
        process.stdin.write(_lines(GOOD[:3]))
        process.stdin.flush()
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 3, 30)
        process.send_signal(signal.SIGINT)
        # Its standard input stays open: only the signal ends it.
        out, err = process.stdout.read().decode("ascii"), process.stderr.read()
        assert process.wait() == 130
    assert b"Traceback" not in err
    if not form:
        assert out.startswith("3 of 3 tokens accepted, 0 failed, 0 not sent, 0 unknown")
        assert b"apns: the list of tokens was not read to its end" in err
        return
    shown = json.loads(out)
    assert (shown["accepted"], shown["not_sent"], shown["unknown"]) == (3, [], [])
    assert shown["interrupted"] is True
    assert shown["read_to_end"] is False


def test_ctrl_c_while_reading_keeps_what_had_been_read(bed):
    """A slice that is not full yet is told as not sent, if it had been read by then."""
    arguments = bed.arguments("--alert", "hi", "--json", "--slice", "3")
    with running(command(*arguments)) as process:
        process.stdin.write(_lines(MANY[:8]))
        process.stdin.flush()
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 6, 30)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait() == 130
    shown = json.loads(out.decode("ascii"))
    assert b"Traceback" not in err
    assert (shown["accepted"], shown["unknown"]) == (6, [])
    assert [one["token"] for one in shown["not_sent"]] in ([], MANY[6:8])
    assert shown["tokens"] == 6 + len(shown["not_sent"])


def test_ctrl_c_twice_does_not_wait(slow_bed):
    """Each token is accounted for: what is on its way is unknown."""
    arguments = slow_bed.arguments("--alert", "hi", "--json", "--slice", "100", "--tokens-file",
                                   slow_bed.file("tokens", _lines(MANY * 10)))
    with running(command(*arguments)) as process:
        assert slow_bed.simulator.wait_for(
            lambda: slow_bed.simulator.accepted_count == 300, 30)
        ended = interrupt_until_ended(process)
    assert ended.status == 130
    assert "Traceback" not in ended.err
    shown = ended.document
    assert shown["interrupted"] is True
    assert len(shown["unknown"]) >= 300
    assert (shown["accepted"] + len(shown["failed"]) + len(shown["not_sent"])
            + len(shown["unknown"])) == shown["tokens"] == 30000
    assert shown["read_to_end"] is True


def test_ctrl_c_while_connecting_ends_at_once(bed):
    """Once is enough then."""
    bed.simulator.script(Script(stall_handshake=True))
    arguments = bed.arguments("--alert", "hi", "--connect-timeout", "40", *GOOD)
    with terminal(command(*arguments)) as (process, screen):
        read_terminal(screen, until=b"0.00/7.00")
        shown = interrupt_on_terminal(screen)
        assert process.wait() == 130, shown
    # Not sent if the signal came before connecting began.
    assert (b"0 of 7 tokens accepted, 0 failed, 0 not sent, 7 unknown" in shown
            or b"0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown" in shown)
    assert b"Traceback" not in shown


def test_ctrl_c_while_waiting_to_try_again_ends_at_once(bed):
    """What was to be tried again is told as not sent."""
    bed.simulator.script(*[Script(status_at={1: 1})] * 9)
    arguments = bed.arguments("--alert", "hi", "--retry-delay", "40", *GOOD)
    with terminal(command(*arguments)) as (process, screen):
        read_terminal(screen, until=b"trying again in 40 s")
        shown = interrupt_on_terminal(screen)
        assert process.wait() == 130, shown
    assert b"0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown" in shown


def test_ctrl_c_once_awaits_the_answers(bed):
    """The user is told that, and how not to wait."""
    name = bed.file("tokens", _lines(MANY))
    arguments = bed.where + ["--alert", "hi", "--tail-timeout", "6", "--tokens-file", name]
    with terminal(command(*arguments), pipes=("stdout",)) as (process, screen):
        read_terminal(screen, until=b"awaiting answers")
        os.write(screen, b"\x03")
        shown = read_terminal(screen)
        out = process.stdout.read()
        assert process.wait() == 130
    assert out.startswith(b"3000 of 3000 tokens accepted")
    assert shown.count(b"apns: stopping; waiting for the gateway's answers") == 1
    assert b"(Ctrl-C again: do not wait)" in shown


def test_a_background_job_does_not_heed_ctrl_c(bed):
    """A shell starts it with SIGINT ignored, and so it stays."""
    script = 'trap "" INT; exec "$0" "$@"'
    arguments = ["sh", "-c", script] + command(*bed.arguments("--alert", "hi", "--slice", "1"))
    with running(arguments) as process:
        process.stdin.write(_lines(GOOD[:1]))
        process.stdin.flush()
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 1, 30)
        process.send_signal(signal.SIGINT)
        ended = finish(process, _lines(GOOD[1:]))
    assert ended.status == 0
    assert bed.simulator.accepted_tokens() == GOOD


def test_a_reader_that_goes_away_ends_send_quietly(bed):
    """The tokens are sent all the same."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = bed.send("--alert", "hi", *GOOD, stdout=writer)
    finally:
        os.close(writer)
    assert (ended.status, ended.err) == (141, "")
    assert bed.simulator.accepted_tokens() == GOOD
