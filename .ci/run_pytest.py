"""Run pytest with a report and a cache of its own.

``run_pytest.py REPORTS NAME ARGUMENT...``: the folder for reports in JUnit's format, the name of
the report, and arguments of pytest.

Before the first run with workers in a new environment, one process compiles what they import, and
rewrites the assertions of the tests, which takes some ten seconds. The workers then load what it
has written; they would all do the same work, at the same time.
"""

from __future__ import absolute_import, division, print_function

import os
import subprocess
import sys


def main(reports, name, *arguments):
    report = os.path.join(reports, name + ".xml")
    if os.path.exists(report):
        os.remove(report)
    cache = os.path.join(reports, name)
    pytest = [sys.executable, "-m", "pytest", "-o", "cache_dir=%s" % cache]
    if "-n" in arguments and not os.path.exists(cache):
        with open(os.devnull, "w") as nowhere:
            subprocess.call(pytest + list(arguments) + ["-n", "0", "--collect-only", "-q"],
                            stdout=nowhere)
    return subprocess.call(
        pytest + ["--cache-clear", "--junitxml=%s" % report] + list(arguments))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
