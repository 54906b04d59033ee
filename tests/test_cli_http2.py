"""``apns send`` and ``apns feedback`` over HTTP/2: credentials, headers, reasons, proxy, store."""

from __future__ import absolute_import, division, print_function

import json
import os
import socket
import stat
import sys
import time

import pytest

from apnsclient import addresses
from apnsclient.backends._tls_backend import TlsBackend
from apnsclient.sending.refusals import Refusals
from apnsclient.sending.spreading import Spreading
from apnsclient.testing.simulator import ProviderScript
from apnsclient.topics import advise
from cli_support import (
    QUIET,
    TOPIC,
    Bed,
    apns,
    assert_wrong_usage,
    environment,
    token,
    unread_pipe,
    write_file,
)
from net_support import await_held
from stdio_support import GONE, Server
from test_proxy import OK, Proxy, url

GOOD = [token(number) for number in range(1, 8)]

#: 2014-01-02 03:04:05 UTC
WHEN = 1388631845


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


# What is sent.

def test_a_provider_token_sends(bed):
    """--key-id stands for --http2; the message is for the topic that was given."""
    ended = bed.send2("--alert", "hi", *GOOD)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("7 of 7 tokens accepted, 0 failed, 0 not sent, 0 unknown; "
                                "0 sent again; ")
    assert bed.simulator.accepted_tokens() == GOOD
    assert bed.simulator.connections == 0
    assert {one.topic for one in bed.simulator.accepted} == {TOPIC}
    assert bed.simulator.provider_connections == 1


def test_a_certificate_has_the_topic(bed):
    """As the documents of Apple have it: one that is for one topic needs no other word."""
    ended = bed.send_with(bed.simulator.client_certificate(topic=TOPIC), "--alert", "hi", *GOOD)
    assert (ended.status, ended.err) == (0, "")
    assert [one.topic for one in bed.simulator.accepted] == [TOPIC] * 7


def test_towards_apple_it_is_http2_unless_told_otherwise(bed, monkeypatch):
    """By name or by host: nothing else is there."""
    where = {"push_production": bed.simulator.provider_address}
    monkeypatch.setitem(addresses.PROVIDER_ADDRESSES, *where.popitem())
    arguments = ["send", "--address", "push_production", "--ca-file", bed.ca, "--cert", bed.file(
        "topic.pem", bed.simulator.client_certificate(topic=TOPIC)), "--alert", "hi"] + QUIET
    ended = apns(*(arguments + ["--collapse-id", "news", GOOD[0]]))
    assert (ended.status, ended.err) == (0, "")
    monkeypatch.setitem(addresses.ADDRESSES, "push_production", bed.simulator.gateway_address)
    ended = apns(*(arguments + ["--binary", GOOD[1]]))
    assert (ended.status, ended.err) == (0, "")
    bed.accepted_tokens(2)
    assert [(one.token, one.topic) for one in bed.simulator.accepted] == [
        (GOOD[0], TOPIC), (GOOD[1], None)]
    for host, port, is_apples in (("api.push.apple.com", 443, True),
                                  ("gateway.sandbox.push.apple.com", 2195, True),
                                  ("gateway.example.com", 2195, False)):
        arguments[2] = "%s:%d" % (host, port)
        ended = apns(*(arguments + ["--apns-id", "", GOOD[0]]))
        assert ended.status == 2
        assert ("needs --http2" in ended.err) is not is_apples


def test_all_headers_arrive(bed):
    """Push type, collapse identifier, identifier, priority and expiry."""
    uuid = "3b94ab62-8c25-4744-a44c-0123456789ab"
    ended = bed.send2("--content-available", "--push-type", "voip", "--topic", TOPIC + ".voip",
                      "--collapse-id", "news", "--apns-id", uuid, "--priority", "1",
                      "--expiry", "2000000000", GOOD[0])
    assert ended.status == 0, ended.err
    accepted, = bed.simulator.accepted
    assert (accepted.push_type, accepted.collapse_id, accepted.apns_id, accepted.priority,
            accepted.expiry) == ("voip", "news", uuid, 1, 2000000000)


