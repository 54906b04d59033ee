"""The page of the documentation that has curl alone: each of its lines runs, and says what it says.

Blocks of ``sh`` run in one shell, in order; a block of ``text`` behind one is its output, in which
``...`` stands for anything. A block with a caption is stored under that name. The ports of the page
are replaced by free ones.
"""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple

import pytest

from stdio_support import free_port

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "simulator-curl.rst")
#: Seconds after which it hangs.
LIMIT = 200

_MARK = "---- end of block"


class Block(NamedTuple):
    """A block of code: its language, its caption or an empty text, and its lines."""

    language: str
    caption: str
    text: str


def read_blocks() -> List[Block]:
    with open(PAGE, encoding="utf-8") as stream:
        page = stream.read()
    found = re.findall(r"^\.\. code-block:: (\w+)\n(?:   :caption: (.+)\n)?\n((?:   .*\n|\n)+)",
                       page, re.MULTILINE)
    return [Block(language, caption, re.sub("^   ", "", text, flags=re.MULTILINE).strip() + "\n")
            for language, caption, text in found]


def need(program: str) -> None:
    if shutil.which(program) is None:
        if os.environ.get("CI"):
            pytest.fail("%s is not installed" % program)
        pytest.skip("%s is not installed" % program)


def test_each_line_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    """In one shell, from the start of the simulator to its reset."""
    need("curl")
    need("node")
    blocks = read_blocks()
    assert len([block for block in blocks if block.language == "sh"]) >= 12
    ports = {"8025": str(free_port()), "2197": str(free_port())}
    command = tmp_path / "apns"
    command.write_text("#!/bin/sh\nexec '%s' -m apnsclient.cli \"$@\"\n" % sys.executable)
    command.chmod(0o700)
    script, expected = ["set -eu", "PATH=.:$PATH", "trap 'kill $(jobs -p)' EXIT"], []
    for block in blocks:
        text = re.sub(r"\b(8025|2197)\b", lambda found: ports[found.group()], block.text)
        if block.caption:
            (tmp_path / block.caption).write_text(text, encoding="utf-8")
        elif block.language == "sh":
            script += [text, "echo", "echo '%s'" % _MARK]
            expected.append((text, ""))
        elif block.language == "text":
            expected[-1] = (expected[-1][0], text)
    done = subprocess.run(
        ["bash", "-c", "\n".join(script)], cwd=str(tmp_path), timeout=LIMIT,
        capture_output=True, encoding="utf-8", check=False)
    outputs = done.stdout.split(_MARK + "\n")
    for (command, wanted), output in zip(expected, outputs):
        assert not wanted or doctest.OutputChecker().check_output(
            wanted, output.strip() + "\n", doctest.ELLIPSIS), (command, output, done.stderr)
    assert len(outputs) == len(expected) + 1, (done.stdout, done.stderr)
