"""The web server of docs/aio-web.rst, as it stands there, in a process of its own."""

import http.client
import json
import re
import signal
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from apnsclient.testing.simulator import ProviderScript
from docs_support import find_blocks, read_files, read_page
from net_support import SOON, interpreter_command, make_tokens, script_environment

#: In place of the one on the page: the same names, for the simulator.
SETTINGS = """
import json

from apnsclient import ProviderToken

with open("settings.json") as stream:
    given = json.load(stream)
CREDENTIAL = ProviderToken(**given["credential"])
SERVER = given["server"]
OPTIONS = {"topic": "com.example.dinner", "ca_string": given["ca_string"], "timeout": None}

async def find_tokens():
    for token in given["tokens"]:
        yield token

async def forget_token(token, when):
    print("forget", token, when.timestamp(), flush=True)
"""

#: A handler that begins to send, and does not wait for it.
FORGETFUL_HANDLER = """
import asyncio

async def send_later(client, token):
    sending = asyncio.create_task(client.send(token, Notification("later")))
    while not client.closing:
        await asyncio.sleep(0.01)
    print("The client is closing.", flush=True)
    print("Later:", (await sending).kind.value, flush=True)

async def begin(request):
    app.state.task = asyncio.create_task(
        send_later(request.state.apns, request.path_params["token"]))
    return JSONResponse({}, 202)

app.router.routes.append(Route("/begin/{token}", begin, methods=["POST"]))
"""

#: Uvicorn raises a signal again once the server has ended. Here that ends the interpreter in the
#: usual way, so that what it has to say at its exit is seen.
PROGRAM = """
import signal
import sys

import uvicorn

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
uvicorn.run("app:app", port=0, loop=sys.argv[1])
"""

#: What asyncio says of a busy machine when it is debugged.
SLOW = re.compile("^Executing .* took [0-9.]+ seconds\n", re.M)


class WebServer:
    """The server of the page, which sends to a simulator.

    :param loop: name of the event loop.
    :param folder: where its files are written to.
    :param tokens: those of the devices that it knows of.
    """

    def __init__(self, loop, folder, simulator, tokens):
        files = read_files(find_blocks(read_page("docs/aio-web.rst")))
        (folder / "app.py").write_text(files["app.py"] + FORGETFUL_HANDLER)
        (folder / "settings.py").write_text(SETTINGS)
        (folder / "settings.json").write_text(json.dumps({
            "credential": simulator.token_parameters, "server": simulator.provider_address,
            "ca_string": simulator.ca_string, "tokens": tokens}))
        self.output = ""
        self._process = subprocess.Popen(
            interpreter_command() + ["-c", PROGRAM, loop], cwd=str(folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=script_environment())
        self._watchdog = threading.Timer(3 * SOON, self._process.kill)
        self._watchdog.start()
        self._port = int(self.wait_for(r"running on http://127\.0\.0\.1:(\d+)").group(1))

    def wait_for(self, pattern):
        """Read the output until a line matches; return the match."""
        for line in self._process.stdout:
            self.output += line.decode()
            found = re.search(pattern, line.decode())
            if found:
                return found
        raise AssertionError("the server has ended:\n" + self.output)

    def post(self, path, content=None):
        """Send a request, and return the status and what the response has."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2 * SOON)
        try:
            connection.request("POST", path, json.dumps(content))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def begin_to_end(self, until):
        """Ask it to end, and return when it waits for something, as it says."""
        self._process.send_signal(signal.SIGTERM)
        self.wait_for("Waiting for " + until)

    def finish(self):
        """Wait for its end, which has to be a quiet one."""
        self.output += self._process.stdout.read().decode()
        assert self._process.wait() == 0, self.output
        output = SLOW.sub("", self.output)
        assert not re.search("[Ww]arning|WARNING|ERROR|Traceback|unknown|never", output), output

    def stop(self):
        """End it, whatever it does."""
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(simulator, tmp_path):
    """A function that starts the server, with a loop and the tokens of the devices."""
    servers = []

    def make(loop, tokens):
        if loop == "uvloop":
            pytest.importorskip("uvloop")
        servers.append(WebServer(loop, tmp_path, simulator, tokens))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def test_a_handler_responds_with_what_apple_says(start, simulator):
    """One client serves all requests, over one connection."""
    tokens = make_tokens(3)
    simulator.devices.uninstall(tokens[1], 1700000000)
    server = start("asyncio", [])

    responses = [server.post("/push/" + token) for token in tokens]

    assert [status for status, _ in responses] == [200, 502, 200]
    assert [content["outcome"] for _, content in responses] == ["accepted", "rejected", "accepted"]
    assert "Unregistered" in responses[1][1]["reason"]
    assert len({uuid.UUID(content["apns_id"]) for _, content in responses}) == 3
    server.wait_for("forget %s 1700000000" % tokens[1])
    assert simulator.open_provider_connections == 1


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nothing_is_lost_when_the_server_ends(start, simulator, loop):
    """What handlers and tasks have begun to send is sent, also what had no room yet.

    The responses come only after the server was asked to end.
    """
    everybody, single = make_tokens(300), make_tokens(20, first=300)
    simulator.script_provider(*[ProviderScript(
        hold=True, settings={"max_concurrent_streams": 100})] * 2)
    server = start(loop, everybody)

    with ThreadPoolExecutor(len(single) + 1) as callers:
        requests = [callers.submit(server.post, "/push/" + token) for token in single]
        # With a provider token the first one goes alone.
        assert simulator.wait_for(lambda: simulator.held == 1, SOON)
        simulator.release_held()
        assert simulator.wait_for(lambda: simulator.held == len(single) - 1, SOON)
        assert server.post("/announce", {"text": "Dinner"}) == (202, {})
        assert simulator.wait_for(lambda: simulator.held == 100, SOON)
        server.begin_to_end("connections to close")
        sent = 1
        while sent < len(everybody) + len(single):
            assert simulator.wait_for(lambda: simulator.held, SOON)
            sent += simulator.release_held()
        assert {request.result()[0] for request in requests} == {200}

    server.finish()
    assert sorted(simulator.accepted_tokens()) == sorted(everybody + single)
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)


def test_what_nobody_waits_for_is_sent_before_the_client_is_closed(start, simulator):
    """The server ends no task that a program has made, and does not wait for it either."""
    [token] = make_tokens(1)
    simulator.script_provider(ProviderScript(hold=True))
    server = start("asyncio", [])

    assert server.post("/begin/" + token) == (202, {})
    assert simulator.wait_for(lambda: simulator.held == 1, SOON)
    server.begin_to_end("application shutdown")
    server.wait_for("The client is closing")
    simulator.release_held()

    server.finish()
    assert "Later: accepted" in server.output
