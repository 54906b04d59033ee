"""The page on the faults says what the code does."""

from __future__ import absolute_import, division, print_function

import io
import os
import re

from apnsclient.testing.chaos.handlers import Handler

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs",
                    "chaos-faults.rst")


def read_table():
    """Return, by name, the text of options and defaults and the text of what a fault does."""
    with io.open(PAGE, encoding="utf-8") as page:
        text = page.read().split("\nWhich way")[0]
    rows = [re.split(r"\n     -", row) for row in text.split("\n   * -")[2:]]
    return dict((row[0].strip().strip("`"), [" ".join(cell.split()) for cell in row[1:]])
                for row in rows)


def shown(default):
    """Return the text that stands for a default value."""
    if isinstance(default, bool) or default is None:
        return str(default).lower()
    return "%g" % default if isinstance(default, float) else str(default)


def test_each_fault_is_on_the_page_with_its_options_and_defaults():
    """Neither more of them nor fewer, in alphabetical order of the names."""
    table = read_table()

    assert set(table) == set(name.replace("_", "-") for name in Handler.built_in)
    for name, (options, what) in table.items():
        described = dict(re.findall(r"``(\w+)`` = ([^ ,]+)", options))
        assert described == dict((option, shown(values[2]))
                                 for option, values in Handler.get(name).options.items())
        assert what.endswith(".")
