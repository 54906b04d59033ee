"""Xcode's simulator as a target: a program of that name stands in for its command."""

import asyncio
import json
import os
import sys
import uuid

import pytest

from apnsclient.aio import errors
from apnsclient.aio.targets import Simulator, SimulatorClient, Target
from tables import each

pytestmark = pytest.mark.anyio

#: Stands in for xcrun: notes its arguments and input, and does what the test has written.
XCRUN = """#!%s
import json, sys, time
with open(%r, "w") as stream:
    json.dump([sys.argv[1:], sys.stdin.read()], stream)
%s
"""


@pytest.fixture
def xcrun(tmp_path, monkeypatch):
    """A function that puts an ``xcrun`` with these further statements on the path."""
    noted = tmp_path / "noted"

    def install(statements=""):
        program = tmp_path / "xcrun"
        program.write_text(XCRUN % (sys.executable, str(noted), statements))
        program.chmod(0o700)
        return noted

    monkeypatch.setenv("PATH", str(tmp_path))
    return install


async def test_a_notification_goes_to_the_device(xcrun):
    """The payload alone, and the identifier comes back."""
    noted = xcrun()
    target = Simulator("a-device", "com.example.app")
    assert isinstance(target, Target)
    async with target.create_client() as client:
        assert isinstance(client, SimulatorClient)
        apns_id = await client.send_notification("", {"aps": {"alert": "ü", "badge": 0}},
                                                 priority=10, topic="x", expiration=0)
    assert uuid.UUID(apns_id).version == 4
    arguments, payload = json.loads(noted.read_text())
    assert arguments == ["simctl", "push", "a-device", "com.example.app", "-"]
    assert payload == '{"aps":{"alert":"ü","badge":0}}'


async def test_the_identifier_is_the_one_that_was_given(xcrun):
    """As text, and whichever way it was given."""
    xcrun()
    client = await Simulator("booted", "com.example.app").create_client()
    given = uuid.uuid4()
    assert await client.send_notification("", {}, apns_id=given) == str(given)
    assert await client.send_notification("", {}, apns_id=str(given)) == str(given)


async def test_time_sensitive_goes_into_the_payload(xcrun):
    """Where Apple reads it; what the caller has is not changed."""
    noted = xcrun()
    client = await Simulator("booted", "com.example.app").create_client()
    content = {"aps": {"alert": "x"}}
    await client.send_notification("", content, time_sensitive=True)
    assert content == {"aps": {"alert": "x"}}
    assert json.loads(json.loads(noted.read_text())[1]) == {
        "aps": {"alert": "x", "interruption-level": "time-sensitive"}}


async def test_what_the_simulator_says_is_in_the_error(xcrun):
    """Such as that the device does not run; nothing was delivered."""
    xcrun("print('Unable to lookup in current state:\\n Shutdown'); sys.exit(149)")
    client = await Simulator("a-device", "com.example.app").create_client()
    with pytest.raises(errors.SimulatorError, match="^xcrun simctl push failed with status 149: "
                       "Unable to lookup in current state: Shutdown$") as caught:
        await client.send_notification("", {"aps": {}})
    assert caught.value.kind is errors.Kind.unprocessed
    xcrun("sys.exit(1)")
    with pytest.raises(errors.SimulatorError, match="status 1: it said nothing"):
        await client.send_notification("", {"aps": {}})


async def test_where_there_is_no_xcrun_the_error_says_what_it_is(tmp_path, monkeypatch):
    """On any system but a Mac with Xcode."""
    monkeypatch.setenv("PATH", str(tmp_path))
    client = await Simulator("a-device", "com.example.app").create_client()
    with pytest.raises(errors.SimulatorError, match="No such file.*it comes with Xcode, on a Mac"):
        await client.send_notification("", {"aps": {}})


async def test_it_ends_in_time(xcrun):
    """A simulator that hangs is killed."""
    xcrun("time.sleep(1000)")
    client = await Simulator("a-device", "com.example.app", timeout=0.01).create_client()
    with pytest.raises(TimeoutError, match="did not end within 0.01 seconds"):
        await client.send_notification("", {"aps": {}})


async def test_cancelling_kills_it(xcrun, tmp_path):
    """Nothing goes on behind the caller's back."""
    begun = tmp_path / "begun"
    os.mkfifo(str(begun))
    xcrun("with open(%r, 'w') as stream:\n    print(__import__('os').getpid(), file=stream)\n"
          "time.sleep(1000)" % str(begun))
    client = await Simulator("a-device", "com.example.app").create_client()
    task = asyncio.ensure_future(client.send_notification("", {"aps": {}}))
    loop = asyncio.get_running_loop()
    pid = int(await loop.run_in_executor(None, begun.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_closed_client_sends_nothing(xcrun):
    """It may be closed twice."""
    noted = xcrun()
    client = await Simulator("a-device", "com.example.app").create_client()
    await client.close()
    await client.close()
    with pytest.raises(errors.Closed, match="create another one") as caught:
        await client.send_notification("", {"aps": {}})
    assert caught.value.kind is errors.Kind.unprocessed and not noted.exists()


async def test_too_large_a_payload_is_not_sent(xcrun):
    """The simulator takes 4096 bytes at most."""
    noted = xcrun()
    client = await Simulator("a-device", "com.example.app").create_client()
    with pytest.raises(ValueError, match="4097 bytes, and 4096"):
        await client.send_notification("", {"a": "x" * (4097 - 8)})
    assert not noted.exists()
    await client.send_notification("", {"a": "x" * (4096 - 8)})


@each("arguments", [("", "com.example.app"), ("a-device", ""), ("-h", "com.example.app")])
def test_what_is_no_identifier_is_refused(arguments):
    """An option of the command is not one."""
    with pytest.raises(ValueError, match="expected an identifier"):
        Simulator(*arguments)
