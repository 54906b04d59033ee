"""``apns`` as a process: readers that go away, disks that are full, descriptors that are closed.

The rules are tested in process; here it is seen that they hold up to the end of the process, when
the interpreter flushes what is left in its buffers.
"""

from __future__ import absolute_import, division, print_function

import os
import sys

import pytest

from cli_processes import apns_process, command, environment, finish, running
from cli_support import unread_pipe


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_line_and_status_4():
    """What could not be written is not lost silently."""
    with open("/dev/full", "wb") as full:
        ended = apns_process("--version", stdout=full)
    assert ended.status == 4
    assert ended.err.startswith("apns: error: cannot write to ")
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_the_command_quietly():
    """As in ``apns ... | head``."""
    with unread_pipe() as writer:
        ended = apns_process("--help", stdout=writer)
    assert (ended.status, ended.err) == (141, "")


def test_a_reader_that_goes_away_in_the_middle_of_a_line():
    """Without a buffer Python 3 drops what a write has left, and says nothing."""
    program = ("import sys\n"
               "from apnsclient.cli import feedback, main\n"
               "def run(arguments, console):\n"
               "    console.line('x' * 3000000)\n"
               "    return 0\n"
               "feedback.run = run\n"
               "sys.exit(main(['feedback', '--address', 'localhost:1']))\n")
    with running([sys.executable, "-c", program],
                 env=environment(PYTHONUNBUFFERED="1")) as process:
        assert process.stdout.read(1) == b"x"
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


def test_nobody_reads_either_output():
    """Nothing can be reported then."""
    with unread_pipe() as writer:
        ended = apns_process("send", "--address", "localhost:1", "--cert", "/nonexistent",
                             "--alert", "x", "5f", stdout=writer, stderr=writer)
    assert ended.status == 3


def test_closed_outputs_are_no_failure():
    """A daemon may start the command without standard output and standard error."""
    script = 'exec "$0" "$@" >&- 2>&-'
    arguments = command("demo", "--tokens", "20")
    with running(["sh", "-c", script] + arguments) as process:
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
    with running(["sh", "-c", script, sys.executable, "-c", program]) as process:
        assert finish(process).status > 102
