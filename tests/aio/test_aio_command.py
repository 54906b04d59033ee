"""The command lines of both generations: ``python -m apnsclient.aio``."""

import json
import logging
import os
import subprocess
import sys

import pytest

from apnsclient.aio import _command
from apnsclient.aio._command import main

TOPIC = "com.example.app"
TOKEN = "0123456789abcdef" * 4
APNS_ID = "eabeae54-14a8-11e5-b60b-1697f925ec7b"


@pytest.fixture
def options(apple, ca_file, tmp_path):
    """The options that lead to the simulator, with a certificate that names its topic."""
    cert_file = tmp_path / "push.pem"
    cert_file.write_text(apple.client_certificate(topic=TOPIC))
    return ["--client-cert-path", str(cert_file), "--cafile", ca_file, "--host", "localhost",
            "--port", str(apple.provider_address[1])]


@pytest.fixture
def run(capsys):
    """A function that runs the command; it returns the status and both outputs."""
    def run(*arguments):
        try:
            status = main(list(arguments))
        except SystemExit as end:
            status = end.code
        return (status,) + tuple(capsys.readouterr())

    return run


def test_a_text(run, apple, options):
    """The identifier is all that is written."""
    status, output, errors = run(TOKEN, *options, "simple", "Dinner is ready")
    sent, = apple.accepted
    assert (status, errors) == (0, "")
    assert len(output.strip()) == len(APNS_ID) and output.endswith("\n")
    assert json.loads(sent.payload) == {"aps": {"alert": {"body": "Dinner is ready"}}}
    assert (sent.token, sent.topic, sent.push_type) == (TOKEN, TOPIC, "alert")
    assert (sent.priority, sent.expiry, sent.apns_id, sent.collapse_id) == (5, None, None, None)


def test_a_localized_text(run, apple, options):
    """With arguments and without; options may stand anywhere, text may begin with a hyphen."""
    for words, alert in [
            ([TOKEN, "localized", "HELLO"], {"loc-key": "HELLO"}),
            ([TOKEN, "localized", "HELLO", "foo", "bar"],
             {"loc-key": "HELLO", "loc-args": ["foo", "bar"]}),
            ([TOKEN, "localized", "--immediately", "HELLO", "foo"],
             {"loc-key": "HELLO", "loc-args": ["foo"]}),
            (["--", TOKEN, "simple", "-5 degrees"], {"body": "-5 degrees"})]:
        apple.forget()
        assert run(*options, *words)[0] == 0
        sent, = apple.accepted
        assert json.loads(sent.payload) == {"aps": {"alert": alert}}
        assert sent.priority == (10 if "--immediately" in words else 5)


def test_every_option_is_sent(run, apple, options):
    """Expiration 0 as well, which the original dropped."""
    status, output, _ = run(
        TOKEN, *options, "--expiration", "0", "--immediately", "--topic", TOPIC, "--collapse-id",
        "dinner", "--apns-id", APNS_ID, "simple", "x")
    sent, = apple.accepted
    assert (status, output) == (0, APNS_ID + "\n")
    assert (sent.priority, sent.expiry, sent.topic) == (10, 0, TOPIC)
    assert (sent.apns_id, sent.collapse_id) == (APNS_ID, "dinner")


def test_the_later_form(run, apple, options):
    """The word ``server`` stands before the token."""
    assert run("server", TOKEN, "Dinner", *options)[0] == 0
    assert [json.loads(sent.payload) for sent in apple.accepted] == [
        {"aps": {"alert": {"body": "Dinner"}}}]


def test_a_provider_token(run, apple, options, tmp_path):
    """Takes the place of the certificate."""
    key_file = tmp_path / "key.p8"
    key_file.write_text(apple.key_string)
    credential = apple.token_parameters
    status, _, errors = run(
        TOKEN, *options[2:], "--key-file", str(key_file), "--key-id", credential["key_id"],
        "--team-id", credential["team_id"], "--topic", TOPIC, "simple", "x")
    assert (status, errors) == (0, "")
    assert apple.accepted_tokens() == [TOKEN]


def test_a_rejection_is_one_line(run, apple, options):
    """Status 1; what Apple says, and what to do."""
    apple.devices.bad(TOKEN)
    status, output, errors = run(TOKEN, *options, "simple", "x")
    assert (status, output) == (1, "")
    assert errors.startswith("python -m apnsclient.aio: BadDeviceToken: ")
    assert errors.count("\n") == 1 and TOKEN not in errors


