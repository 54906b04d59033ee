"""Check that a run of tox left nothing out, and count its tests.

``summary.py FOLDER STATUS VERSION...``: the folder that tox worked in, the exit status of tox, and
the Python versions that must have been tested, the newest last. Prints a line for each environment
and at last ``N passed, N failed``. An environment that failed, or did not run, without a failed
test counts as one failure. The exit status is 0 if nothing failed.
"""

from __future__ import absolute_import, division, print_function

import collections
import io
import json
import os
import sys
import xml.etree.ElementTree

CHECKS = ("lint", "types", "docs", "coverage")

Counts = collections.namedtuple("Counts", "passed failed skipped")


def main(folder, status, *versions):
    results = read_results(os.path.join(folder, "result.json"))
    passed, failed = 0, 0
    environments = [("py" + one.replace(".", ""), one) for one in versions]
    environments.append(("mutants", versions[-1]))
    environments += [(check, None) for check in CHECKS]
    for name, version in environments:
        complaint = find_fault(results.get(name), version)
        counts = count_tests(os.path.join(folder, "reports", name + ".xml"))
        if version and not complaint and not counts.passed:
            complaint = "no test ran"
        failures = max(counts.failed, 1 if complaint else 0)
        print("%-8s %s" % (name, describe(counts, complaint, version)))
        passed += counts.passed
        failed += failures
    if int(status) and not failed:
        print("tox      FAILED: exit status %s" % status)
        failed = 1
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


def read_results(path):
    """Return what tox recorded of each environment, by name; nothing if tox did not get so far."""
    if not os.path.exists(path):
        return {}
    with io.open(path, encoding="utf-8") as stream:
        return json.load(stream)["testenvs"]


def find_fault(record, version):
    """Return what is wrong with an environment (str), or None."""
    if record is None or "result" not in record:
        return "did not run"
    if not record["result"]["success"]:
        return "exit status %s" % record["result"]["exit_code"]
    if not record.get("test"):
        return "was skipped"
    used = ".".join(str(part) for part in record["python"]["version_info"][:2])
    if version and used != version:
        return "ran on Python %s" % used
    return None


def count_tests(path):
    """Return the counts of a JUnit report; zeros if there is none."""
    if not os.path.exists(path):
        return Counts(0, 0, 0)
    root = xml.etree.ElementTree.parse(path).getroot()
    tests, failed, skipped = 0, 0, 0
    for suite in root.iter("testsuite"):
        tests += int(suite.get("tests"))
        failed += int(suite.get("failures")) + int(suite.get("errors"))
        skipped += int(suite.get("skipped"))
    return Counts(tests - failed - skipped, failed, skipped)


def describe(counts, complaint, version):
    words = ["FAILED: %s" % complaint if complaint else "ok"]
    if version:
        words.append("%d passed, %d failed, %d skipped" % counts)
    return "; ".join(words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
