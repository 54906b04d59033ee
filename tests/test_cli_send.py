"""``apns send``: what is sent, what is received, and with which status it ends."""

from __future__ import absolute_import, division, print_function

import json
import os
import time

import pytest
import six

from apnsclient._compat import PY2
from apnsclient.testing.simulator import Script, Simulator
from cli_support import QUIET, Bed, apns, assert_wrong_usage, environment, token
from net_support import await_accepted

GOOD = [token(number) for number in range(1, 8)]


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


# What is sent.

def test_tokens_from_arguments_are_accepted_in_order(bed):
    """Status 0: every token was accepted."""
    ended = bed.send("--alert", "hi", *(GOOD + QUIET))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("7 of 7 tokens accepted, 0 failed, 0 not sent, 0 unknown; "
                                "0 sent again; ")
    assert bed.accepted_tokens(7) == GOOD


def test_all_parts_of_the_message_arrive(bed):
    """Alert, badge, sound, content-available, extra, expiry and priority."""
    before = int(time.time())
    ended = bed.send(
        "--alert", six.ensure_str(u"Gr\u00fc\u00dfe", "utf-8"), "--badge", "3",
        "--sound", "default", "--content-available", "--extra", "user=bob",
        "--extra", "ids=[1,2]", "--extra", "empty=", "--expiry", "3600", "--priority", "5", GOOD[0],
        *QUIET)
    assert ended.status == 0, ended.err
    await_accepted(bed.simulator, 1)
    accepted, = bed.simulator.accepted
    assert json.loads(accepted.payload.decode("utf-8")) == {
        "aps": {"alert": u"Gr\u00fc\u00dfe", "badge": 3, "sound": "default",
                "content-available": 1},
        "user": "bob", "ids": [1, 2], "empty": ""}
    assert accepted.priority == 5
    assert before + 3600 <= accepted.expiry <= int(time.time()) + 3600


def test_expiry_may_be_a_time_or_none_at_all(bed):
    """0 means that it is not to be stored; large numbers are Unix times."""
    for given in ("0", "2000000000"):
        assert bed.send("--alert", "hi", "--expiry", given, GOOD[0], *QUIET).status == 0
    await_accepted(bed.simulator, 2)
    assert [one.expiry for one in bed.simulator.accepted] == [0, 2000000000]


def test_a_payload_file_is_sent_byte_for_byte(bed):
    """Spaces, order of keys and the newline at the end included."""
    content = b'{ "x": 1, "aps": {"alert":"\xc3\xa9"} }\n'
    name = bed.file("payload.json", content)
    assert bed.send("--payload-file", name, GOOD[0], *QUIET).status == 0
    await_accepted(bed.simulator, 1)
    assert bed.simulator.accepted[0].payload == content


def test_the_mark_of_an_editor_in_front_of_a_payload_is_no_part_of_it(bed):
    """What is sent is in UTF-8, and without it."""
    content = u'{"aps":{"alert":"\xe9"}}\n'
    for number, encoding in enumerate(("utf-8-sig", "utf-16"), 1):
        name = bed.file("payload.json", content.encode(encoding))
        assert bed.send("--payload-file", name, GOOD[0], *QUIET).status == 0
        await_accepted(bed.simulator, number)
        assert bed.simulator.accepted[-1].payload == content.encode("utf-8")


def test_tokens_from_a_file_skip_blank_lines_and_comments(bed):
    """Also with the line ends, and the mark in front, of other systems' editors."""
    name = bed.file("tokens", b"\xef\xbb\xbf# ours\r\n%s\r\n\r\n  %s  \n#\n%s" % tuple(
        one.encode("ascii") for one in GOOD[1:4]))
    assert bed.send("--alert", "hi", "--tokens-file", name, GOOD[0], *QUIET).status == 0
    assert bed.accepted_tokens(4) == GOOD[:4]


