"""Programs that send over HTTP/2: how they end, and what they learn from one another."""

from __future__ import absolute_import, division, print_function

import pytest
import six

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.feedback_store import SQLiteStore
from frame_peers import TOKENS, client_for, message
from net_support import SOON

pytestmark = pytest.mark.timeout(240)

_READ = """
import os, sys
from apnsclient import APNs, Session
os.environ["APNSCLIENT_FEEDBACK_STORE"] = sys.argv[1]
with open(sys.argv[2]) as stream:
    pem = stream.read()
session = Session(protocol="http2")
con = session.get_connection(("127.0.0.1", int(sys.argv[3])), cert_string=pem)
for token, when in APNs(con).feedback():
    print(token.decode("ascii"))
"""


def test_another_process_reads_the_feedback(scripts, simulator, http2_sessions, tmpdir):
    """The program that removes dead tokens now and then goes on working, with a file between."""
    for token in TOKENS[:5]:
        simulator.devices.uninstall(token, 1700000000)
    path, pem = str(tmpdir.join("feedback.db")), tmpdir.join("client.pem")
    pem.write(simulator.cert_string)
    session = http2_sessions(ca_string=simulator.ca_string, feedback_store=SQLiteStore(path))
    client = client_for(session, simulator)
    client.send(message(0, 10))
    arguments = path, str(pem), str(simulator.provider_address[1])
    assert sorted(scripts.run_well(_READ, *arguments).split()) == TOKENS[:5]
    assert scripts.run_well(_READ, *arguments) == ""
    assert list(client.feedback()) == []


_END = """
import sys, threading
from apnsclient import APNs, Message, Session
with open(sys.argv[1]) as stream:
    pem = stream.read()
session = Session(protocol="http2", ca_file=sys.argv[2], connect_timeout=20)
client = APNs(session.get_connection(("127.0.0.1", int(sys.argv[3])), cert_string=pem))
assert client.send(Message(["%s"], alert="hello")).retry() is None
results = client.send_many(Message(["%%064x" %% number], alert="x") for number in range(100))
next(results)
if sys.argv[4] == "busy":
    def send():
        while True:
            client.send(Message(["%s"], alert="hello"))
    thread = threading.Thread(target=send)
    thread.daemon = True
    thread.start()
elif sys.argv[4] == "cycle":
    session.cycle = [session, results]
print("done")
""" % (TOKENS[0], TOKENS[1])


# Python 2.7 takes the modules away from under threads that go on.
@pytest.mark.parametrize("way", ["idle", "cycle"] + ["busy"] * (not six.PY2))
def test_the_interpreter_ends_without_a_sound(scripts, simulator, tmpdir, way):
    """With a connection in the pool, one in use by a generator, and threads that send."""
    pem, authority = tmpdir.join("client.pem"), tmpdir.join("ca.pem")
    pem.write(simulator.cert_string)
    authority.write(simulator.ca_string)
    port = str(simulator.provider_address[1])
    output = scripts.run_well(_END, str(pem), str(authority), port, way)
    assert output.split() == ["done"]
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)