def test_a_background_message_has_the_priority_that_apple_takes(bed):
    """Its type is derived. Another priority is an error."""
    for options, warning in (([], ""), (["--priority", "10"],
                                        "apns: warning: a background notification of priority 10")):
        ended = bed.send2("--content-available", *(options + GOOD[:1]))
        assert ended.status == 0
        assert ended.err.startswith(warning) and bool(ended.err) is bool(warning)
    assert [(one.push_type, one.priority) for one in bed.simulator.accepted] == [
        ("background", 5)] * 2


def test_many_slices_share_one_connection(bed):
    """A list of any length passes through; each token is there once."""
    tokens = [token(number) for number in range(1, 2001)]
    bad = tokens[::100]
    for one in bad:
        bed.simulator.devices.bad(one)
    ended = bed.send2("--alert", "hi", "--json", "--slice", "150",
                      standard_input="\n".join(tokens).encode("ascii"))
    assert ended.status == 1
    shown = ended.document
    assert (shown["accepted"], shown["tokens"], shown["resent"]) == (1980, 2000, 0)
    assert sorted(one["token"] for one in shown["failed"]) == bad
    assert bed.simulator.accepted_tokens() == [one for one in tokens if one not in set(bad)]
    assert bed.simulator.provider_connections == 1


def test_further_connections_are_opened_beside_the_first(bed, monkeypatch):
    """The command is told of the first one, and goes on with it while there are more on the way."""
    def start_connecting(self, *arguments, **options):
        begun.append(self)
        return start(self, *arguments, **options)

    start, begun = TlsBackend.start_connecting, []
    monkeypatch.setattr(TlsBackend, "start_connecting", start_connecting)
    monkeypatch.setattr(Spreading, "_worthwhile_wait", staticmethod(lambda connections: 0.0))
    bed.simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 1}))
    ended = bed.send2("--alert", "hi", *[token(number) for number in range(1, 101)])
    assert (ended.status, ended.err) == (0, "")
    assert begun
    assert sorted(bed.simulator.accepted_tokens()) == [token(number) for number in range(1, 101)]


def test_silence_is_not_waited_for(bed):
    """Each request has a response, so that the tail timeout means nothing."""
    started = time.time()
    assert bed.send2("--alert", "hi", "--tail-timeout", "3600", *GOOD).status == 0
    assert time.time() - started < 600


# What comes back.

NO_DIGIT = 'is not hexadecimal: "z" is number 1 of its 2 characters'


def test_failures_are_reported_with_apples_reason(bed):
    """Several in one go, and since when a token has been dead."""
    bed.simulator.devices.bad(GOOD[1])
    bed.simulator.devices.bad(GOOD[2], reason="DeviceTokenNotForTopic")
    bed.simulator.devices.uninstall(GOOD[4], WHEN)
    ended = bed.send2("--alert", "hi", "zz", *GOOD)
    assert (ended.status, ended.err) == (1, "")
    assert all(row[0] == "failed" for row in ended.rows[:-1])
    assert dict((row[1], row[2:]) for row in ended.rows[:-1]) == {
        "zz": ["8", "Invalid token: the token %s" % NO_DIGIT],
        GOOD[1]: ["8", "Invalid token: BadDeviceToken"],
        GOOD[2]: ["8", "Invalid token: DeviceTokenNotForTopic: %s"
                  % advise("com.example.app", "alert")],
        GOOD[4]: ["8", "Invalid token: Unregistered, since 2014-01-02T03:04:05Z"]}
    assert ended.rows[-1][0].startswith("4 of 8 tokens accepted, 4 failed, 0 not sent, 0 unknown")


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
def test_a_list_that_is_rejected_as_a_whole_is_nothing_to_delete(bed, reason):
    """All of it belongs elsewhere, most likely; one that is known there proves that it does not."""
    for one in GOOD[:2]:
        bed.simulator.devices.bad(one, reason=reason)
    bed.simulator.devices.uninstall(GOOD[2], WHEN)
    refused = bed.send2("--alert", "hi", "zz", *GOOD[:2])
    assert refused.err.endswith(
        ": check --address and --topic before you delete anything\n")
    shown = bed.send2("--alert", "hi", "--json", *GOOD[:2]).document
    assert "before you delete anything" in shown["hint"]
    assert [one["gone"] for one in shown["failed"]] == [False, False]
    for known in GOOD[2:4]:
        assert bed.send2("--alert", "hi", known, *GOOD[:2]).err == ""
        assert bed.send2("--alert", "hi", "--json", known, *GOOD[:2]).document["hint"] is None
    assert bed.send2("--alert", "hi", "zz").err == ""


