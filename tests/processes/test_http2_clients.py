"""The simulator serves HTTP/2 clients of other people: curl, nghttp, h2load, Node.js, aioapns.

What they report is compared with what the simulator has written down.
"""

from __future__ import absolute_import, division, print_function

import json
import re
import sys

import pytest

from apnsclient.testing.simulator import ProviderScript
from cli_support import write_file
from http2_servers import program, running
from net_support import make_tokens
from provider_client import new_token

BODY = b'{"aps":{"alert":"Dinner is ready"}}'
TOPIC = "com.example.app"

#: Arguments: port of the simulator, file of the authority, then either a file with a client
#: certificate or file, identifier and team of a key, separated by commas; then tokens.
_AIOAPNS = """
import asyncio, json, ssl, sys

from aioapns import APNs, NotificationRequest, PushType

context = ssl.create_default_context(cafile=sys.argv[2])
context.set_alpn_protocols(["h2"])
# The server is taken for Apple's, and has no certificate that says so.
context.check_hostname = False
credential = dict(zip(["key", "key_id", "team_id"], sys.argv[3].split(",")))
if len(credential) == 1:
    credential = {"client_cert": sys.argv[3]}
else:
    with open(credential["key"]) as stream:
        credential["key"] = stream.read()


class Loop(asyncio.SelectorEventLoop):
    async def create_connection(self, protocol_factory, host=None, port=None, **options):
        assert (host, port) == ("api.push.apple.com", 443)
        return await super().create_connection(
            protocol_factory, "127.0.0.1", int(sys.argv[1]), server_hostname=host, **options)


async def main():
    client = APNs(ssl_context=context, max_connections=1, topic="com.example.app", **credential)

    async def push(token):
        response = await client.send_notification(NotificationRequest(
            device_token=token, message={"aps": {"alert": "Dinner is ready"}},
            push_type=PushType.ALERT))
        return token, response.status, response.description

    # Alone: the others have to wait for the first response where there is a provider token.
    responses = [await push(sys.argv[4])]
    responses += await asyncio.gather(*map(push, sys.argv[5:]))
    print(json.dumps(responses))


loop = Loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(main())
"""

