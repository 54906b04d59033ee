"""``apns`` as a process, on each interpreter: both protocols, from the arguments to the status."""

from __future__ import absolute_import, division, print_function

import pytest

from cli_processes import apns_process


@pytest.mark.parametrize("arguments, accepted", [([], 57), (["--http2"], 56)],
                         ids=["binary", "http2"])
def test_the_demonstration_succeeds(arguments, accepted):
    """Status 0, the count that the simulator has, and nothing on standard error."""
    ended = apns_process("demo", "--tokens", "60", *arguments)
    assert (ended.status, ended.err) == (0, "")
    assert "The simulator accepted %d notifications" % accepted in ended.out