def test_a_long_list_that_is_rejected_as_a_whole_is_reported_once(bed):
    """The library has a warning of its own from ten tokens on."""
    tokens = [token(number) for number in range(Refusals.MANY)]
    for one in tokens:
        bed.simulator.devices.bad(one)
    err = bed.send2("--alert", "hi", *tokens).err
    assert err.count("before you delete anything") == 1
    assert err.startswith("apns: every token was rejected with BadDeviceToken")


def test_json_has_all_that_apple_says(bed):
    """The fields that the help promises."""
    bed.simulator.devices.uninstall(GOOD[4], WHEN)
    shown = bed.send2("--alert", "hi", "--json", *GOOD).document
    failed, = shown["failed"]
    assert len(failed.pop("apns_id")) == 36
    assert failed == {"token": GOOD[4], "code": 8, "reason": "Invalid token: Unregistered",
                      "status": 410, "apns_reason": "Unregistered", "timestamp": WHEN,
                      "gone": True}
    assert (shown["accepted"], shown["status"], shown["error"]) == (6, 1, None)


def test_a_credential_that_is_rejected_is_status_3(bed):
    """One line; nothing was sent, and nothing of the key is shown."""
    bed.simulator.revoke_key(bed.simulator.key_id)
    for form in ([], ["--json"]):
        ended = bed.send2("--alert", "hi", *(GOOD + form))
        assert ended.status == 3
        assert ended.err == (
            "apns: error: the server rejects the provider token (403, InvalidProviderToken), so "
            "nothing more was sent; check --key-id, --team-id and --key, and the clock of this "
            "machine\n")
        if form:
            assert [(one["token"], one["code"], one["reason"])
                    for one in ended.document["not_sent"]] \
                == [(one, 403, "InvalidProviderToken") for one in GOOD]
        else:
            assert ended.out == ""
    assert bed.simulator.error_count == 2


def test_a_credential_that_is_rejected_midway_stops_the_batch(bed):
    """Status 1: some were accepted. The rest is not sent, and not tried a hundred times."""
    bed.simulator.script_provider(ProviderScript(
        settings={"max_concurrent_streams": 1}, response_at={3: "BadCertificateEnvironment"}))
    ended = bed.send_with(bed.simulator.cert_string, "--alert", "hi", "--slice", "2", *GOOD)
    assert ended.status == 1
    assert bed.simulator.accepted_tokens() == GOOD[:2]
    assert bed.simulator.error_count == 1
    assert [row[:2] for row in ended.rows[:-1]] == [["not-sent", one] for one in GOOD[2:]]
    assert ended.rows[0][2:] == ["403", "BadCertificateEnvironment"]
    assert ended.err == (
        "apns: the server rejects the certificate (403, BadCertificateEnvironment), so nothing "
        "more was sent; it is for the other environment; check --address\n")


def test_a_message_that_is_rejected_says_what_to_do(bed):
    """Here the topic is missing."""
    arguments = ["send"] + bed.provider + bed.token + ["--alert", "hi"]
    ended = apns(*(arguments + GOOD))
    assert ended.status == 1
    reason = "Missing topic: MissingTopic: %s" % advise(None, "alert")
    assert ended.rows[0] == ["not-sent", GOOD[0], "3", reason]
    assert ended.rows[-1][0].startswith("0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown")
    assert ended.err == (
        "apns: the server rejects this message (3, %s): unchanged, it would be rejected again; "
        "give --topic\n" % reason)
    assert bed.simulator.error_count == 1


