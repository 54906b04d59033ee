"""``apns chaos``: runs until a signal, and reports what is wrong with options."""

from __future__ import absolute_import, division, print_function

import contextlib
import json
import os
import re
import signal
import socket

import pytest
from six.moves import http_client

from apnsclient import APNs, Message, Session
from apnsclient.cli import main
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Simulator
from chaos_support import echo, exchange
from cli_support import apns, assert_wrong_usage, serving, write_file
from net_support import make_tokens
from stdio_support import SOON, Server


class Started(object):
    """The command, and what it said when it was ready."""

    def __init__(self, command):
        self.ready = command.read_document()
        self.address = _address(self.ready["proxy"])
        #: Return what the next line says.
        self.next = command.read_document
        #: End it; return what is left.
        self.stop = command.end


def _address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def started(backend, *more):
    """Run the command, which prints JSON, in front of a server; yield a :class:`Started`."""
    with serving("chaos", "--json", "--proxy", "127.0.0.1:0",
                 "--backend", "%s:%d" % backend.address[:2], *more) as command:
        yield Started(command)


def test_it_reports_what_was_done():
    """A line for each connection as soon as it is over, and a summary. Status 0."""
    with Server(echo) as backend, started(
            backend, "--seed", "7", "--behavior", "100:delay", "--handler-delay-sleep", "0",
            "--handler-delay-direction=to_client") as proxy:
        assert (proxy.ready["event"], proxy.ready["seed"]) == ("ready", 7)
        assert proxy.ready["behavior"] == "100:delay"
        assert exchange(proxy, b"hello") == b"hello"
        row = proxy.next()
        ended = proxy.stop()
    assert (row["event"], row["number"], row["handler"]) == ("connection", 1, "delay")
    assert set(row["faults"]) == {"to_client delayed by 0 s"}
    assert (row["bytes_to_backend"], row["bytes_to_client"], row["error"]) == (5, 5, None)
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["event"] == "summary"
    assert (ended.document["connections"], ended.document["seed"]) == (1, 7)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal(number):
    """Status 0."""
    def end(running):
        assert "ready" in running.output.readline()
        os.kill(os.getpid(), number)

    ended = apns("chaos", "--json", "--proxy", "127.0.0.1:0", meanwhile=end)
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["event"] == "summary"


def test_it_is_easy_to_read():
    """Without --json: addresses and seed first, a line a connection."""
    with Server(echo) as backend, serving(
            "chaos", "--proxy", "127.0.0.1:0", "--backend", "%s:%d" % backend.address[:2],
            "--behavior", "50:dummy", "--http", "127.0.0.1:0") as proxy:
        lines = [proxy.readline().rstrip() for _ in range(7)]
        proxy.address = _address(lines[0].split()[1])
        assert exchange(proxy, b"hello") == b"hello"
        assert proxy.readline() == (
            "connection 1: dummy, 5 bytes to the backend, 5 to the client\n")
        ended = proxy.end()
    assert [line.split()[0] for line in lines if line] == [
        "proxy", "backend", "behavior", "seed", "http", "Ctrl-C"]
    assert ended.out == "1 connections, 0 faults, seed %s\n" % lines[3].split()[1]


def test_the_http_api_is_served():
    """What it changes, new connections get."""
    with Server(echo) as backend, started(backend, "--http", "127.0.0.1:0") as proxy:
        client = http_client.HTTPConnection(
            proxy.ready["http"].replace("http://", ""), timeout=SOON)
        client.request("PUT", "/handler", json.dumps(
            {"handler": "delay", "settings": {"delay": {"sleep": 0}}}),
            {"Content-Type": "application/json"})
        response = client.getresponse()
        assert json.loads(response.read().decode("ascii"))["behavior"] == "100:delay"
        client.close()
        assert exchange(proxy, b"x") == b"x"
        assert proxy.next()["handler"] == "delay"


def test_the_command_line_goes_before_the_file(tmpdir):
    """What is not on it comes from the file."""
    config = write_file(tmpdir.join("chaos.ini"), u"""
[chaos]
proxy = 127.0.0.1:0
seed = 5
behavior = 100:late

[handler:late]
callable = delay
sleep = 100
direction = to_client
""")
    with Server(echo) as backend, serving(
            "chaos", "--json", "--config", config, "--backend", "%s:%d" % backend.address,
            "--handler-late-sleep", "0") as command:
        proxy = Started(command)
        assert proxy.ready["seed"] == 5
        assert exchange(proxy, b"x") == b"x"
        row = proxy.next()
    assert row["handler"] == "late"
    assert set(row["faults"]) == {"to_client delayed by 0 s"}


def test_tls_can_end_there(tmpdir):
    """With the proxy's certificates; the frames of the binary protocol can be counted then."""
    with Simulator() as simulator:
        server = simulator.authority.issue("x", addresses=["127.0.0.1"], usage="server").pem
        names = [write_file(tmpdir.join(name), text) for name, text in (
            ("server.pem", server), ("client.pem", simulator.cert_string),
            ("ca.pem", simulator.ca_string))]
        with serving("chaos", "--json", "--proxy", "127.0.0.1:0", "--protocol", "apns",
                     "--backend", "%s:%d" % simulator.gateway_address, "--tls-cert", names[0],
                     "--client-cert", names[1], "--ca-file", names[2]) as command:
            proxy = Started(command)
            session = Session(ca_string=simulator.ca_string, read_tail_timeout=20)
            connection = session.get_connection(proxy.address, cert_string=simulator.cert_string)
            result = APNs(connection).send(Message(make_tokens(3) + ["ab"], alert="x"))
            session.shutdown()
            row = proxy.next()
    assert list(result.failed) == ["ab"]
    assert (row["bytes_to_client"], row["error"]) == (6, None)


