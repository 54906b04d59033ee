"""The progress bar, Ctrl-C, and readers that go away, with terminals, pipes and real signals."""

from __future__ import absolute_import, division, print_function

import os
import signal
import sys

import pytest

from apnsclient.testing.simulator import Script
from cli_support import QUIET, Bed, apns, token, unread_pipe
from net_support import await_held

GOOD = [token(number) for number in range(1, 8)]
MANY = [token(number) for number in range(1, 3001)]


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


def _lines(tokens):
    return ("\n".join(tokens) + "\n").encode("ascii")


# The progress bar.

def test_a_terminal_gets_a_progress_bar_and_the_output_does_not(bed):
    """The bar is on standard error; standard output has the results alone."""
    name = bed.file("tokens", _lines(MANY))
    ended = bed.send("--alert", "hi", "--slice", "500", "--tokens-file", name, *QUIET,
                     terminal=["stderr"])
    assert ended.status == 0
    assert b"100%" in ended.shown
    assert b"3.00k/3.00k" in ended.shown
    assert b"awaiting responses" in ended.shown
    assert ended.out.startswith("3000 of 3000 tokens accepted")
    assert ended.out.count("\n") == 1


def test_the_bar_goes_back_by_what_is_sent_again(bed):
    """At the end it stands at the number of tokens, however often they were sent."""
    bed.simulator.devices.bad(GOOD[2])
    bed.simulator.script(None, Script(shutdown_after=1))
    ended = bed.send("--alert", "hi", *GOOD, terminal=["stdin", "stdout", "stderr"])
    assert ended.status == 1
    assert b"7.00/7.00" in ended.shown
    assert b"Invalid token" in ended.shown


def test_the_bar_can_be_switched_off(bed):
    """And a pipe, or a log file, gets none anyway."""
    ended = bed.send("--alert", "hi", "--no-progress", *(GOOD + QUIET), terminal=["stderr"])
    assert (ended.status, ended.shown) == (0, b"")