def test_tokens_come_from_standard_input(bed):
    """With "-", and without any token when it is not a terminal."""
    for arguments in ([], ["-"], ["--tokens-file", "-"]):
        ended = bed.send("--alert", "hi", *(arguments + QUIET),
                         standard_input="\n".join(GOOD).encode("ascii"))
        assert (ended.status, ended.err) == (0, "")
    assert bed.accepted_tokens(21) == GOOD * 3


def test_many_slices_are_one_stream(bed):
    """A list of any length passes through in slices, on one connection, in order."""
    tokens = [token(number) for number in range(1, 2001)]
    ended = bed.send("--alert", "hi", "--json", "--slice", "150", *QUIET,
                     standard_input="\n".join(tokens).encode("ascii"))
    assert ended.status == 0
    assert ended.document["accepted"] == ended.document["tokens"] == 2000
    assert bed.accepted_tokens(2000) == tokens
    assert bed.simulator.connections == 1


def test_a_token_that_is_given_twice_is_sent_twice(bed):
    """And accounted for twice: good or bad, well-formed or not."""
    bed.simulator.devices.bad(GOOD[1])
    given = [GOOD[0], GOOD[1], "zz", GOOD[0], GOOD[1], "zz", GOOD[0].upper()]
    ended = bed.send("--alert", "hi", "--json", *given)
    assert ended.status == 1
    assert ended.document["accepted"] == 2 + 1
    assert sorted(one["token"] for one in ended.document["failed"]) == sorted(
        [GOOD[1], GOOD[1], "zz", "zz"])


def test_no_tokens_at_all_is_no_failure_and_needs_no_connection(bed):
    """Every token was accepted: there was none. A job with an empty list succeeds."""
    ended = bed.send("--alert", "hi")
    assert ended.status == 0
    assert "there were no tokens" in ended.err
    assert bed.simulator.connections == 0


# What comes back.

def test_rejected_and_malformed_tokens_are_reported_with_their_reason(bed):
    """Status 1: some token was not accepted. All the others were."""
    bed.simulator.devices.bad(GOOD[2])
    bed.simulator.devices.bad(GOOD[4], 5)
    ended = bed.send("--alert", "hi", "not hex", *(GOOD + [""]))
    assert (ended.status, ended.err) == (1, "")
    failed = dict((row[1], row[2:]) for row in ended.rows[:-1])
    assert all(row[0] == "failed" for row in ended.rows[:-1])
    assert failed[GOOD[2]] == ["8", "Invalid token"]
    assert failed[GOOD[4]] == ["5", "Invalid token size"]
    assert failed["not hex"][0] == "8"
    assert failed[""][0] == "2"
    assert len(failed) == 4
    assert ended.rows[-1][0].startswith("5 of 9 tokens accepted, 4 failed, 0 not sent")
    assert bed.simulator.accepted_tokens() == [GOOD[number] for number in (0, 1, 3, 5, 6)]


def test_json_accounts_for_every_token(bed):
    """One document, with the fields that the help promises."""
    bed.simulator.devices.bad(GOOD[2])
    ended = bed.send("--alert", "hi", "--json", *GOOD)
    shown = ended.document
    assert ended.status == shown.pop("status") == 1
    assert shown.pop("seconds") >= 0
    assert shown == {
        "accepted": 6, "error": None, "hint": None, "interrupted": False, "not_sent": [],
        "read_to_end": True, "failed": [{"token": GOOD[2], "code": 8, "reason": "Invalid token"}],
        "resent": 4, "tokens": 7, "unknown": []}


def test_what_a_shutdown_threw_away_is_sent_again(bed):
    """The gateway says which one was its last; nothing is lost and nothing sent twice."""
    bed.simulator.script(Script(shutdown_after=3), Script(shutdown_after=2))
    ended = bed.send("--alert", "hi", "--json", *GOOD)
    assert ended.status == 0
    assert ended.document["resent"] == 4 + 2
    assert bed.simulator.accepted_tokens() == GOOD


