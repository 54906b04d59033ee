"""``apns`` completes its arguments in a shell: the shell asks, in the way that argcomplete has."""

from __future__ import absolute_import, division, print_function

import sys

import argcomplete

from apnsclient.cli import main
from cli_processes import finish, running
from cli_support import environment, write_file

#: What bash does when TAB is pressed behind each of the lines that it reads.
ASK = """
eval "$1"
while read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 COMP_WORDS=($line) COMPREPLY=()
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _python_argcomplete apns "${COMP_WORDS[COMP_CWORD]}"
    echo "${COMPREPLY[@]}"
done
"""

LINES = [
    ("apns se", "send"),
    ("apns send --aler", "--alert"),
    ("apns send --ht", "--http2"),
    ("apns send --address push_s", "push_sandbox"),
    ("apns feedback --address feedback_p", "feedback_production"),
    ("apns chaos --handler-delay-s", "--handler-delay-sleep"),
    ("apns simulator --http", ""),
    ("apns send --alret x --bad", ""),
]


def test_bash_completes_commands_options_and_names(tmp_path):
    """The options of handlers are among them. A line with a mistake in it is left as it is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "apns"
    write_file(program, '#!/bin/sh\nexec "%s" -m apnsclient.cli "$@"\n' % sys.executable)
    program.chmod(0o755)
    env = environment()
    env["PATH"] = "%s:%s" % (folder, env["PATH"])
    shell = ["bash", "-c", ASK, "bash", argcomplete.shellcode(["apns"])]
    with running(shell, env=env, cwd=str(tmp_path)) as process:
        ended = finish(process, "".join(line + "\n" for line, _ in LINES).encode("ascii"))
    shown = [line.strip() for line in ended.out.splitlines()]
    assert (shown, ended.err) == ([expected for _, expected in LINES], "")


def test_without_the_package_the_command_runs_as_ever(monkeypatch, capsys):
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    assert main(["demo", "--tokens", "20"]) == 0