def test_a_single_request_that_is_rejected_stops_nothing(bed):
    """Its token is reported with the reason, which is an unknown one."""
    bed.simulator.script_provider(ProviderScript(response_at={2: (418, "Teapot")}))
    ended = bed.send2("--alert", "hi", *GOOD)
    assert ended.status == 1
    assert ended.rows[0] == ["not-sent", GOOD[1], "418", "Teapot"]
    assert bed.simulator.accepted_tokens() == GOOD[:1] + GOOD[2:]


@pytest.mark.parametrize("script, resent", [
    (ProviderScript(response_at={2: "TooManyRequests", 4: "TooManyRequests"}), 2),
    (ProviderScript(goaway_after=3, goaway_reason="Shutdown"), 0),
    (ProviderScript(reset_at={2: 7}), 0),
], ids=["busy", "GOAWAY", "REFUSED_STREAM"])
def test_what_was_not_processed_is_sent_again(bed, script, resent):
    """By the client where that is proven at once, else by the command; each token gets it once."""
    bed.simulator.script_provider(script)
    ended = bed.send2("--alert", "hi", "--json", *GOOD)
    assert ended.status == 0
    assert sorted(bed.simulator.accepted_tokens()) == GOOD
    assert ended.document["resent"] == resent


def test_what_has_no_response_is_unknown_and_not_sent_again(bed):
    """The server may have processed it, and here it has: a second time would be one too many."""
    for limit in ("0.5", "4", "15"):
        bed.simulator.forget()
        bed.simulator.script_provider(ProviderScript(no_response_at=[2, 5]))
        ended = bed.send2("--alert", "hi", "--read-timeout", limit, *GOOD)
        if ended.rows[-1][0].startswith("5 of 7 tokens accepted"):
            break  # Otherwise the machine was too slow for the others.
    assert ended.status == 1
    assert [row[:3] for row in ended.rows[:-1]] == [["unknown", one, "-"]
                                                    for one in (GOOD[1], GOOD[4])]
    assert ended.rows[0][3].startswith("Unknown: ")
    assert " within " in ended.rows[0][3]
    assert ended.rows[-1][0].startswith("5 of 7 tokens accepted, 0 failed, 0 not sent, 2 unknown; "
                                        "0 sent again")
    assert sorted(bed.simulator.accepted_tokens()) == GOOD


def test_ctrl_c_in_the_last_wait_says_what_is_awaited(bed):
    """And the responses are waited for then."""
    def interrupt(running):
        # The others follow when the first response has shown that the credential is good.
        await_held(bed.simulator, 1)
        assert bed.simulator.release_held() == 1
        await_held(bed.simulator, 6)
        running.interrupt_once()
        running.screen.await_text(b"(Ctrl-C again: do not wait)")
        assert bed.simulator.release_held() == 6

    bed.simulator.script_provider(ProviderScript(hold=True))
    ended = bed.send2("--alert", "hi", "--read-timeout", "100", *GOOD, terminal=["stderr"],
                      meanwhile=interrupt)
    assert ended.status == 130
    assert ended.shown.count(b"apns: stopping; waiting for the responses to what has been "
                             b"sent") == 1
    assert ended.out.startswith("7 of 7 tokens accepted")


def test_ctrl_c_while_connecting_ends_at_once(bed):
    """There are no responses to wait for."""
    def interrupt(running):
        running.screen.await_text(b"0.00/7.00")
        running.interrupt_until_ended()

    bed.simulator.script_provider(ProviderScript(stall_handshake=True))
    ended = bed.send2("--alert", "hi", "--connect-timeout", "100", *GOOD, terminal=["stderr"],
                      meanwhile=interrupt)
    assert ended.status == 130
    # Not sent if the signal came before connecting began.
    assert ("0 of 7 tokens accepted, 0 failed, 0 not sent, 7 unknown" in ended.out
            or "0 of 7 tokens accepted, 0 failed, 7 not sent, 0 unknown" in ended.out)
    assert b"waiting for" not in ended.shown