def test_a_gateway_that_recovers_gets_everything(bed):
    """Attempts that achieve nothing are repeated, after a pause."""
    bed.simulator.script(Script(status_at={1: 1}), Script(status_at={1: 1}), Script(close_after=0))
    ended = bed.send("--alert", "hi", "--json", "--retries", "3", *GOOD)
    assert ended.status == 0
    assert bed.simulator.accepted_tokens() == GOOD
    assert bed.simulator.connections == 4
    assert ended.document["resent"] == 21


def test_attempts_without_progress_come_to_an_end(bed):
    """Then all that was not sent is reported with the reason, also what had not been read yet."""
    bed.simulator.script(*[Script(status_at={1: 1})] * 20)
    name = bed.file("tokens", "\n".join(GOOD))
    ended = bed.send("--alert", "hi", "--json", "--retries", "2", "--slice", "3",
                     "--tokens-file", name)
    assert ended.status == 1
    assert bed.simulator.connections < 20
    assert bed.simulator.accepted_count == 0
    shown = ended.document
    assert [one["token"] for one in shown["not_sent"]] == GOOD
    assert set(one["reason"] for one in shown["not_sent"]) == set(["Processing error"])
    assert (shown["accepted"], shown["tokens"], shown["read_to_end"]) == (0, 7, True)


def test_without_retries_one_attempt_is_made(bed):
    """What may be sent again is reported, for a caller that does it by itself."""
    bed.simulator.script(Script(close_after=0), Script(close_after=0))
    ended = bed.send("--alert", "hi", "--retries", "0", *GOOD)
    assert ended.status == 1
    assert bed.simulator.connections == 1
    assert [row[:3] for row in ended.rows[:-1]] == [["not-sent", one, "-"] for one in GOOD]


@pytest.mark.parametrize("status, reason", [(4, "Missing payload"), (7, "Invalid payload size")])
def test_a_message_that_nobody_may_get_is_not_sent_again(bed, status, reason):
    """The gateway would reject it for every token, so nothing more is sent."""
    bed.simulator.script(*[Script(status_at={1: status})] * 20)
    ended = bed.send("--alert", "hi", "--json", "--slice", "3",
                     standard_input="\n".join(GOOD).encode("ascii"))
    assert ended.status == 1
    assert bed.simulator.accepted_count == 0
    shown = ended.document
    assert shown["error"] == reason
    assert [one["token"] for one in shown["not_sent"]] == GOOD[:len(shown["not_sent"])]
    assert set(one["code"] for one in shown["not_sent"]) == set([status])
    assert shown["accepted"] + len(shown["not_sent"]) == shown["tokens"]


def test_the_text_has_the_code_of_a_rejected_message(bed):
    """And says that the same would be rejected again."""
    bed.simulator.script(*[Script(status_at={1: 7})] * 20)
    ended = bed.send("--alert", "hi", GOOD[0])
    assert ended.status == 1
    assert ended.rows[0] == ["not-sent", GOOD[0], "7", "Invalid payload size"]
    assert "(7, Invalid payload size): unchanged, it would be rejected" in ended.err


def test_a_gateway_that_goes_away_midway_is_status_1(bed):
    """Some tokens were accepted, so it is not a failure to connect; the rest is reported."""
    bed.simulator.script(Script(shutdown_after=2), *[Script(refuse=True)] * 20)
    ended = bed.send("--alert", "hi", "--json", "--retries", "1", *GOOD)
    assert ended.status == 1
    shown = ended.document
    assert shown["accepted"] == 2
    assert [one["token"] for one in shown["not_sent"]] == GOOD[2:]
    assert shown["not_sent"][0]["reason"] == shown["error"]


