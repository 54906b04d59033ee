"""The recipe of docs/celery-recipe.rst in a real application of Celery: 4.4 on Python 2.7.

The page's own example has a stand-in, which queues, where this one runs tasks at once.
"""

from __future__ import absolute_import, division, print_function

import io
import subprocess
import sys

import pytest

from docs_support import find_blocks, read_files, read_page

pytest.importorskip("celery")

PROGRAM = u'''\
import json
import sqlite3

import celery
from apnsclient import Message
from apnsclient.testing.simulator import ProviderScript, Simulator

app = celery.Celery("recipe", broker="memory://", backend="cache+memory://")
app.conf.task_always_eager = True
app.set_default()
tokens = ["%064x" % number for number in range(20)]
with sqlite3.connect("devices.sqlite") as database:
    database.execute("CREATE TABLE devices (token TEXT, registered REAL)")
    database.executemany("INSERT INTO devices VALUES (?, 1500000000)", [[one] for one in tokens])

simulator = Simulator().start()
simulator.devices.uninstall(tokens[1], 1700000000)
simulator.script_provider(ProviderScript(response_at={2: "ServiceUnavailable"}))
from tasks import push
state = Message(tokens, alert="x", apns_topic="com.example.dinner").__getstate__()
result = push.delay(json.loads(json.dumps(state)))
assert result.get() is not None, result
assert sorted(simulator.accepted_tokens()) == tokens[:1] + tokens[2:]
with sqlite3.connect("devices.sqlite") as database:
    left = [row[0] for row in database.execute("SELECT token FROM devices ORDER BY token")]
assert left == tokens[:1] + tokens[2:]

simulator.revoke_key(simulator.token_parameters["key_id"])
result = push.delay(json.loads(json.dumps(state)))
assert result.state == "FAILURE" and type(result.result).__name__ == "PushFailed", result.state
print("Celery %s has sent" % celery.__version__)
'''


def test_the_recipe_runs_eagerly(tmpdir):
    """What is refused is sent again, what is dead is deleted, and a revoked key is a failure."""
    files = read_files(find_blocks(read_page("docs/celery-recipe.rst")))
    del files["celery.py"]
    files["program.py"] = PROGRAM
    for name, content in files.items():
        with io.open(str(tmpdir.join(name)), "w", encoding="utf-8") as stream:
            stream.write(content)

    child = subprocess.Popen([sys.executable, "program.py"], cwd=str(tmpdir),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = child.communicate()[0].decode("utf-8", "replace")

    assert child.returncode == 0 and output.rstrip().endswith("has sent"), output