# Wrong usage.

CERT = ["--cert", "c.pem"]
KEY = ["--key-id", "K", "--team-id", "T", "--key", "k.p8"]


MISTAKES = [
    ([], "no credential: give --cert; or, for HTTP/2, --key-id, --team-id and --key"),
    (["--http2"], "no credential"),
    (["--key", "k.p8"], "no credential"),
    (KEY[:4], "needs --key-id, --team-id and --key; --key is missing"),
    (KEY[:2] + KEY[4:], "--team-id is missing"),
    (KEY[2:], "--key-id is missing"),
    (CERT + KEY, "--cert does not go together with --key-id"),
    (KEY + ["--binary"], "--binary does not go together with --key-id and --team-id"),
    (CERT + ["--binary", "--topic", "x"], "--topic needs --http2"),
    (KEY + ["--passphrase-file", "p"], "that of a provider token is not encrypted"),
    (CERT + ["--topic", "x"], "--topic needs --http2"),
    (CERT + ["--push-type", "x"], "--push-type needs --http2"),
    (CERT + ["--collapse-id", "x"], "--collapse-id needs --http2"),
    (CERT + ["--apns-id", "x"], "--apns-id needs --http2"),
    (CERT + ["--feedback-store", "x"], "--feedback-store needs --http2"),
    (KEY + ["--topic", "a b\n"], "--topic is 'a b\\n', expected printable ASCII"),
    (KEY + ["--apns-id", ""], "--apns-id is ''"),
]


def test_wrong_usage_is_status_2():
    """Found before any file is read."""
    assert_wrong_usage([
        (["send", "--address", "localhost:1", "--alert", "x"] + arguments + GOOD[:1], complaint)
        for arguments, complaint in MISTAKES], lines=1)
    assert_wrong_usage([(["send", "--address", "x:1", "--http2", "--binary"],
                         "argument --binary: not allowed with argument --http2")])


def test_a_key_that_cannot_be_used_is_status_3(bed):
    """In terms of the options."""
    for options, complaint in (
            (["--key", "/nonexistent/k.p8"], "cannot read the key '/nonexistent/k.p8'"),
            (["--key-id", "a b"],
             "error: --key-id is another text, of 3 characters")):
        ended = bed.send2("--alert", "x", *(options + GOOD))
        assert ended.status == 3
        assert ended.err.startswith("apns: error: ")
        assert ended.err.count("\n") == 1
        assert complaint in ended.err


def test_the_key_itself_is_not_shown(bed):
    """Not even where a certificate is given, or garbage."""
    certificate = bed.simulator.ca_string
    for content, secret in ((certificate, certificate.splitlines()[-2]),
                            ("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", "c2VjcmV0")):
        name = bed.file("wrong.p8", content)
        ended = bed.send2("--alert", "x", "--key", name, *GOOD)
        assert ended.status == 3
        assert "private key" in ended.err and "--key %s" % name in ended.err
        assert secret not in ended.err + ended.out


def test_a_library_that_is_missing_is_status_3(bed, monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "hpack", None)
    ended = bed.send2("--alert", "x", GOOD[0])
    assert ended.status == 3
    assert ended.err.startswith("apns: error: ")
    assert "pip install cryptography hpack" in ended.err


def test_a_server_without_http2_is_status_3(bed):
    """The gateway of the binary protocol, for example."""
    arguments = bed.provider
    arguments[1] = "%s:%d" % bed.simulator.gateway_address
    ended = apns("send", "--http2", "--cert", bed.cert, "--alert", "x", *(arguments + GOOD))
    assert ended.status == 3
    assert "does not speak HTTP/2" in ended.err
    assert ended.err.endswith("if it is a gateway of the binary protocol, give --binary\n")