def test_without_tqdm_all_works_and_a_terminal_has_one_notice(bed, monkeypatch):
    """The bar is an extra."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    arguments = bed.arguments("--alert", "hi", "--slice", "2", *(GOOD + QUIET))
    ended = apns(*arguments, terminal=["stderr"])
    assert ended.status == 0
    assert ended.shown.count(b"pip install argcomplete tqdm") == 1
    assert ended.shown.count(b"\n") == 1
    piped = apns(*arguments)
    assert (piped.status, piped.err) == (0, "")


def test_a_warning_appears_above_the_bar(bed):
    """And the bar goes on below it."""
    bed.simulator.script(Script(garbage_after=2))
    ended = bed.send("--alert", "hi", *GOOD, terminal=["stderr"])
    assert ended.status in (0, 1)
    warnings = [line for line in ended.shown.replace(b"\r", b"\n").splitlines()
                if line.startswith(b"apns: warning: ")]
    assert len(warnings) == 1
    assert b"100%" in ended.shown[ended.shown.index(warnings[0]):]


def test_a_long_list_of_failures_is_shortened_on_a_terminal(bed):
    """A pipe gets all of it."""
    bad = ["bad-%d" % number for number in range(25)]
    arguments = bed.arguments("--alert", "hi", *bad)
    ended = apns(*arguments, terminal=["stdout"])
    assert ended.status == 1
    assert ended.shown.count(b"\tbad-") == 20
    assert b"... and 5 more: --json, or a pipe, shows all" in ended.shown
    assert apns(*arguments).out.count("\tbad-") == 25


# Ctrl-C.

@pytest.fixture
def tokens_pipe():
    """A pipe that the tokens come through."""
    pipe = TokensPipe()
    yield pipe
    pipe.close()
    os.close(pipe.reader)


class TokensPipe(object):
    def __init__(self):
        self.reader, self._writer = os.pipe()

    def write(self, tokens):
        os.write(self._writer, _lines(tokens))

    def close(self):
        """Close the end that is written to."""
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None


def test_ctrl_c_while_reading_tokens_ends_in_good_order(bed, tokens_pipe):
    """What was sent is waited for and reported; status 130. Its standard input stays open."""
    def interrupt(running):
        tokens_pipe.write(GOOD[:3])
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 3, 30)
        running.interrupt_until_ended()

    ended = bed.send("--alert", "hi", "--json", "--slice", "1", *QUIET, stdin=tokens_pipe.reader,
                     meanwhile=interrupt)
    shown = ended.document
    assert ended.status == shown["status"] == 130
    assert (shown["accepted"], shown["not_sent"], shown["unknown"]) == (3, [], [])
    assert shown["interrupted"] is True
    assert shown["read_to_end"] is False


def test_ctrl_c_while_reading_keeps_what_had_been_read(bed, tokens_pipe):
    """A slice that is not full yet is reported as not sent, if it had been read by then."""
    def interrupt(running):
        tokens_pipe.write(MANY[:8])
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 6, 30)
        running.interrupt_until_ended()

    ended = bed.send("--alert", "hi", "--json", "--slice", "3", *QUIET, stdin=tokens_pipe.reader,
                     meanwhile=interrupt)
    shown = ended.document
    assert ended.status == 130
    # The second interrupt may come before the silence behind the last slice is over.
    assert shown["accepted"] + len(shown["unknown"]) == 6
    assert [one["token"] for one in shown["not_sent"]] in ([], MANY[6:8])
    assert shown["tokens"] == 6 + len(shown["not_sent"])


def test_ctrl_c_while_waiting_to_try_again_ends_at_once(bed):
    """What was to be tried again is reported as not sent."""
    def interrupt(running):
        running.screen.await_text(b"trying again in 40 s")
        running.interrupt_until_ended()

    bed.simulator.script(*[Script(status_at={1: 1})] * 9)
    ended = bed.send("--alert", "hi", "--retry-delay", "40", *GOOD, terminal=["stderr"],
                     meanwhile=interrupt)
    assert ended.status == 130
    assert "0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown" in ended.out


def test_ctrl_c_once_waits_for_the_responses(bed):
    """The user is told that, and how not to wait."""
    def interrupt(running):
        running.screen.await_text(b"awaiting responses")
        running.interrupt_once()
        running.screen.await_text(b"(Ctrl-C again: do not wait)")
        await_held(bed.simulator)
        assert bed.simulator.release_held() == 1

    bed.simulator.script(Script(hold=True))
    bed.simulator.devices.bad(MANY[-1])
    name = bed.file("tokens", _lines(MANY))
    ended = bed.send("--alert", "hi", "--tail-timeout", "100", "--tokens-file", name,
                     terminal=["stderr"], meanwhile=interrupt)
    assert ended.status == 130
    assert "2999 of 3000 tokens accepted, 1 failed, 0 not sent, 0 unknown" in ended.out
    assert ended.shown.count(b"apns: stopping; waiting for the responses") == 1


def test_a_background_job_ignores_ctrl_c(bed, tokens_pipe):
    """A shell starts it with SIGINT ignored, and so it stays."""
    def interrupt(running):
        tokens_pipe.write(GOOD[:1])
        assert bed.simulator.wait_for(lambda: bed.simulator.accepted_count == 1, 30)
        running.interrupt()
        tokens_pipe.write(GOOD[1:])
        tokens_pipe.close()

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended = bed.send("--alert", "hi", "--slice", "1", *QUIET, stdin=tokens_pipe.reader,
                         meanwhile=interrupt)
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.status == 0
    assert bed.accepted_tokens(7) == GOOD


def test_a_reader_that_goes_away_ends_send_quietly(bed):
    """The tokens are sent all the same."""
    with unread_pipe() as writer:
        ended = bed.send("--alert", "hi", *(GOOD + QUIET), stdout=writer)
    assert (ended.status, ended.err) == (141, "")
    assert bed.accepted_tokens(7) == GOOD
