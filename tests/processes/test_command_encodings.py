"""``apns`` as a process: what arguments and outputs are encoded in."""

from __future__ import absolute_import, division, print_function

import json

import six

from cli_processes import apns_process, command, environment, finish, running
from cli_support import QUIET, Bed, token
from net_support import await_accepted

#: UTF-8 for file names and arguments.
UTF8 = {"LC_ALL": "C.UTF-8"}


def test_an_argument_in_another_language_arrives(simulator, tmp_path):
    """As it was typed, in the payload."""
    bed = Bed(simulator, tmp_path)
    alert = six.ensure_str(u"Gr\u00fc\u00dfe", "utf-8")
    ended = apns_process(*bed.arguments("--alert", alert, token(1), *QUIET),
                         env=environment(**UTF8))
    assert (ended.status, ended.err) == (0, "")
    await_accepted(simulator, 1)
    assert json.loads(simulator.accepted[0].payload.decode("utf-8")) == {
        "aps": {"alert": u"Gr\u00fc\u00dfe"}}


def test_an_argument_that_is_not_text_is_status_2():
    """Rather than a notification of replacement characters."""
    with running(command("send", "--alert") + [b"\xff\xfe"], env=environment(**UTF8)) as process:
        ended = finish(process)
    assert ended.status == 2
    assert "is not text" in ended.err


def test_an_error_is_one_line_without_a_traceback():
    """Also when its text is not ASCII and the output knows only ASCII."""
    name = six.ensure_str(u"schl\u00fcssel.pem", "utf-8")
    ended = apns_process("send", "--address", "localhost:1", "--cert", name, "--alert", "x", "5f",
                         env=environment(PYTHONIOENCODING="ascii", **UTF8))
    assert ended.status == 3
    assert ended.err.startswith("apns: error: cannot read the certificate ")
    assert ended.err.count("\n") == 1