def test_an_error_frame_that_comes_late_corrects_the_summary(bed):
    """What was counted as accepted, for lack of a response, and was not, is sent again."""
    bed.simulator.script(Script(hold=True))
    bed.simulator.devices.bad(GOOD[0])
    reader, writer = os.pipe()

    def give_tokens(_):
        # More than the tail timeout after the first token, the second one is read: by then the
        # silence counted as success. The third one meets the error frame.
        os.write(writer, (GOOD[0] + "\n" + GOOD[1] + "\n").encode("ascii"))
        assert bed.simulator.wait_for(lambda: bed.simulator.held == 1, 30)
        bed.simulator.wait_for(lambda: False, 0.6)
        os.write(writer, (GOOD[2] + "\n").encode("ascii"))
        bed.simulator.wait_for(lambda: False, 0.2)
        assert bed.simulator.release_held() == 1
        os.write(writer, "\n".join(GOOD[3:]).encode("ascii"))
        os.close(writer)

    ended = bed.send("--alert", "hi", "--json", "--slice", "1", "--tail-timeout", "0.3",
                     stdin=reader, meanwhile=give_tokens)
    os.close(reader)
    assert ended.status == 1
    assert [one["token"] for one in ended.document["failed"]] == [GOOD[0]]
    assert ended.document["accepted"] == 6
    assert sorted(bed.simulator.accepted_tokens()) == GOOD[1:]


# Wrong usage: status 2, nothing sent.

MISTAKES = [
    (["--address", "push_sandbax"],
     "'push_sandbax' is neither HOST:PORT nor one of push_sandbox, push_production"),
    (["--address", "host:0"], "0 is not a port; expected 1 to 65535"),
    (["--address", ":2195"], "is not host:port"),
    (["--address", "host:70000"], "70000 is not a port; expected 1 to 65535"),
    (["--address", "::1:2195"], "write an IPv6 address as [address]:port"),
    (["--badge", "many"], "--badge"),
    (["--expiry", "-1"], "is not a whole number from 0 up"),
    (["--expiry", "5000000000"], "error: --expiry is "),
    (["--priority", "256"], "error: --priority is 256"),
    (["--extra", "key"], "is not KEY=VALUE"),
    (["--extra", "=value"], "is not KEY=VALUE"),
    (["--extra", "key=NaN"], "'key=NaN' is not JSON: Out of range float values"),
    (["--extra", "key=[-Infinity]"], "is not JSON: Out of range float values"),
    (["--extra", 'key="\\ud800"'], "is not JSON: 'utf-8' codec can't encode"),
    (["--extra", "aps=1"], "aps is Apple's part of the payload; give the whole payload with "),
    (["--slice", "0"], "is not a whole number from 1 up"),
    (["--retries", "x"], "is not a whole number from 0 up"),
    (["--tail-timeout", "0"], "is not a number of seconds above 0"),
    (["--tail-timeout", "nan"], "is not a number of seconds from 0 up"),
    (["--tail-timeout", "soon"], "is not a number of seconds from 0 up"),
    (["--retry-delay", "-1"], "is not a number of seconds from 0 up"),
    (["--tokens-file", "/nonexistent/tokens"], "cannot read the tokens in '/nonexistent/tokens'"),
    (["--payload-file", "/nonexistent/x"], "cannot read the payload '/nonexistent/x'"),
    (["--tokens-file", "x", "-"], "cannot be given together"),
]


def test_wrong_usage_is_status_2(bed):
    """The message says what is wrong and what was expected."""
    assert_wrong_usage([(bed.arguments(*(["--alert", "hi"] + arguments + GOOD[:1])), complaint)
                        for arguments, complaint in MISTAKES])
    assert bed.simulator.connections == 0


def test_a_payload_that_is_no_json_object_is_status_2(bed):
    """Apple would reject it for every token."""
    assert_wrong_usage([
        (bed.arguments("--payload-file", bed.file(name, content), GOOD[0]), complaint)
        for name, content, complaint in (
            ("cut off", b"{", "is not JSON"),
            ("no text", b"\xff", "is not JSON: it is not text in UTF-8"),
            ("list", b"[1]", "is JSON, but not an object"),
            ("deep", b"[" * 200000, "nested too deeply"),
            ("NaN", b'{"aps":{"badge":NaN}}', "is not JSON: Out of range float values"))])