def test_what_is_wrong_is_one_line(run, apple, options, tmp_path):
    """A missing or bad file, an identifier that is none, a server that is not there."""
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    port = options.index("--port")
    nobody = options[:port + 1] + ["1"]
    for arguments, said in [
            (["--client-cert-path", str(tmp_path / "none.pem")] + options[2:], "none.pem"),
            (["--client-cert-path", str(bad)] + options[2:], "bad.pem"),
            (options + ["--collapse-id", "\u00fc"], "collapse"), (nobody, "localhost")]:
        status, output, errors = run(TOKEN, *arguments, "simple", "x")
        assert (said, status, output) == (said, 1, "")
        assert said in errors and errors.count("\n") == 1 and TOKEN not in errors
    assert apple.accepted == []


CREDENTIAL = ["--client-cert-path", "push.pem"]


def test_wrong_usage(run):
    """Status 2 and what is missing, before anything is read."""
    for arguments, said in [
            ([], "required"), ([TOKEN], "expected simple or localized after the token"),
            ([TOKEN, "sample", "x"], "expected simple or localized after the token"),
            ([TOKEN, "simple"], "simple takes 1 words, and 0 were given"),
            ([TOKEN, "simple", "two", "words"], "2 were given; quote text that has spaces"),
            ([TOKEN, "localized"], "localized takes 1 words"),
            (["server", TOKEN], "server takes 2 words"),
            (["simulator", "booted", TOPIC], "simulator takes 3 words"),
            ([TOKEN, "simple", "x", "--port", "x"], "--port"),
            ([TOKEN, "simple", "x", "--key-file", "x"], "exclude each other")]:
        status, output, errors = run(*(arguments + CREDENTIAL))
        assert (arguments, status, output) == (arguments, 2, "")
        assert said in errors and "usage: python -m apnsclient.aio TOKEN" in errors
    for arguments in [[], ["--key-file", "x", "--key-id", "y"]]:
        status, _, errors = run(TOKEN, "simple", "x", *arguments)
        assert status == 2
        assert "--client-cert-path is needed, or --key-file, --key-id and --team-id" in errors


def test_help_has_all_forms(run):
    """And every option."""
    status, output, _ = run("--help")
    assert status == 0
    for word in ["TOKEN [OPTION ...] simple BODY", "localized KEY [ARGUMENT ...]",
                 "server TOKEN BODY", "simulator DEVICE_ID APP_ID BODY", "--client-cert-path",
                 "--prod", "--alt-port", "--expiration", "--immediately", "--topic",
                 "--collapse-id", "--apns-id", "--verbose"]:
        assert word in output


def test_verbose_says_more_and_no_token(run, apple, options):
    """On standard error, and the log of a program is as before."""
    before = list(logging.getLogger("apnsclient").handlers)
    status, output, errors = run(TOKEN, *options, "--verbose", "simple", "secret")
    assert status == 0 and output.count("\n") == 1
    assert "sending to <apnsclient.aio.api.Server localhost:" in errors
    assert TOKEN not in errors and "secret" not in errors and "BEGIN" not in errors
    assert run(TOKEN, *options, "simple", "x")[2] == ""
    assert logging.getLogger("apnsclient").handlers == before


def test_the_simulator_of_xcode(run, tmp_path, monkeypatch):
    """It needs no credential."""
    program = tmp_path / "xcrun"
    program.write_text("#!/bin/sh\n/bin/cat >%s/noted\n" % tmp_path)
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    status, output, errors = run("simulator", "booted", TOPIC, "Dinner", "--apns-id", APNS_ID)
    assert (status, output, errors) == (0, APNS_ID + "\n", "")
    assert json.loads((tmp_path / "noted").read_text()) == {"aps": {"alert": {"body": "Dinner"}}}
    program.unlink()
    status, output, errors = run("simulator", "booted", TOPIC, "Dinner")
    assert (status, output) == (1, "") and "it comes with Xcode" in errors


def test_the_environment_is_chosen_by_options(run, monkeypatch):
    """Host and port, unless they are given."""
    servers = []

    def note(credential, *address):
        servers.append(address[:2])
        raise OSError("enough")

    monkeypatch.setattr(_command, "Server", note)
    for arguments in [[], ["--prod"], ["--alt-port"], ["--prod", "--alt-port"],
                      ["--host", "localhost"], ["--host", "localhost", "--port", "1"]]:
        assert run(TOKEN, "simple", "x", *CREDENTIAL, *arguments)[0] == 1
    assert servers == [
        ("api.sandbox.push.apple.com", 443), ("api.push.apple.com", 443),
        ("api.sandbox.push.apple.com", 2197), ("api.push.apple.com", 2197), ("localhost", 443),
        ("localhost", 1)]


def test_as_a_process(apple, options):
    """``python -m`` finds it, and nothing is left to say at its end."""
    child = subprocess.run(
        [sys.executable, "-m", "apnsclient.aio", TOKEN] + options + ["simple", "x"],
        env=dict(os.environ, PYTHONWARNINGS="error,ignore:Python"), capture_output=True, text=True)
    assert (child.returncode, child.stderr) == (0, "")
    assert apple.accepted_tokens() == [TOKEN]
