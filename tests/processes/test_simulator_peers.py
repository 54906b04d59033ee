"""Clients that nobody here wrote are served by the simulator: curl, h2load, node, if installed."""

from __future__ import absolute_import, division, print_function

import os
import re
import subprocess

import pytest

from apnsclient.testing.simulator import Simulator
from provider_client import TOKEN, new_token

pytestmark = pytest.mark.timeout(240)

NODE = """
const http2 = require("http2"), fs = require("fs");
const client = http2.connect(process.argv[2], {ca: fs.readFileSync("ca.pem"),
  cert: fs.readFileSync("client.pem"), key: fs.readFileSync("client.pem")});
const statuses = {};
let left = 200;
for (let n = 0; n < 200; n++) {
  const token = n % 10 ? n.toString(16).padStart(64, "0") : "bad";
  const stream = client.request({":method": "POST", ":path": "/3/device/" + token});
  stream.on("response", headers => {
    statuses[headers[":status"]] = (statuses[headers[":status"]] || 0) + 1;
  });
  stream.on("data", () => {});
  stream.on("end", () => {
    if (!--left) { console.log(JSON.stringify(statuses)); client.close(); }
  });
  stream.end("{}");
}
"""


@pytest.fixture
def apns(tmpdir):
    with Simulator() as running:
        for name, text in (("ca.pem", running.ca_string), ("client.pem", running.cert_string),
                           ("body", "{}"), ("peer.js", NODE)):
            tmpdir.join(name).write(text)
        yield running


def run(folder, *command):
    """Run a program in a folder; returns what it printed, or skips if it is not there."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if not any(os.access(os.path.join(each, command[0]), os.X_OK) for each in folders):
        pytest.skip("%s is not installed" % command[0])
    child = subprocess.Popen(command, cwd=str(folder), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
    output = child.communicate()[0].decode("utf-8", "replace")
    assert child.returncode == 0, output
    return output


def url(apns):
    return "https://%s:%d" % apns.provider_address


def with_http2(folder):
    if "HTTP2" not in run(folder, "curl", "--version"):
        pytest.skip("this curl has no HTTP/2")


def test_curl_with_a_certificate(apns, tmpdir):
    """Two requests on one connection, accepted and refused."""
    with_http2(tmpdir)
    output = run(tmpdir, "curl", "-sS", "-i", "--http2", "--cacert", "ca.pem", "--cert",
                 "client.pem", "--key", "client.pem", "-d", "@body",
                 url(apns) + "/3/device/" + TOKEN, url(apns) + "/3/device/bad")

    assert re.findall(r"HTTP/2 (\d+)", output) == ["200", "400"]
    assert output.endswith('{"reason":"BadDeviceToken"}')
    assert (apns.accepted_tokens(), apns.provider_connections) == ([TOKEN], 1)


def test_curl_with_a_provider_token(apns, tmpdir):
    """And without one."""
    with_http2(tmpdir)
    command = ["curl", "-sS", "-i", "--http2", "--cacert", "ca.pem", "-d", "@body",
               "-H", "apns-topic: com.example", url(apns) + "/3/device/" + TOKEN]

    assert "HTTP/2 403" in run(tmpdir, *command)
    assert "HTTP/2 200" in run(tmpdir, *command + [
        "-H", "authorization: bearer " + new_token(apns)])
    assert apns.accepted[0].topic == "com.example"


def test_h2load(apns, tmpdir):
    """Thousands of requests on several connections, compressed as nghttp2 does."""
    output = run(tmpdir, "h2load", "-n4000", "-c4", "-m1", "-d", "body", "-H",
                 "apns-topic: com.example", "-H", "authorization: bearer " + new_token(apns),
                 url(apns) + "/3/device/" + TOKEN)

    assert "4000 succeeded, 0 failed" in output, output
    assert (apns.accepted_count, apns.provider_connections) == (4000, 4)


def test_node(apns, tmpdir):
    """Two hundred requests at once."""
    assert run(tmpdir, "node", "peer.js", url(apns)).strip() == '{"200":180,"400":20}'
    assert apns.accepted_count == 180