def test_a_binary_file_is_no_list_of_tokens(bed):
    """It is found before anything is sent."""
    name = bed.file("bin.txt", b"5f\0\x01\n" * 9)
    ended = bed.send("--alert", "hi", "--tokens-file", name)
    assert ended.status == 2
    assert ended.err == "apns: error: %r does not look like a list of tokens\n" % name


def test_tokens_are_escaped_and_cut_in_the_table(bed):
    """A line of a list must not draw on the terminal, nor add a column."""
    ended = bed.send("--alert", "hi", standard_input=b"a\tb\x1b[31m\n" + b"z" * 999 + b"\n")
    assert ended.status == 1
    assert sorted(row[1] for row in ended.rows[:2]) == ["a\\tb\\x1b[31m", "z" * 200 + "..."]


def test_a_message_of_nothing_is_status_2(bed):
    """Rather than a push that no device shows."""
    ended = bed.send(GOOD[0])
    assert ended.status == 2
    assert ended.err == ("apns: error: nothing to send: give --alert, --badge, --sound, "
                         "--content-available, --extra or --payload-file\n")
    assert bed.simulator.connections == 0


def test_payload_together_with_its_parts_is_status_2(bed):
    """It stands for the whole."""
    ended = bed.send("--payload-file", bed.file("payload", b"{}"), "--alert", "x", GOOD[0])
    assert ended.status == 2
    assert ended.err == ("apns: error: --payload-file has the whole payload; it does not go "
                         "together with --alert\n")


def test_a_payload_too_large_for_a_frame_is_status_2(bed):
    """It is found before a connection is opened."""
    name = bed.file("payload", json.dumps({"x": "y" * 66000}))
    ended = bed.send("--payload-file", name, "--json", GOOD[0])
    assert ended.status == ended.document["status"] == 2
    assert "66010" in ended.document["error"] or "65535" in ended.err.replace(" ", "")
    assert bed.simulator.connections == 0


def test_a_directory_in_place_of_the_tokens_is_status_2(bed):
    """On every Python, whether opening or reading fails."""
    ended = bed.send("--alert", "hi", "--tokens-file", str(bed.directory))
    assert ended.status == 2
    assert "Is a directory" in ended.err


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="it takes a file that opens "
                    "and then cannot be read")
def test_tokens_that_cannot_be_read_to_the_end(bed):
    """Status 1 if some had been read by then, and 2 if none had."""
    ended = bed.send("--alert", "hi", "--tokens-file", "/proc/self/mem", *(GOOD[:2] + QUIET))
    assert ended.status == 1
    assert ended.out.startswith("2 of 2 tokens accepted")
    assert ended.err == ("apns: the list of tokens was not read to its end\n"
                         "apns: error: cannot read the tokens: Input/output error\n")
    ended = bed.send("--alert", "hi", "--tokens-file", "/proc/self/mem")
    assert ended.status == 2
    assert ended.err == "apns: error: cannot read the tokens: Input/output error\n"


def test_no_tokens_on_a_terminal_is_status_2(bed):
    """The command does not sit there and wait."""
    ended = bed.send("--alert", "hi", terminal=["stdin"])
    assert ended.status == 2
    assert "no tokens: give them as arguments" in ended.err


def test_an_argument_that_is_not_text_is_status_2(bed):
    """Rather than a notification of replacement characters."""
    ended = bed.send(GOOD[0], "--alert", "\xff\xfe" if PY2 else "\udcff\udcfe")
    assert ended.status == 2
    assert "is not text" in ended.err


# No connection: status 3, one line, nothing sent.

def _assert_no_connection(ended, *complaints):
    assert ended.status == 3
    assert ended.out == ""
    assert ended.err.startswith("apns: error: ")
    assert ended.err.count("\n") == 1
    for complaint in complaints:
        assert complaint in ended.err