MISTAKES = [
    (["--behavior", "20:nothing"], "there is no handler 'nothing'"),
    (["--behavior", "20:no.such.handler"], "cannot be imported"),
    (["--behavior", "x:delay"], "malformed"),
    (["--behavior", "120:delay"], "malformed"),
    (["--behavior", "60:delay,60:dummy"], "add up to 120"),
    (["--handler-delay-slep", "2"], "unknown option --handler-delay-slep\n"),
    (["--handler-nothing-sleep", "2"], "unknown option --handler-nothing-sleep\n"),
    (["--handler-delay-sleep", "x"], "expected a number of seconds"),
    (["--handler-delay-direction", "up"], "expected to_backend, to_client or both"),
    (["--protocol", "nothing"], "there is no protocol 'nothing'"),
    (["--protocol-apns-nothing", "x"], "unknown option --protocol-apns-nothing\n"),
    (["--protocol", "apns", "--protocol-apns-service", "x"], "expected gateway or feedback"),
    (["--protocol-apns-service", "x"], "expected gateway or feedback"),
    (["--proxy", "localhost"], "'localhost' is not host:port"),
    (["--backend", "localhost:x"], "is not host:port"),
    (["--backend", "localhost:0"], "0 is not a port; expected 1 to 65535"),
    (["--proxy", ":0"], "proxy: ':0' is not host:port"),
    (["--proxy", "::1:0"], "'::1:0' is ambiguous"),
    (["--proxy", "localhost:65536"], "65536 is not a port; expected 0 to 65535"),
    (["--http", "0.0.0.0:0"], "where others could reach it"),
    (["--seed", "x"], "is not a whole number"),
    (["--timeout", "0"], "is not a number of seconds"),
    (["--config", "/no/such/file"], "cannot read the configuration '/no/such/file'"),
    (["--tls-cert", "/no/such/file"], "cannot read the certificate"),
    (["--ca-file", "/no/such/file"], "ca-file needs tls-cert"),
    (["--nothing"], "unknown option --nothing\nTry: apns chaos --help"),
]


def test_the_file_that_cannot_be_used_is_named(tmpdir, capsys):
    """Of three, in terms of the command's options."""
    authority = Authority()
    pem = write_file(tmpdir.join("server.pem"), authority.issue("x").pem)
    ca = write_file(tmpdir.join("ca.pem"), authority.ca_string)
    for arguments, said in (
            (["--tls-cert", ca], "apns: error: tls-cert %r holds no private key in PEM format; it "
                                 "has to be in the same text as the certificate\n" % ca),
            (["--tls-cert", pem, "--client-cert", ca, "--ca-file", ca],
             "apns: error: client-cert %r holds no private key" % ca),
            (["--tls-cert", pem, "--client-cert", pem, "--ca-file", os.devnull],
             "apns: error: ca-file '/dev/null' cannot be used: it holds no certificate")):
        assert main(["chaos", "--proxy", "127.0.0.1:0"] + arguments) == 2
        assert said in capsys.readouterr().err


def test_a_mistake_is_wrong_usage():
    """Status 2, with the reason on standard error."""
    assert_wrong_usage([(["chaos", "--proxy", "127.0.0.1:0"] + arguments, part)
                        for arguments, part in MISTAKES])


MISTAKES_IN_A_FILE = [
    (u"[chaos]\nbehavior = 20:nothing", "there is no handler 'nothing'"),
    (u"[chaos]\nbehavior = 20", "malformed"),
    (u"[chaos]\nbehaviour = 20:delay", "there is no option 'behaviour'"),
    (u"[handler:delay]\nsleep = x", "expected a number of seconds"),
    (u"[handler:delay]\nslep = 1", "has no option 'slep'"),
    (u"[handler:nothing]\nsleep = 1", "there is no handler 'nothing'"),
    (u"[handler:x]\ncallable = a.b.C", "cannot be imported"),
    (u"[protocol:nothing]\nservice = feedback", "there is no protocol 'nothing'"),
    (u"[protocol:apns]\nservce = feedback", "has no option 'servce'"),
    (u"[chaos]\nseed = x", "is not a whole number"),
    (u"behavior", "cannot be understood"),
]


def test_the_same_mistakes_in_a_file(tmpdir):
    """They are reported in the same words."""
    assert_wrong_usage([
        (["chaos", "--proxy", "127.0.0.1:0", "--config",
          write_file(tmpdir.join("%d.ini" % number), text)], part)
        for number, (text, part) in enumerate(MISTAKES_IN_A_FILE)])


def test_a_port_that_is_taken_is_reported():
    """Status 3, with the option that names it."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen(1)
    address = "127.0.0.1:%d" % taken.getsockname()[1]
    for option in ("--proxy", "--http"):
        ended = apns("chaos", "--proxy", "127.0.0.1:0", option, address)
        assert ended.status == 3
        assert "cannot listen at %s (%s)" % (address, option) in ended.err
    taken.close()


def test_nobody_reads_the_output():
    """The end, quietly, at the next line."""
    with Server(echo) as backend, serving(
            "chaos", "--json", "--proxy", "127.0.0.1:0",
            "--backend", "%s:%d" % backend.address[:2]) as command:
        proxy = Started(command)
        command.output.stop_reading()
        exchange(proxy, b"x")
        ended = command.await_end()
    assert (ended.status, ended.err) == (141, "")


def test_help_lists_the_options_of_handlers(capsys):
    """Those that come along, with their defaults as one would write them."""
    with pytest.raises(SystemExit) as ended:
        main(["chaos", "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--handler-delay-sleep VALUE" in shown
    assert "(default: 1.0)" in shown
    assert "(default: none)" in shown
    assert not re.search("True|False|None", shown)
