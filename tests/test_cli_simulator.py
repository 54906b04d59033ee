"""``apns simulator``: runs until a signal, and what it prints and writes leads clients to it."""

from __future__ import absolute_import, division, print_function

import contextlib
import datetime
import json
import os
import re
import shlex
import signal
import socket
import stat
import sys
import tempfile
import threading
from collections import Counter

import pytest

from apnsclient._compat import PY2
from apnsclient.apns import APNs, Message
from apnsclient.cli._arrivals import Arrivals
from apnsclient.cli._console import Console
from apnsclient.cli._simulator_files import Files, lock_of
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import ProviderScript, Simulator
from apnsclient.transport import Session
from cli_support import (
    QUIET,
    apns,
    assert_wrong_usage,
    environment,
    serving,
    token,
    unread_pipe,
    write_file,
)
from net_support import SILENCE, SOON
from provider_client import with_certificate
from stdio_support import free_port

#: Body of a request for a channel.
CHANNEL = b'{"message-storage-policy": 1, "push-type": "LiveActivity"}'
GOOD = [token(number) for number in range(1, 6)]


@contextlib.contextmanager
def started(*arguments):
    """A simulator that prints two lines of JSON, as a :class:`Started`."""
    with serving("simulator", "--json", "--quiet", *arguments) as command:
        yield Started(command)


class Started(object):
    """A simulator, and what it said when it was ready."""

    def __init__(self, command):
        #: Ends it; returns what is left, with the summary as its document.
        self.stop = command.end
        self.ready = command.read_document()

    def session(self, read_tail_timeout=20):
        """Return a session; its tail timeout is to be short where the gateway stays silent."""
        return Session(ca_file=self.ready["ca_file"], read_tail_timeout=read_tail_timeout)

    def send2(self, *tokens):
        """Send over HTTP/2, with the provider token that was announced."""
        session = Session(ca_file=self.ready["ca_file"], protocol="http2")
        connection = session.get_connection(
            _address(self.ready["provider"]), key_id=self.ready["key_id"],
            team_id=self.ready["team_id"], key_file=self.ready["key_file"])
        result = APNs(connection).send(
            Message(list(tokens), alert="hi", apns_topic="com.example", apns_collapse_id="news"))
        session.shutdown()
        return result

    def send(self, *tokens, **options):
        session = self.session(**options)
        connection = session.get_connection(_address(self.ready["gateway"]),
                                            cert_file=self.ready["cert_file"])
        result = APNs(connection).send(Message(list(tokens), alert="hi"))
        session.shutdown()
        return result


class Lines(object):
    """A console that appends what it gets to a list."""

    def __init__(self, lines):
        self.line = lines.append

    def styled(self, text, style):
        return text

    def flush(self):
        pass


def _introduction(command):
    """Return the lines that are printed when clients can connect."""
    lines = []
    while "Ctrl-C" not in "".join(lines):
        lines.append(command.readline())
    return lines


def _address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def test_it_runs_until_its_end_and_reports_what_happened():
    """Status 0. The temporary files are gone then."""
    with started("--temporary", "--bad", GOOD[4]) as simulator:
        assert simulator.ready["event"] == "ready"
        assert simulator.ready["pid"] == os.getpid()
        assert list(simulator.send(*GOOD).failed) == [GOOD[4]]
        assert os.path.exists(simulator.ready["cert_file"])
        ended = simulator.stop()
    assert (ended.status, ended.err) == (0, "")
    shown = ended.document
    assert shown.pop("resumed") >= 0
    assert shown == {"event": "summary", "accepted": 4, "errors": 1, "connections": 1,
                     "provider_connections": 0, "channel_connections": 0, "refused": 0,
                     "feedback_connections": 0, "feedback_rows": 0}
    assert not os.path.exists(os.path.dirname(simulator.ready["cert_file"]))