#: Arguments: a URL of the simulator, file of the authority, file with a client certificate.
_NODE = """
const http2 = require("http2"), fs = require("fs");
const client = http2.connect(process.argv[1], {ca: fs.readFileSync(process.argv[2]),
  cert: fs.readFileSync(process.argv[3]), key: fs.readFileSync(process.argv[3])});
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


class Caller(object):
    """The simulator, and the arguments that lead programs to it."""

    def __init__(self, simulator, directory):
        self.simulator = simulator
        self.ca = write_file(directory / "ca.pem", simulator.ca_string)
        self.cert = write_file(directory / "client.pem", simulator.cert_string)
        self.body = write_file(directory / "body.json", BODY)
        self.key = write_file(directory / "key.p8", simulator.key_string)
        self.bearer = "authorization: bearer " + new_token(simulator)
        self._directory = directory

    def url(self, token):
        return "https://127.0.0.1:%d/3/device/%s" % (self.simulator.provider_address[1], token)

    def file_of_urls(self, tokens):
        return write_file(self._directory / "urls", "".join(self.url(one) + "\n" for one in tokens))

    def curl(self, *arguments):
        """Run curl; return its exit status, and what it wrote."""
        return run(program("curl"), "--noproxy", "*", "-sS", "--max-time", "40", "--cacert",
                   self.ca, "-H", "apns-topic: " + TOPIC, *arguments)

    def push(self, *arguments):
        """Push with curl; return what it wrote, which must have succeeded."""
        status, output = self.curl("--http2", "--data-binary", "@" + self.body,
                                   "-w", "%{http_code} %{http_version} %{num_connects}\n",
                                   *arguments)
        assert status == 0, output
        return output


def run(*command):
    """Run a program to its end; return its exit status, and what it wrote."""
    with running(list(command)) as process:
        output, _ = process.communicate()
        return process.returncode, output.decode("utf-8")


@pytest.fixture
def caller(simulator, tmpdir):
    return Caller(simulator, tmpdir)


# curl.

def test_curl_pushes_with_a_certificate(caller, simulator):
    """One push: what arrives is what was sent."""
    token, = make_tokens(1)
    given = "ec1bf194-b3b2-424a-89a9-5a918a6e6b5d"
    assert caller.push("--cert", caller.cert, "-H", "apns-id: " + given, "-H", "apns-priority: 5",
                       "-H", "apns-push-type: background", caller.url(token)) == "200 2 1\n"
    one, = simulator.accepted
    assert (one.token, one.payload, one.topic) == (token, BODY, TOPIC)
    assert (one.apns_id, one.priority, one.push_type) == (given, 5, "background")


@pytest.mark.parametrize("has_token", [False, True])
def test_curl_pushes_side_by_side(caller, simulator, has_token):
    """Hundreds of requests share a connection.

    With a provider token curl makes several of them, because it finds a limit of one stream first.
    """
    credential = ["-H", caller.bearer] if has_token else ["--cert", caller.cert]
    output = caller.push("--parallel", "--parallel-max", "50", "--no-progress-meter",
                         *credential + [caller.url("%061d[000-399]" % 0)])
    assert re.findall("([0-9]+) 2 [01]\n", output) == ["200"] * 400
    assert sorted(simulator.accepted_tokens()) == ["%064d" % number for number in range(400)]
    assert simulator.accepted[-1].topic == TOPIC
    assert has_token or simulator.provider_connections == 1


def test_curl_is_told_the_reason(caller, simulator):
    """Status and JSON are those of Apple."""
    bad, gone, good = make_tokens(3)
    simulator.devices.bad(bad)
    simulator.devices.uninstall(gone, 1454402113)
    output = caller.push("--cert", caller.cert, *map(caller.url, [bad, gone, good]))
    assert [json.loads(said) for said in re.findall("{.*}", output)] == [
        {"reason": "BadDeviceToken"}, {"reason": "Unregistered", "timestamp": 1454402113000}]
    assert re.findall("[0-9]+ 2 [01]$", output, re.M) == ["400 2 1", "410 2 0", "200 2 0"]
    assert simulator.accepted_tokens() == [good]


def test_curl_has_to_say_who_it_is(caller, simulator):
    """Without a certificate and a provider token; and curl speaks HTTP/2 or nothing."""
    assert caller.push(caller.url("ab" * 32)) == '{"reason":"MissingProviderToken"}403 2 1\n'
    status, output = caller.curl("--http1.1", "--cert", caller.cert, caller.url("ab" * 32))
    assert status == 35 and "no application protocol" in output
    assert simulator.accepted_count == 0


@pytest.mark.parametrize("options", [
    {"padding": 255, "trailers": True, "interim": True, "piece": 40, "noise": True, "pings": 2},
    {"compressed": True, "settings": {"initial_window_size": 5}, "window_step": 1},
    {"settings": {"max_concurrent_streams": 2}, "settings_at": {9: {"max_concurrent_streams": 1}}},
], ids=lambda options: "-".join(sorted(options)))
def test_curl_understands_what_the_scripts_do(caller, simulator, options):
    """They stay within what HTTP/2 allows: curl, which shares no code with us, accepts it."""
    bad = "%064d" % 7
    simulator.devices.bad(bad)
    simulator.script_provider(ProviderScript(**options))
    output = caller.push("--parallel", "--parallel-max", "10", "--no-progress-meter",
                         "--cert", caller.cert, caller.url("%062d[00-29]" % 0))
    assert sorted(re.findall("([0-9]+) 2 [01]$", output, re.M)) == ["200"] * 29 + ["400"]
    assert '{"reason":"BadDeviceToken"}' in output
    assert simulator.accepted_count == 29


# nghttp.

def test_nghttp_is_served(caller, simulator):
    """With padding and a small window of its own."""
    tokens = make_tokens(50)
    simulator.devices.bad(tokens[0])
    status, output = run(program("nghttp"), "-v", "-n", "-y", "--cert=" + caller.cert,
                         "--key=" + caller.cert, "-b", "200", "-w", "4", "-W", "17", "-d",
                         caller.body, "-H", "apns-topic: " + TOPIC, *map(caller.url, tokens))
    assert status == 0, output
    statuses = re.findall("recv \\(stream_id=[0-9]+\\) :status: ([0-9]+)", output)
    assert sorted(statuses) == ["200"] * 49 + ["400"]
    assert sorted(simulator.accepted_tokens()) == tokens[1:]
    assert "RST_STREAM" not in output


# h2load.

@pytest.mark.parametrize("streams, requests", [(1, 2000), (100, 5000)])
def test_h2load_is_served(caller, simulator, streams, requests):
    """It does not wait for our settings: a token is still unknown when its first requests come.

    Of these only one is taken, and the others are refused; h2load does not send them again.
    """
    tokens = make_tokens(requests)
    status, output = run(
        program("h2load"), "-n", str(requests), "-c", "2", "-m", str(streams), "-d", caller.body,
        "-H", "apns-topic: " + TOPIC, "-H", caller.bearer, "-i", caller.file_of_urls(tokens))
    assert status == 0, output
    done = int(re.search(" ([0-9]+) done, .* 0 timeout", output).group(1))
    succeeded = int(re.search("status codes: ([0-9]+) 2xx, 0 3xx, 0 4xx, 0 5xx", output).group(1))
    assert done == requests
    assert succeeded == simulator.accepted_count
    assert requests - 2 * (streams - 1) <= succeeded <= requests
    assert simulator.provider_connections == 2 and simulator.error_count == 0


# Node.js.

def test_node_is_served(caller, simulator):
    """Two hundred requests at once, some of which are refused."""
    status, output = run(program("node"), "-e", _NODE, "--", caller.url(""),
                         caller.ca, caller.cert)
    assert (status, output.strip()) == (0, '{"200":180,"400":20}')
    assert (simulator.accepted_count, simulator.provider_connections) == (180, 1)


# aioapns.

@pytest.mark.parametrize("has_token", [False, True])
def test_aioapns_is_served(caller, simulator, has_token):
    """It knows no host but Apple's, so that its event loop leads it to another."""
    pytest.importorskip("aioapns")
    tokens = make_tokens(300)
    simulator.devices.bad(tokens[7])
    simulator.devices.uninstall(tokens[8], 1454402113)
    credential = caller.cert
    if has_token:
        credential = ",".join([caller.key, simulator.key_id, simulator.team_id])
    port = str(simulator.provider_address[1])
    status, output = run(sys.executable, "-c", _AIOAPNS, port, caller.ca, credential, *tokens)
    assert status == 0, output
    responses = json.loads(re.search("^\\[\\[.*\\]\\]$", output, re.M).group())
    assert [token for token, _, _ in responses] == tokens
    assert [response[1:] for response in responses if response[1] != "200"] == [
        ["400", "BadDeviceToken"], ["410", "Unregistered"]]
    assert simulator.accepted_tokens()[0] == tokens[0]
    assert sorted(simulator.accepted_tokens()) == tokens[:7] + tokens[9:]
    assert simulator.provider_connections == 1