def test_a_server_that_speaks_http2_only_is_warned_of(bed):
    """Once, however often it is tried; what is logged speaks of options as well."""
    ended = apns("send", "--binary", "--cert", bed.cert, "--alert", "x", "--retries", "3",
                 "--retry-delay", "0", *(bed.provider + GOOD))
    assert ended.status == 1
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("end of stream; if it speaks HTTP/2, give --http2\n")
    assert "%d sent again" % (3 * len(GOOD)) in ended.out


def test_the_hosts_that_apple_retired_are_reported(bed, monkeypatch):
    """With the way out."""
    def getaddrinfo(*arguments):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ended = apns("send", "--binary", "--address", "push_production", "--cert", bed.cert,
                 "--alert", "x", *GOOD)
    assert ended.status == 3
    assert ("Apple switched the binary protocol off on 31 March 2021, and gateway.push.apple.com "
            "with it; leave --binary out, or give --address of a gateway ") in ended.err


# The proxy.

SECRET = "s3cr3t"


@pytest.mark.parametrize("protocol", ["binary", "http2"])
@pytest.mark.parametrize("is_variable", [False, True])
def test_a_proxy_is_used_by_both_protocols(bed, protocol, is_variable):
    """As an option, or from the environment, where others do not see it."""
    proxy = Proxy(OK)
    with Server(proxy, ignore=GONE) as server:
        given = url(server, "user:%s@" % SECRET)
        options = [] if is_variable else ["--proxy", given]
        env = environment(APNS_PROXY=given if is_variable else "http://127.0.0.1:1")
        send = bed.send2 if protocol == "http2" else bed.send
        ended = send("--alert", "hi", *(options + GOOD + QUIET), env=env)
    assert (ended.status, ended.err) == (0, "")
    assert bed.accepted_tokens(7) == GOOD
    assert len(proxy.requests) == 1


def test_the_password_of_the_proxy_is_not_shown(bed):
    """Whatever is wrong with it."""
    for given, status, complaint in (
            ("https://user:%s@proxy:80", 2,
             "--proxy begins with https://, which is not supported"),
            ("user:%s@proxy:80", 2, "--proxy does not begin with http://"),
            ("http://user:%s@proxy", 2, "--proxy has no host and port"),
            ("http://user:%s@127.0.0.1:1", 3, "127.0.0.1:1")):
        for form in ([], ["--json"]):
            ended = bed.send2("--alert", "hi", "--proxy", given % SECRET, *(form + GOOD))
            assert ended.status == status
            assert complaint in ended.err
            assert SECRET not in ended.err + ended.out


def test_a_proxy_that_wants_a_password_is_status_3(bed):
    """The message says which option it is."""
    with Server(Proxy(b"HTTP/1.1 407 Authentication required\r\n\r\n", "nowhere"),
                ignore=GONE) as server:
        ended = bed.send2("--alert", "hi", "--proxy", url(server), *GOOD)
    assert ended.status == 3
    assert "responded with status 407" in ended.err
    assert ended.err.endswith("; give --proxy \"http://user:password@host:port\"\n")


# Feedback.

def _feedback(bed, name, *more, **options):
    return apns("feedback", "--feedback-store", name, *(bed.provider + bed.token + list(more)),
                **options)


def test_what_send_found_dead_is_feedback_for_another_command(bed):
    """Once, with Apple's time; the file is its owner's alone."""
    name = str(bed.directory / "gone.db")
    bed.simulator.devices.uninstall(GOOD[1], WHEN)
    bed.simulator.devices.uninstall(GOOD[2], WHEN + 1, reason="ExpiredToken")
    bed.simulator.devices.bad(GOOD[3])
    for _ in range(2):
        ended = bed.send2("--alert", "hi", "--feedback-store", name, *GOOD)
        assert (ended.status, ended.err) == (1, "")
    assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
    connections = bed.simulator.provider_connections
    ended = _feedback(bed, name)
    assert (ended.status, ended.err) == (0, "")
    assert ended.rows == [[GOOD[1], "2014-01-02T03:04:05Z"], [GOOD[2], "2014-01-02T03:04:06Z"]]
    again = _feedback(bed, name)
    assert (again.status, again.out, again.err) == (0, "", "")
    assert bed.simulator.provider_connections == connections


