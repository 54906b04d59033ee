"""``apns feedback``: rows as they come, in two forms, and the exit statuses."""

from __future__ import absolute_import, division, print_function

import json

import pytest

from apnsclient.testing.simulator import FeedbackScript
from cli_support import Bed, apns, environment, token, unread_pipe

#: 2014-01-02 03:04:05 UTC
WHEN = 1388631845


@pytest.fixture
def bed(simulator, tmp_path):
    return Bed(simulator, tmp_path)


def _arguments(bed, *more):
    return ["feedback", "--address", "%s:%d" % bed.simulator.feedback_address,
            "--ca-file", bed.ca, "--cert", bed.cert] + list(more)


def test_rows_are_token_tab_time_in_utc(bed):
    """Whatever the time zone of the machine is. Reading clears the list."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN + 1)
    ended = apns(*_arguments(bed), env=environment(TZ="Asia/Kolkata"))
    assert (ended.status, ended.err) == (0, "")
    assert ended.rows == [[token(1), "2014-01-02T03:04:05Z"], [token(2), "2014-01-02T03:04:06Z"]]
    again = apns(*_arguments(bed))
    assert (again.status, again.out, again.err) == (0, "", "")


def test_json_is_one_object_a_line(bed):
    """So that a reader need not wait for the end."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), 0xFFFFFFFF)
    ended = apns(*_arguments(bed, "--json"))
    assert ended.status == 0
    assert [json.loads(line) for line in ended.out.splitlines()] == [
        {"token": token(1), "time": "2014-01-02T03:04:05Z", "timestamp": WHEN},
        {"token": token(2), "time": "2106-02-07T06:28:15Z", "timestamp": 0xFFFFFFFF}]


def test_each_row_is_written_at_once_and_ctrl_c_is_status_130(bed):
    """A service that stalls after the first row does not hold that row back.

    Without the flush nothing comes before the service is given up. The end is one line, without a
    traceback.
    """
    lines = []

    def read_and_interrupt(running):
        lines.append(running.output.readline())
        running.interrupt_until_ended()

    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN)
    bed.simulator.script_feedback(FeedbackScript(stall_after=40))
    ended = apns(*_arguments(bed, "--read-timeout", "600"), meanwhile=read_and_interrupt)
    assert lines == ["%s\t2014-01-02T03:04:05Z\n" % token(1)]
    assert (ended.status, ended.out, ended.err) == (130, "", "apns: error: interrupted\n")


@pytest.mark.parametrize("ending", ["stall_after", "close_after", "reset_after"])
def test_a_list_that_is_not_read_to_its_end_is_status_1(bed, ending):
    """What was read is printed; a script must be able to tell that there is more."""
    bed.simulator.devices.uninstall(token(1), WHEN)
    bed.simulator.devices.uninstall(token(2), WHEN)
    bed.simulator.script_feedback(FeedbackScript(**{ending: 40}))
    ended = apns(*_arguments(bed, "--read-timeout", "0.3"))
    assert ended.status == 1
    if ending != "reset_after":  # A reset may overtake what was sent before it.
        assert ended.rows == [[token(1), "2014-01-02T03:04:05Z"]]
    lines = ended.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("apns: warning: ")
    assert lines[1] == ("apns: error: the list was not read to its end; "
                        "the rest is reported the next time")


def test_a_reader_that_goes_away_ends_it_quietly(bed):
    """As in ``apns feedback | head``; what was not read stays with the service."""
    for number in range(1, 2001):
        bed.simulator.devices.uninstall(token(number), WHEN)
    with unread_pipe() as writer:
        ended = apns(*_arguments(bed), stdout=writer)
    assert (ended.status, ended.err) == (141, "")


def test_an_unknown_address_is_status_2(bed):
    """The message lists the known ones."""
    arguments = _arguments(bed)
    arguments[2] = "feedback_sandbax"
    ended = apns(*arguments)
    assert ended.status == 2
    assert "neither HOST:PORT nor one of feedback_sandbox, feedback_production, " in ended.err


def test_no_connection_is_status_3(bed):
    """Nobody listens; or the service rejects the certificate."""
    foreign = bed.file("foreign.pem", bed.simulator.client_certificate(foreign=True))
    ended = apns(*_arguments(bed, "--cert", foreign))
    assert ended.status == 3
    assert "refused our certificate" in ended.err
    bed.simulator.stop()
    ended = apns(*_arguments(bed))
    assert ended.status == 3
    assert ended.err.startswith("apns: error: ")
    assert ended.err.count("\n") == 1


def test_the_prompt_is_not_shown_to_a_pipe(bed):
    """An encrypted key without a passphrase is status 3 there."""
    credential = bed.simulator.authority.issue("client", passphrase="secret")
    cert = bed.file("locked.pem", credential.pem)
    ended = apns(*_arguments(bed, "--cert", cert))
    assert ended.status == 3
    assert "the key is encrypted" in ended.err