def test_the_printed_commands_work_as_they_stand(tmp_path):
    """Paste them, and the notification arrives."""
    directory = str(tmp_path / "with space")
    with serving("simulator", "--quiet", "--directory", directory) as command:
        lines = _introduction(command)
        pasted = [shlex.split(line)[1:] for line in lines if line.startswith("  apns ")]
        for arguments in pasted:
            # The first one would wait 3 seconds for what the gateway says of it.
            assert apns(*(arguments + (QUIET if arguments[0] == "send" else []))).status == 0
        ended = command.end()
    assert [arguments[0] for arguments in pasted] == ["send", "feedback", "send", "send"]
    assert ended.status == 0
    assert ended.out.startswith("3 notifications accepted, 0 error frames and responses, "
                                "1 connections to the gateway, 2 over HTTP/2 (")
    assert "0 feedback rows read on 1 connections" in ended.out
    assert sorted(os.listdir(directory)) == ["ca-key.pem", "ca.pem", "client.pem", "key.p8"]


def test_a_program_goes_on_when_the_simulator_is_started_again(tmp_path):
    """With what it read at its own start: authority, certificate, and key for provider tokens."""
    directory, ports = tmp_path / "new", ["--gateway-port", free_port(), "--provider-port",
                                          free_port()]
    with started("--directory", directory, *ports) as simulator:
        ready = simulator.ready
        session = simulator.session(read_tail_timeout=SILENCE)
        services = [APNs(session.get_connection(_address(ready["gateway"]),
                                                cert_file=ready["cert_file"]))]
        http2 = Session(ca_file=ready["ca_file"], protocol="http2")
        services += [APNs(http2.get_connection(_address(ready["provider"]), **credential))
                     for credential in ({"cert_file": ready["cert_file"]}, {
                         "key_file": ready["key_file"], "key_id": ready["key_id"],
                         "team_id": ready["team_id"]})]
        message = Message(GOOD, alert="hi", apns_topic="com.example")
        assert [service.send(message).failed for service in services] == [{}] * 3
        assert simulator.stop().document["accepted"] == 15
    with started("--directory", directory, *ports) as simulator:
        results = [service.send(message) for service in services]
        assert [(result.failed, result.errors) for result in results] == [({}, [])] * 3
        assert simulator.stop().document["accepted"] == 15
    session.shutdown()
    http2.shutdown()


def test_what_is_in_the_directory_is_used_and_the_rest_is_made(tmp_path):
    """Nothing is written over; keys are for the owner alone."""
    def run_once():
        with started("--directory", tmp_path) as simulator:
            assert simulator.send(*GOOD, read_tail_timeout=SILENCE).failed == {}
            assert simulator.send2(*GOOD).failed == {}
            assert simulator.stop().status == 0
        return dict((one.name, one.read_bytes()) for one in tmp_path.iterdir())

    first = run_once()
    modes = dict((one.name, stat.S_IMODE(one.stat().st_mode)) for one in tmp_path.iterdir())
    assert sorted(modes) == ["ca-key.pem", "ca.pem", "client.pem", "key.p8"]
    assert [modes.pop(name) for name in ("ca-key.pem", "client.pem", "key.p8")] == [0o600] * 3
    (tmp_path / "client.pem").unlink()
    (tmp_path / "key.p8").unlink()
    second = run_once()
    assert [name for name in sorted(first) if first[name] != second[name]] == [
        "client.pem", "key.p8"]
    assert run_once() == second