def test_the_environment_names_the_file_for_both_commands(bed, monkeypatch):
    """As for programs; the binary protocol has no use for it, and does not mind."""
    monkeypatch.setenv("APNSCLIENT_FEEDBACK_STORE", str(bed.directory / "gone.db"))
    bed.simulator.devices.uninstall(GOOD[1], WHEN)
    assert bed.send2("--alert", "hi", *GOOD).status == 1
    ended = apns("feedback", *(bed.provider + bed.token))
    assert (ended.status, ended.rows) == (0, [[GOOD[1], "2014-01-02T03:04:05Z"]])
    assert bed.send("--alert", "hi", GOOD[0]).status == 0


def test_feedback_is_kept_apart_by_application(bed):
    """Certificates for one topic share it; other topics and teams do not."""
    name = str(bed.directory / "gone.db")
    bed.simulator.devices.uninstall(GOOD[1], WHEN)
    cert = write_file(bed.directory / "a.pem", bed.simulator.client_certificate(topic="a"))
    renewed = write_file(bed.directory / "b.pem", bed.simulator.client_certificate(topic="a"))
    other = write_file(bed.directory / "c.pem", bed.simulator.client_certificate(topic="c"))
    http2 = ["--http2", "--feedback-store", name] + bed.provider
    assert apns("send", "--alert", "hi", "--cert", cert, *(http2 + GOOD)).status == 1
    assert _feedback(bed, name).out == ""
    assert apns("feedback", "--cert", other, *http2).out == ""
    ended = apns("feedback", "--json", "--cert", renewed, *http2)
    assert json.loads(ended.out) == {
        "token": GOOD[1], "time": "2014-01-02T03:04:05Z", "timestamp": WHEN}


def test_rows_that_nobody_read_stay_in_the_store(bed):
    """As in ``apns feedback | head``: also the one that was being written."""
    name = str(bed.directory / "gone.db")
    for one in GOOD:
        bed.simulator.devices.uninstall(one, WHEN)
    assert bed.send2("--alert", "hi", "--feedback-store", name, *GOOD).status == 1
    with unread_pipe() as writer:
        ended = _feedback(bed, name, stdout=writer)
    assert (ended.status, ended.err) == (141, "")
    ended = _feedback(bed, name).rows
    assert sorted(ended) == sorted([one, "2014-01-02T03:04:05Z"] for one in GOOD)


def test_feedback_over_http2_needs_the_store(bed):
    """There is nobody to ask. And the store needs HTTP/2: the other way there is a service."""
    ended = apns("feedback", *(bed.provider + bed.token))
    assert ended.status == 2
    assert "give --feedback-store" in ended.err
    ended = apns("feedback", "--cert", bed.cert, "--feedback-store", "x", *bed.provider)
    assert ended.status == 2
    assert ended.err == ("apns: error: --feedback-store needs --http2; the binary protocol has no "
                         "place for it\n")


def test_feedback_makes_no_store(bed):
    """With its name mistyped it would be empty each time, and nobody the wiser."""
    name = str(bed.directory / "typo.db")
    ended = _feedback(bed, name)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("apns: error: cannot use the feedback store %r: there is no such "
                                "file; " % name)
    assert not os.path.exists(name)


@pytest.mark.parametrize("content", [None, b"no database at all" * 100])
def test_a_store_that_cannot_be_used_is_status_2(bed, content):
    """A folder that is not there, or another kind of file."""
    name = "/nonexistent/x" if content is None else bed.file("other", content)
    for ended in (bed.send2("--alert", "hi", "--feedback-store", name, *GOOD),
                  _feedback(bed, name)):
        assert ended.status == 2
        assert ended.err.startswith("apns: error: cannot use the feedback store %r: " % name)
        assert ended.err.count("\n") == 1
    assert bed.simulator.provider_connections == 0