def test_nobody_listening_is_status_3(bed):
    """With JSON, the document accounts for the tokens all the same."""
    bed.simulator.stop()
    _assert_no_connection(bed.send("--alert", "hi", *GOOD), "%s" % bed.simulator.gateway_address[1])
    ended = bed.send("--alert", "hi", "--json", *GOOD)
    assert ended.status == ended.document["status"] == 3
    assert [one["token"] for one in ended.document["not_sent"]] == GOOD
    assert ended.document["error"] in ended.err


def test_a_host_that_says_nothing_is_status_3(bed):
    """Within the connect timeout, and with the IPv6 notation if there is IPv6."""
    bed.simulator.script(*[Script(stall_handshake=True)] * 9)
    _assert_no_connection(bed.send("--alert", "hi", "--connect-timeout", "0.3", *GOOD))


@pytest.mark.usefixtures("ipv6")
def test_an_ipv6_address_goes_in_brackets(bed):
    """As in a URL."""
    with Simulator(host="::1") as simulator:
        other = Bed(simulator, bed.directory)
        arguments = other.arguments("--alert", "hi", GOOD[0])
        arguments[arguments.index("--address") + 1] = "[::1]:%d" % simulator.gateway_address[1]
        assert apns(*(arguments + QUIET)).status == 0


def test_a_server_of_another_authority_is_status_3(bed):
    """Unless the user does not want to know who it is."""
    other = bed.file("other.pem", Simulator().ca_string)
    arguments = bed.arguments("--alert", "hi", "--ca-file", other, *GOOD)
    _assert_no_connection(apns(*arguments), "not among the trusted ones",
                          "give --ca-file with the certificate of its authority; --no-verify ")
    assert apns(*(arguments + ["--no-verify"] + QUIET)).status == 0


def test_a_certificate_that_the_server_rejects_is_status_3(bed):
    """With TLS 1.3 the client learns of it only later; the status is the same."""
    cert = bed.file("foreign.pem", bed.simulator.client_certificate(foreign=True))
    ended = bed.send("--alert", "hi", "--cert", cert, *GOOD)
    assert ended.status == 3
    assert ended.out == ""
    last = ended.err.splitlines()[-1]
    assert last.startswith("apns: error: ") and "refused our certificate" in last


def test_an_expired_certificate_is_warned_of(bed):
    """And when the server then rejects it, the error says so too."""
    cert = bed.file("expired.pem", bed.simulator.client_certificate(expired=True))
    ended = bed.send("--alert", "hi", "--cert", cert, *GOOD)
    assert ended.status == 3
    lines = ended.err.splitlines()
    assert lines[0].startswith("apns: warning: ") and "expired" in lines[0]
    assert lines[-1].startswith("apns: error: ") and "expired" in lines[-1]


def test_a_file_that_cannot_be_read_is_status_3(bed):
    """The message names what it was to be."""
    for option, complaint in (
            ("--cert", "the certificate"), ("--key", "the key"),
            ("--ca-file", "the file of authorities"), ("--passphrase-file", "--passphrase-file")):
        _assert_no_connection(bed.send("--alert", "hi", option, "/nonexistent/f", *GOOD),
                              "cannot read", complaint, "No such file")


def test_an_empty_file_is_not_an_option_that_is_missing(bed):
    """Nothing else takes its place: no key in the certificate's file, not the system's trust."""
    empty = bed.file("empty.pem", "")
    for option, what in (("--cert", "the certificate"), ("--key", "the key"),
                         ("--ca-file", "the file of authorities")):
        _assert_no_connection(bed.send("--alert", "hi", option, empty, *GOOD), what, empty,
                              "is empty")


def test_a_secret_in_place_of_the_name_of_a_file_is_not_shown(bed):
    """``--cert "$(cat push.pem)"``, or a token where a list of them was expected."""
    pem = bed.simulator.cert_string
    for option, given, secret in (
            ("--cert", pem, pem.splitlines()[-2]), ("--key", pem, pem.splitlines()[-2]),
            ("--key", "".join(pem.splitlines()[1:-1]), pem.splitlines()[-2]),
            ("--tokens-file", GOOD[0], GOOD[0])):
        for form in ([], ["--json"]):
            ended = bed.send("--alert", "hi", option, given, *form)
            assert ended.status in (2, 3)
            assert "cannot read the " in ended.err and "its name is not shown" in ended.err
            assert secret not in ended.err + ended.out