def test_without_a_directory_it_keeps_them_for_the_user(tmp_path, monkeypatch):
    """Where programs keep their data, for the user's eyes alone; a relative path does not count."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable, place in ((tmp_path / "data", tmp_path / "data"),
                            ("relative", tmp_path / "home" / ".local" / "share")):
        monkeypatch.setenv("XDG_DATA_HOME", str(variable))
        folder = place / "apnsclient" / "simulator"
        found = []
        for _ in range(2):
            with started() as simulator:
                assert simulator.ready["ca_file"] == str(folder / "ca.pem")
                assert simulator.stop().status == 0
            found.append(dict((one.name, one.read_bytes()) for one in folder.iterdir()))
        assert found[0] == found[1] and len(found[0]) == 4
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    ended = apns("simulator")
    assert (ended.status, ended.out) == (2, "")
    assert "choose another with --directory, or --temporary" in ended.err


def test_two_that_start_at_the_same_moment_share_what_one_has_made(tmp_path):
    """The second one waits until all files are there, and trusts the same authority."""
    directory, has_read, found = str(tmp_path), threading.Event(), []

    def be_second():
        has_read.set()
        with lock_of(directory):
            found.append(Files(directory))

    second = threading.Thread(target=be_second)
    with lock_of(directory):
        first = Files(directory)
        second.start()
        assert has_read.wait(SOON)
        second.join(SILENCE)
        assert found == []
        first.save(Simulator())
    second.join(SOON)
    assert found[0].authority.ca_string == Files(directory).authority.ca_string


def test_what_cannot_be_used_is_reported_and_left_alone(tmp_path):
    """With the way out. No file is made beside it."""
    authority, other = Authority(), Authority()
    now = datetime.datetime.utcnow() if PY2 else datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(1)
    good = {"ca.pem": authority.ca_string, "ca-key.pem": authority.key_string}
    for number, (files, name, complaint) in enumerate((
            ({"ca.pem": authority.ca_string}, "ca.pem", " exists, but not "),
            ({"ca-key.pem": authority.key_string}, "ca-key.pem", " exists, but not "),
            (dict(good, **{"ca.pem": other.ca_string}), "ca.pem",
             "the key of another certificate"),
            (dict(good, **{"ca-key.pem": "garbage"}), "ca.pem", "holds no private key"),
            ({"client.pem": authority.issue("x").pem}, "client.pem",
             "not issued by the authority in "),
            (dict(good, **{"client.pem": other.issue("x").pem}), "client.pem",
             "not issued by the authority in "),
            (dict(good, **{"client.pem": "precious"}), "client.pem", "holds garbage"),
            (dict(good, **{"client.pem": authority.issue("x", not_after=now - day).pem}),
             "client.pem", "it expired on "),
            (dict(good, **{"client.pem": authority.issue("x", not_before=now + day).pem}),
             "client.pem", "it is not valid before "),
            ({"key.p8": authority.ca_string}, "key.p8", "no private key"),
            ({"key.p8": Authority(key="rsa").key_string}, "key.p8", "on the curve P-256"))):
        directory = tmp_path / str(number)
        directory.mkdir()
        for one, content in files.items():
            write_file(directory / one, content)
        ended = apns("simulator", "--directory", directory)
        assert (ended.status, ended.out) == (2, ""), (number, ended.err)
        assert "%r" % str(directory / name) in ended.err.replace("u'", "'"), number
        assert complaint in ended.err, (number, ended.err)
        assert "remove it to have an" in ended.err
        assert dict((one.name, one.read_bytes().decode("ascii"))
                    for one in directory.iterdir()) == files


# What arrives.

def test_each_notification_that_arrives_has_a_line():
    """When, how, for whom, for what, and the response; at once. No token is shown whole."""
    with serving("simulator", "--bad", GOOD[1] + "=5", "--bad", "ab" * 40, "--uninstalled",
                 GOOD[3]) as command:
        lines = _introduction(command)
        pasted = [shlex.split(line)[1:-1] for line in lines if line.startswith("  apns send")]
        binary, token = pasted[0] + QUIET, pasted[2]
        apns(*(binary + [GOOD[0], GOOD[1]]))
        shown = [command.readline() for _ in range(2)]
        apns(*(token + [GOOD[3], "ab" * 40, GOOD[2]]))
        shown += [command.readline() for _ in range(3)]
        assert apns(*(token + ["--topic", "x.voip", "--push-type", "alert", GOOD[2]])).status == 1
        shown.append(command.readline())
        ended = command.end()
    assert ended.out.startswith("2 notifications accepted, 4 error frames and responses")
    rows = [line.split("  ") for line in shown]
    assert all(re.match(r"[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\Z", row[0]) for row in rows)
    assert [[part.strip() for part in row[1:]] for row in rows[:2]] == [
        ["binary", "00000000...", "-", "-", "accepted", "Hello"],
        ["binary", "00000000...", "-", "-", "5 Invalid token size", "Hello"]]
    assert sorted([part.strip() for part in row[1:] if part] for row in rows[2:]) == sorted([
        ["http2", "00000000...", "com.example.app", "alert", "410 Unregistered", "Hello"],
        ["http2", "abababab...", "com.example.app", "alert", "400 BadDeviceToken", "Hello"],
        ["http2", "00000000...", "com.example.app", "alert", "accepted", "Hello"],
        ["http2", "00000000...", "x.voip", "alert", "400 InvalidPushType", "Hello"]])


def test_a_line_tells_of_each_request_about_channels():
    """Of those that succeed as of those that do not: method, path, and the response."""
    def manage(ready):
        session = Session(ca_file=ready["ca_file"], protocol="http2")
        connection = session.get_connection(
            _address(ready["channels"]), cert_file=ready["cert_file"])
        connection.request(b"POST", b"/1/apps/com.example/channels", body=CHANNEL)
        connection.request(b"GET", b"/1/apps/com.example/all-channels")
        connection.request(b"GET", b"/1/apps/com.example/channels")
        session.shutdown()

    with serving("simulator", "--json") as command:
        manage(command.read_document())
        shown = [command.read_document() for _ in range(3)]
        command.end()
    assert {document["event"] for document in shown} == {"request"}
    assert [(document["method"], document["path"], document["status"], document["reason"])
            for document in shown] == [
        ("POST", "/1/apps/com.example/channels", 201, None),
        ("GET", "/1/apps/com.example/all-channels", 200, None),
        ("GET", "/1/apps/com.example/channels", 400, "MissingChannelId")]

    lines = []
    with Simulator() as apns, with_certificate(apns) as client:
        for method, path in (("GET", "/other"), ("POST", "/4/broadcasts/apps/x")):
            client.response(client.request(path, method=method))
        arrivals = Arrivals(Lines(lines), lambda: None, False, True)
        arrivals.arrived(apns.journal.exchanges())
    arrivals.show()
    assert [line.partition("  ")[2] for line in lines] == [
        "http2   GET /other  404 BadPath", "http2   -            -  -  400 MissingChannelId  Hi"]


def test_a_terminal_shows_outcomes_in_colours(monkeypatch):
    """Unless NO_COLOR is set. What clients send brings no control characters along."""
    with Simulator() as simulator, with_certificate(simulator) as client:
        simulator.devices.bad(GOOD[1])
        client.push(GOOD[0], body=u'{"aps": {"alert": "a\\u001b[2J\\u202eb"}}'.encode("ascii"))
        client.push(GOOD[1])
        exchanges = list(reversed(simulator.journal.find()))

    def shown(env):
        def show(*_):
            arrivals = Arrivals(Console(), lambda: None, False, True)
            arrivals.arrived(exchanges)
            arrivals.show("http://page/{number}")
            return 0

        monkeypatch.setattr("apnsclient.cli.simulator.run", show)
        return apns("simulator", terminal=["stdout"], env=env).shown

    coloured, plain = shown(environment()), shown(environment(NO_COLOR="1"))
    assert b"\x1b[32maccepted\x1b[0m" in coloured
    assert b"\x1b[31m400 BadDeviceToken\x1b[0m" in coloured
    assert b"http://page/2" in coloured and b"http://page/2" in plain
    for output in (coloured, plain):
        assert b"\x1b[2J" not in output and u"\u202e".encode("utf-8") not in output
    assert b"\x1b" not in plain and b"accepted  a" in plain


def test_lines_of_json_say_the_same():
    """One object each, of another kind than the first and the last."""
    with serving("simulator", "--json") as command:
        simulator = Started(command)
        assert simulator.send2(GOOD[0]).failed == {}
        shown = command.read_document()
        ended = command.end()
    assert shown["event"] == "notification"
    assert shown["token"] == GOOD[0] and shown["payload"] == {"aps": {"alert": "hi"}}
    assert (shown["outcome"], shown["response"]["status"]) == ("accepted", 200)
    assert (shown["topic"], shown["credential"]["kind"]) == ("com.example", "token")
    assert ended.document["event"] == "summary"


def test_a_reader_that_goes_away_does_not_end_the_service():
    """As in a script that takes the first line alone. In the end it shows in the status."""
    with serving("simulator", "--json") as command:
        simulator = Started(command)
        command.output.stop_reading()
        for _ in range(2):
            assert simulator.send(*GOOD, read_tail_timeout=SILENCE).failed == {}
        ended = command.end()
    assert (ended.status, ended.err) == (141, "")


def test_a_reader_that_is_slow_is_not_waited_for():
    """What it cannot keep up with is counted, and what there is to be shown stays small."""
    shown = []
    arrivals = Arrivals(Lines(shown), lambda: None, False, True)
    with Simulator() as apns, with_certificate(apns) as client:
        client.push()
        arrivals.arrived(apns.journal.exchanges() * 10005)
    arrivals.show()
    assert len(shown) == 10001
    assert shown[-1] == "... and 5 more, too fast to be shown"


def test_devices_and_ports_are_as_the_arguments_say():
    """Known, bad and uninstalled ones; the rest is rejected where it is strict."""
    port = free_port()
    with started("--strict", "--device", GOOD[0], "--device", GOOD[1], "--bad", GOOD[2] + "=5",
                 "--bad", GOOD[3], "--uninstalled", GOOD[4], "--gateway-port", port) as simulator:
        assert simulator.ready["gateway"] == "127.0.0.1:%d" % port
        codes = [list(code for code, _ in simulator.send(*tokens).failed.values()) for tokens in (
            [GOOD[0], GOOD[1], GOOD[4], GOOD[2]], [GOOD[3]], [token(99)])]
        session = simulator.session()
        rows = list(APNs(session.new_connection(
            _address(simulator.ready["feedback"]),
            cert_file=simulator.ready["cert_file"])).feedback())
        shown = simulator.stop().document
    assert codes == [[5], [8], [8]]
    assert [row[0].decode("ascii") for row in rows] == [GOOD[4]]
    assert (shown["accepted"], shown["errors"], shown["feedback_rows"]) == (3, 3, 1)


@pytest.mark.parametrize("arguments, accepted, errors", [
    (["--close-after", "2"], 2, 0), (["--reset-after", "2"], 2, 0), (["--stall-after", "2"], 2, 0),
    (["--garbage-after", "2"], 2, 0), (["--shutdown-after", "2"], 2, 1),
    (["--bad", GOOD[2], "--delay", "0.1"], 2, 1)])
def test_it_misbehaves_as_it_is_told(arguments, accepted, errors):
    """On every connection."""
    stalls = arguments[0] == "--stall-after"
    with started(*arguments) as simulator:
        result = simulator.send(*GOOD, read_tail_timeout=1 if stalls else 20)
        shown = simulator.stop().document
    assert (shown["accepted"], shown["errors"]) == (accepted, errors)
    assert result.needs_retry() is not stalls


def test_the_record_has_what_was_accepted_as_it_comes(tmp_path):
    """One JSON object a line, appended, and readable before the end."""
    name = write_file(tmp_path / "record", '"before"\n')
    with started("--record", name, "--bad", GOOD[3]) as simulator:
        simulator.send(*GOOD)
        with open(name) as stream:
            rows = [json.loads(line) for line in stream]
    assert rows[0] == "before"
    assert [row["token"] for row in rows[1:]] == GOOD[:3]
    assert json.loads(rows[1]["payload"]) == {"aps": {"alert": "hi"}}
    assert set(row["connection"] for row in rows[1:]) == set([1])
    assert rows[1]["priority"] == 10
    assert rows[1]["expiry"] > 0
    assert rows[2]["identifier"] == rows[1]["identifier"] + 1


def test_all_addresses_are_reported(tmp_path):
    """With labels; each of them is another port, and somebody listens there."""
    with serving("simulator", "--directory", tmp_path) as command:
        shown = [command.readline().split(None, 2) for _ in range(4)]
        for row in shown:
            socket.create_connection(_address(row[1]), SOON).close()
        assert command.end().status == 0
    assert [(row[0], row[2].strip()) for row in shown] == [
        ("gateway", "gateway of the binary protocol"),
        ("feedback", "feedback service of the binary protocol"),
        ("provider", "provider API over HTTP/2"),
        ("channels", "channel management over HTTP/2")]
    assert len(set(row[1] for row in shown)) == 4


def test_http2_is_served_with_the_announced_key(tmp_path):
    """Devices and the record are the same for both protocols."""
    name = str(tmp_path / "record")
    with started("--record", name, "--bad", GOOD[1], "--bad", GOOD[2] + "=DeviceTokenNotForTopic",
                 "--uninstalled", GOOD[3]) as simulator:
        failed = simulator.send2(*GOOD).failed
        with open(name) as stream:
            rows = [json.loads(line) for line in stream]
        simulator.send(GOOD[0], GOOD[1])
        shown = simulator.stop().document
    assert dict((one, failure.reason) for one, failure in failed.items()) == {
        GOOD[1]: "BadDeviceToken", GOOD[2]: "DeviceTokenNotForTopic", GOOD[3]: "Unregistered"}
    assert [row["token"] for row in rows] == [GOOD[0], GOOD[4]]
    assert [(row["protocol"], row["topic"], row["push_type"], row["collapse_id"])
            for row in rows] == [("http2", "com.example", "alert", "news")] * 2
    assert (shown["accepted"], shown["errors"], shown["connections"],
            shown["provider_connections"]) == (3, 4, 1, 1)


def test_options_for_errors_are_the_script_of_the_provider_api():
    """Each of them, on every connection; none by default."""
    from apnsclient.testing.simulator.simulator import _running

    options = ["--throttle", "--one-app", "--limit-after-errors", "2=100", "--limit-after-errors",
               "9=1", "--goaway-after-errors", "50", "--goaway-after-bad-tokens", "7"]
    for arguments, script in (([], ProviderScript()), (options, ProviderScript(
            throttle=True, one_app=True, limit_after_errors={2: 100, 9: 1}, goaway_after_errors=50,
            goaway_after_bad_tokens=7))):
        with started(*arguments) as simulator:
            running, = _running
            assert running.faults.usual_script("provider") == script
            simulator.stop()
    for option, value in (("--limit-after-errors", "5"), ("--limit-after-errors", "0=5"),
                          ("--goaway-after-errors", "0")):
        assert apns("simulator", option, value).status == 2


def test_channels_are_managed_at_the_announced_address():
    """It is another service than for notifications."""
    with started() as simulator:
        session = Session(ca_file=simulator.ready["ca_file"], protocol="http2")
        connection = session.get_connection(
            _address(simulator.ready["channels"]), cert_file=simulator.ready["cert_file"])
        assert connection.request(b"GET", b"/1/apps/com.example/all-channels").status == 200
        session.shutdown()
        assert simulator.stop().document["channel_connections"] == 1


@pytest.mark.parametrize("arguments, counts", [
    (["--close-after", "2"], [2]), (["--reset-after", "2"], [2]), (["--garbage-after", "2"], [2]),
    (["--shutdown-after", "2"], [2, 2, 1]), (["--delay", "0.05"], [5]), (["--delay", "0"], [5])])
def test_it_misbehaves_over_http2_as_well(arguments, counts, tmp_path):
    """On every connection. Only GOAWAY makes clear what may be sent again over the next one."""
    name = str(tmp_path / "record")
    with started("--record", name, *arguments) as simulator:
        result = simulator.send2(*GOOD)
        assert simulator.stop().document["provider_connections"] == len(counts)
    with open(name) as stream:
        by_connection = Counter(json.loads(line)["connection"] for line in stream)
    assert [by_connection[number + 1] for number in range(len(by_connection))] == counts
    assert result.needs_retry() is (sum(counts) < 5)


@pytest.mark.parametrize("missing", ["hpack", "jwt"])
def test_without_the_libraries_of_http2_the_rest_is_served(missing, monkeypatch):
    """And the user is told what to install."""
    monkeypatch.setitem(sys.modules, missing, None)
    with started() as simulator:
        assert simulator.ready["provider"] is simulator.ready["channels"] is None
        assert simulator.send(*GOOD, read_tail_timeout=SILENCE).failed == {}
        assert simulator.stop().status == 0
    with serving("simulator") as command:
        lines = [command.readline() for _ in range(12)]
        assert command.end().status == 0
    assert "pip install PyJWT cryptography hpack" in lines[2]
    assert "--http2" not in "".join(lines)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_record_that_cannot_be_written_is_status_4():
    """It goes on serving, and reports that at the end."""
    with started("--record", "/dev/full", "--bad", GOOD[4]) as simulator:
        simulator.send(*GOOD)
        ended = simulator.stop()
    assert ended.status == 4
    assert ended.err == "apns: error: cannot write the record: No space left on device\n"
    assert ended.document["accepted"] == 4


MISTAKES = [
    (["--gateway-port", "70000"], "is not a port"),
    (["--gateway-port", "x"], "is not a whole number from 0 up"),
    (["--bad", "5f=x"],
     "'x' is neither a status from 0 to 255 nor a reason such as BadDeviceToken"),
    (["--bad", "5f="], "'' is neither a status"),
    (["--bad", "5f=256"], "status is 256"),
    (["--bad", "xyz"], "the token "),
    (["--bad", GOOD[0] + "=Nonsense"], "there is no reason 'Nonsense', expected one of"),
    (["--feedback-port", "12345", "--channels-port", "12345"],
     "--feedback-port and --channels-port are both 12345"),
    (["--uninstalled", "5"], "odd number of digits"),
    (["--close-after", "1", "--stall-after", "1"], "not allowed with"),
    (["--record", "/nonexistent/record"], "cannot write the record '/nonexistent/record'"),
    (["--directory", "x", "--temporary"], "not allowed with"),
    (["--directory", "/dev/null/x"], "cannot make the directory '/dev/null/x'"),
]


def test_wrong_usage_is_status_2():
    """The message says what was wrong."""
    assert_wrong_usage([(["simulator"] + arguments, complaint)
                        for arguments, complaint in MISTAKES])


def test_a_directory_that_cannot_be_read_or_written_is_status_2(tmp_path):
    """Here the name of a file is taken by a directory, or leads nowhere."""
    for name, what in (("ca.pem", "cannot read"), ("key.p8", "cannot read")):
        (tmp_path / name).mkdir()
        ended = apns("simulator", "--directory", tmp_path)
        assert ended.status == 2
        assert what in ended.err
        (tmp_path / name).rmdir()


@pytest.fixture
def taken_port():
    """A port of the loopback address that somebody listens at."""
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        yield taken.getsockname()[1]


@pytest.mark.parametrize("service", ["gateway", "feedback", "provider", "channels"])
def test_a_port_in_use_is_named(service, taken_port):
    """With the option that it came from; there are four of them."""
    others = [one for name in ("gateway", "provider") if name != service
              for one in ("--%s-port" % name, free_port())]
    ended = apns("simulator", "--%s-port" % service, taken_port, *others)
    assert ended.status == 3
    assert ended.err == ("apns: error: cannot listen at 127.0.0.1: port %d (--%s-port): Address "
                         "already in use\n" % (taken_port, service))


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_cannot_be_listened_at_is_status_3(host, taken_port):
    """In use, of another machine, or unknown."""
    ended = apns("simulator", "--host", host, "--gateway-port", taken_port)
    assert ended.status == 3
    assert ended.err.startswith("apns: error: cannot listen at %s: " % host)
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, monkeypatch):
    """And takes the temporary files with it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with unread_pipe() as writer:
        ended = apns("simulator", "--temporary", stdout=writer)
    assert (ended.status, ended.err) == (141, "")
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_is_handled_as_before(number):
    """A program that calls it has its own handlers back when it is done."""
    def end(running):
        assert "ready" in running.output.readline()
        os.kill(os.getpid(), number)

    def handler(number, frame):
        raise AssertionError("this came too late")

    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(each, handler) for each in numbers]
    try:
        ended = apns("simulator", "--json", meanwhile=end)
        assert [signal.getsignal(each) for each in numbers] == [handler, handler]
    finally:
        for each, before in zip(numbers, previous):
            signal.signal(each, before)
    assert (ended.status, ended.err) == (0, "")
    assert ended.document["event"] == "summary"


@pytest.mark.usefixtures("ipv6")
def test_an_ipv6_address_is_shown_in_brackets():
    """So that it can be pasted."""
    with started("--host", "::1") as simulator:
        assert simulator.ready["gateway"].startswith("[::1]:")
        assert simulator.send(*GOOD, read_tail_timeout=SILENCE).failed == {}
        assert simulator.stop().status == 0
