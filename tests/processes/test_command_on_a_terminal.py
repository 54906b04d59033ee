"""``apns`` as a process with a controlling terminal: Ctrl-C, and the question for a passphrase."""

from __future__ import absolute_import, division, print_function

import os

import pytest

from apnsclient.testing.simulator import Script
from cli_processes import command, interrupt_on_terminal, read_terminal, terminal
from cli_support import QUIET, Bed, environment, token

GOOD = [token(number) for number in range(1, 8)]
SECRET = "correct-horse"


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


@pytest.fixture
def locked(bed):
    """The arguments for sending with a key that is encrypted."""
    credential = bed.simulator.authority.issue("client", passphrase=SECRET)
    return bed.arguments("--cert", bed.file("locked.pem", credential.pem), "--alert", "hi", *QUIET)


def test_help_is_as_wide_as_the_terminal():
    """Without the variable: few shells hand COLUMNS on."""
    with terminal(command("send", "--help"), env=environment(COLUMNS=None, NO_COLOR="1"),
                  columns=65) as (process, screen):
        shown = read_terminal(screen).decode("ascii").splitlines()
        assert process.wait() == 0
    assert 50 < max(len(line) for line in shown if line[:4] != " " * 4) <= 63


def test_ctrl_c_while_connecting_ends_at_once(bed):
    """Once is enough then. The progress bar shows where it is."""
    bed.simulator.script(Script(stall_handshake=True))
    arguments = bed.arguments("--alert", "hi", "--connect-timeout", "40", *GOOD)
    with terminal(command(*arguments)) as (process, screen):
        read_terminal(screen, until=b"0.00/7.00")
        shown = interrupt_on_terminal(screen)
        assert process.wait() == 130, shown
    # Not sent if the signal came before connecting began.
    assert (b"0 of 7 tokens accepted, 0 failed, 0 not sent, 7 unknown" in shown
            or b"0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown" in shown)
    assert b"waiting for" not in shown
    assert b"Traceback" not in shown


def test_the_passphrase_is_asked_for(locked):
    """Also when the tokens come through a pipe. What is typed is not shown."""
    arguments = locked + ["--no-progress"]
    with terminal(command(*arguments), pipes=("stdin", "stdout")) as (process, screen):
        read_terminal(screen, until=b"Passphrase of the key: ")
        os.write(screen, SECRET.encode("ascii") + b"\n")
        out = process.communicate(GOOD[0].encode("ascii"))[0]
        shown = read_terminal(screen)
    assert process.returncode == 0
    assert out.startswith(b"1 of 1 tokens accepted")
    assert SECRET.encode("ascii") not in shown


def test_there_is_no_prompt_without_a_terminal(locked):
    """A terminal that is not the controlling one is only looked at."""
    with terminal(command(*(locked + GOOD)), is_controlling=False) as (process, screen):
        shown = read_terminal(screen)
        assert process.wait() == 3
    assert b"the key is encrypted: give --passphrase-file" in shown


@pytest.mark.parametrize("typed, status, complaint", [
    (b"\x04", 3, b"no passphrase was given"), (b"\x03", 130, b"apns: error: interrupted")])
def test_no_passphrase_at_the_prompt_ends_it(locked, typed, status, complaint):
    """End of input where the passphrase was to be, or Ctrl-C. Without a traceback."""
    with terminal(command(*(locked + GOOD))) as (process, screen):
        read_terminal(screen, until=b"Passphrase of the key: ")
        os.write(screen, typed)
        shown = read_terminal(screen)
        assert process.wait() == status
    assert complaint in shown
    assert b"Traceback" not in shown
