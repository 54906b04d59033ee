"""Clients whose program forgets them: nothing is left behind, and nothing is complained about.

In processes of their own, where warnings are errors and what nobody retrieves is written down.
"""

import json
import os
import subprocess
import sys

import pytest

#: What each program begins with; ``SIMULATOR`` tells where to connect.
_BEGIN = """
import asyncio, gc, json, logging, sys
logging.basicConfig(level=logging.WARNING)
where = json.loads(sys.argv[1])
from apnsclient.aio.api import create_client
from apnsclient.feedback_store import MemoryStore

if where["uvloop"]:
    import uvloop
    new_loop = uvloop.new_event_loop
else:
    new_loop = asyncio.new_event_loop

def connect():
    return create_client(where["certificate"], (where["host"], where["port"]),
                         ca_string=where["authority"], topic="com.example.app",
                         feedback_store=MemoryStore())

async def send(client, token="ab" * 32):
    return await client.send_notification(token, {"aps": {"alert": "hello"}})

def run(main):
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)

def collect():
    for _ in range(3):
        gc.collect()
"""

_PROGRAMS = {
    "dropped while the loop runs": """
async def main():
    client = await connect()
    await send(client)
    del client
    collect()
    await asyncio.sleep(0.05)
    collect()
run(main())
""",
    "kept when the loop ends in an orderly way": """
async def main():
    client = await connect()
    await send(client)
    return client
client = run(main())
assert repr(client)
del client
collect()
""",
    "kept while the loop is closed by hand": """
loop = new_loop()
async def main():
    client = await connect()
    await send(client)
    return client
client = loop.run_until_complete(main())
HOW_LOOP_IS_CLOSED
del client
collect()
""",
    "used after its loop": """
async def main():
    client = await connect()
    await send(client)
    return client
client = run(main())
try:
    run(send(client))
except RuntimeError as error:
    assert "another event loop" in str(error), error
else:
    raise AssertionError("it was sent")
""",
    "with callers that wait": """
logging.getLogger("apnsclient.aio").setLevel(logging.ERROR)  # What is unknown is in the log.
async def main():
    client = await connect()
    await send(client)
    for number in range(5):
        asyncio.ensure_future(send(client, "%064x" % number))
    await asyncio.sleep(0)
    return client
client = run(main())
del client
collect()
""",
    "with a generator that was begun": """
async def main():
    client = await connect()
    outcomes = client.send_many([("ab" * 32, {"aps": {}})] * 3)
    await outcomes.__anext__()
    return client, outcomes
kept = run(main())
del kept
collect()
""",
    "at the end of the program": """
async def main():
    client = await connect()
    await send(client)
    return client
client = run(main())
""",
}


@pytest.mark.timeout(240)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="there is no asyncio.Runner")
@pytest.mark.parametrize("is_uvloop", [False, True], ids=["asyncio", "uvloop"])
def test_a_client_without_an_end_leaves_no_complaint(simulator, is_uvloop):
    """However it is forgotten, the program ends well and says nothing."""
    if is_uvloop:
        pytest.importorskip("uvloop")
    host, port = simulator.provider_address
    where = json.dumps({"certificate": simulator.cert_string, "authority": simulator.ca_string,
                        "host": host, "port": port, "uvloop": is_uvloop})
    running = {}
    for name, program in _PROGRAMS.items():
        # uvloop takes the sockets of a loop that is closed by hand to be a mistake.
        how = "loop.run_until_complete(loop.shutdown_asyncgens()); loop.close()"
        text = _BEGIN + program.replace("HOW_LOOP_IS_CLOSED", how if is_uvloop else "loop.close()")
        running[name] = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text, where],
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ended = {name: (program.communicate()[0].decode(), program.returncode)
             for name, program in running.items()}
    assert ended == {name: ("", 0) for name in _PROGRAMS}