def test_garbage_in_place_of_certificates_is_status_3(bed):
    """Ours and the authority's."""
    name = bed.file("garbage.pem", "nothing\n")
    _assert_no_connection(bed.send("--alert", "hi", "--cert", name, *GOOD),
                          "--cert %s holds garbage" % name)
    _assert_no_connection(bed.send("--alert", "hi", "--ca-file", name, *GOOD),
                          "--ca-file %s cannot be used" % name)


# The passphrase.

SECRET = "correct-horse"


@pytest.fixture
def locked(bed):
    """A bed whose key is encrypted, and in a file of its own."""
    credential = bed.simulator.authority.issue("client", passphrase=SECRET)
    bed.cert = bed.file("cert-only.pem", credential.certificate_string)
    bed.key = bed.file("key-only.pem", credential.key_string)
    return bed


def test_the_passphrase_comes_from_a_file_or_the_environment(locked):
    """Never from an argument, where everybody sees it."""
    locked.file("right", SECRET + "\r\nanother line\n")
    arguments = locked.arguments("--key", locked.key, "--alert", "hi", GOOD[0], *QUIET)
    assert apns(*arguments, env=environment(APNS_PASSPHRASE=SECRET)).status == 0
    from_file = arguments + ["--passphrase-file", str(locked.directory / "right")]
    assert apns(*from_file, env=environment(APNS_PASSPHRASE="wrong")).status == 0
    assert "--passphrase " not in apns("send", "--help").out


def test_the_passphrase_may_come_out_of_any_editor(locked):
    """With a mark in front, in UTF-16 of either byte order, and any line ends."""
    arguments = locked.arguments("--key", locked.key, "--alert", "hi", GOOD[0], *QUIET)
    mark = u"\ufeff" + SECRET
    for content in (mark + u"\n", mark, (mark + u"\r\nnext").encode("utf-16-le"),
                    mark.encode("utf-16-be"), (mark + u"\r").encode("utf-16-be"),
                    SECRET + "\rnext\r"):
        name = locked.file("right", content if isinstance(content, bytes)
                           else content.encode("utf-8"))
        assert apns(*(arguments + ["--passphrase-file", name])).status == 0


def test_a_wrong_or_missing_passphrase_is_status_3_and_stays_secret(locked):
    """Neither what was given nor the key is in the output."""
    arguments = locked.arguments("--key", locked.key, "--alert", "hi", GOOD[0])
    wrong = apns(*arguments, env=environment(APNS_PASSPHRASE="wrong-secret"))
    _assert_no_connection(wrong, "passphrase")
    assert "wrong-secret" not in wrong.err
    _assert_no_connection(apns(*arguments), "the key is encrypted: give --passphrase-file")
    mistaken = apns(*(arguments + ["--passphrase", SECRET]))
    assert mistaken.status in (2, 3)
    assert SECRET not in mistaken.err + mistaken.out
    for ended in (wrong, mistaken):
        assert "PRIVATE" not in ended.err + ended.out


def test_an_empty_passphrase_file_is_said(locked):
    """Rather than that no passphrase was given."""
    arguments = locked.arguments("--key", locked.key, "--alert", "hi", GOOD[0])
    _assert_no_connection(apns(*(arguments + ["--passphrase-file", locked.file("empty", "")])),
                          "the first line of the file of --passphrase-file is empty")


def test_errors_of_the_credential_name_options_and_files(bed):
    """And not the parameters of the library."""
    key = bed.file("garbage.pem", "garbage")
    ended = bed.send("--alert", "hi", "--key", key, *GOOD)
    _assert_no_connection(ended, "--key %s holds no private key" % key, "; give it with --key, or ")
    assert "_string" not in ended.err
