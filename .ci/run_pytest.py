"""Run pytest, and if few tests failed, those once more with nothing beside them.

``run_pytest.py REPORTS NAME ARGUMENT...``: the folder for reports in JUnit's format, the name of
the report, and arguments of pytest for the first run. Real processes, sockets and signals on a
machine that is busy with other things now and then meet in a way that a test did not foresee. What
fails twice has failed. What passes at the second time is named by ``summary.py``, for somebody to
mend, and both outcomes are in the output.

Before the first run of all tests in a new environment, one process rewrites their assertions, which
takes some ten seconds. The workers then load what it has written; they would all do the same work,
at the same time.
"""

from __future__ import absolute_import, division, print_function

import os
import subprocess
import sys

from summary import count_tests

#: More failures than this are no accident.
FEW = 3


def main(reports, name, *arguments):
    first = os.path.join(reports, name + ".xml")
    again = os.path.join(reports, name + "-again.xml")
    for report in first, again:
        if os.path.exists(report):
            os.remove(report)
    cache = os.path.join(reports, name)
    pytest = [sys.executable, "-m", "pytest", "-o", "cache_dir=%s" % cache]
    if "." in arguments and not os.path.exists(cache):
        with open(os.devnull, "w") as nowhere:
            subprocess.call(pytest + list(arguments) + ["-n", "0", "--collect-only", "-q"],
                            stdout=nowhere)
    status = subprocess.call(
        pytest + ["--cache-clear", "--junitxml=%s" % first] + list(arguments))
    if status != 0 and 1 <= count_tests(first).failed <= FEW:
        # Where no test failed, but their collection, there is nothing to run again.
        status = subprocess.call(pytest + ["--last-failed", "--last-failed-no-failures=none",
                                           "--junitxml=%s" % again])
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
