"""Programs that share a file of dead tokens: each comes out once, whoever asks."""

from __future__ import absolute_import, division, print_function

import subprocess
import sys

from apnsclient.feedback_store import SQLiteStore
from net_support import script_environment

WORKER = """
import sys
from apnsclient.feedback_store import SQLiteStore
path, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = SQLiteStore(path)
taken = []
for number in range(first, first + count):
    store.add("app", [(("%08x" % number).encode("ascii"), number)])
    if number % 5 == 0:
        taken.extend(store.drain("app"))
for token, when in taken:
    assert int(token, 16) == when
    print(when)
"""


def test_processes_share_what_there_is(tmpdir):
    """Programs that add and drain at once, from the making of the file on."""
    path = str(tmpdir.join("feedback.db"))
    children = [subprocess.Popen(
        [sys.executable, "-c", WORKER, path, str(1000 * number), "40"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=script_environment())
        for number in range(4)]
    taken = []
    for child in children:
        output, errors = child.communicate()
        assert (child.returncode, errors) == (0, b"")
        taken.extend(int(line) for line in output.split())
    taken.extend(when for _, when in SQLiteStore(path).drain("app"))
    assert sorted(taken) == sorted(1000 * number + each for number in range(4)
                                   for each in range(40))
