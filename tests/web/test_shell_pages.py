"""The pages of the documentation that are for a shell: each line runs, and says what it says.

Blocks of ``sh`` run in one shell, in order; a block of ``text`` behind one is its output, in which
``...`` stands for anything. A block with a caption is stored under that name. The ports of the page
are replaced by free ones. Blocks of ``console`` are for the reader alone. pytest is one with no
other plugin than this package's, as the others installed for these tests take seconds to import.
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

DOCS = Path(__file__).parents[2] / "docs"
#: Seconds after which it hangs.
LIMIT = 200

_MARK = "---- end of block"
_PYTEST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
           "PYTEST_PLUGINS": "apnsclient.testing.pytest_plugin"}


class Block(NamedTuple):
    """A block of code: its language, its caption or an empty text, and its lines."""

    language: str
    caption: str
    text: str


def read_blocks(name: str) -> List[Block]:
    page = (DOCS / name).read_text(encoding="utf-8")
    found = re.findall(r"^\.\. code-block:: (\w+)\n(?:   :caption: (.+)\n)?\n((?:   .*\n|\n)+)",
                       page, re.MULTILINE)
    return [Block(language, caption, re.sub("^   ", "", text, flags=re.MULTILINE).strip() + "\n")
            for language, caption, text in found]


def need(program: str) -> None:
    if shutil.which(program) is None:
        if os.environ.get("CI"):
            pytest.fail("%s is not installed" % program)
        pytest.skip("%s is not installed" % program)


@pytest.mark.parametrize("page, least", [("simulator-curl.rst", 12), ("simulator-recipes.rst", 12)])
def test_each_line_of_a_page_does_what_it_says(page: str, least: int, tmp_path: Path) -> None:
    """In one shell, from the start of the simulator to its reset."""
    need("curl")
    need("node")
    blocks = read_blocks(page)
    assert len([block for block in blocks if block.language == "sh"]) >= least
    ports = {"8025": str(free_port()), "2197": str(free_port())}
    for name, options in (("apns", "-m apnsclient.cli"), ("python", "")):
        command = tmp_path / name
        command.write_text("#!/bin/sh\nexec '%s' %s \"$@\"\n" % (sys.executable, options))
        command.chmod(0o700)
    # So that no configuration of a folder above is taken.
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
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
        ["bash", "-c", "\n".join(script)], cwd=str(tmp_path), env=dict(os.environ, **_PYTEST),
        timeout=LIMIT, capture_output=True, encoding="utf-8", check=False)
    outputs = done.stdout.split(_MARK + "\n")
    for (line, wanted), output in zip(expected, outputs):
        assert not wanted or doctest.OutputChecker().check_output(
            wanted, output.strip() + "\n", doctest.ELLIPSIS), (line, output, done.stderr)
    assert len(outputs) == len(expected) + 1, (done.stdout, done.stderr)
