"""``apns`` as a process, on each interpreter: both protocols, from the arguments to the status."""

from __future__ import absolute_import, division, print_function

import pytest

from cli_processes import apns_process


@pytest.mark.parametrize("protocol, more", [
    ("binary", ["--tail-timeout", "1", "--seed", "206"]), ("http2", ["--http2"])])
def test_the_demonstration_agrees_with_the_record(protocol, more):
    """Status 0, one document on standard output, and nothing on standard error."""
    ended = apns_process("demo", "--json", "--tokens", "60", *more)
    assert (ended.status, ended.err) == (0, "")
    shown = ended.document
    assert (shown["protocol"], shown["agrees"]) == (protocol, True)
    assert shown["accepted"] + len(shown["failed"]) == 60
