"""The default back-end keeps the contract of back-ends, each rule of it, on every interpreter."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.contract import BackendContract
from contract_support import PASSED, verdicts


class TestStdio(BackendContract):
    """The default back-end keeps every rule."""

    backend = "apnsclient.backends.stdio"


def test_the_default_back_end_leaves_no_rule_out():
    """Of each kind that may not apply to a back-end one does, so that none was skipped above."""
    kinds = ["alpn: a_server_that_chooses_none_is_no_failure",
             "detection: closed_tells_that_the_peer_has_hung_up",
             "sharing: a_wake_ends_a_wait",
             "switch: verification_can_be_switched_off",
             "fork: a_child_starts_with_an_empty_pool",
             "getaddrinfo(): the_name_is_looked_up_for_each_connection"]
    found, _ = verdicts(TestStdio, ["test_" + kind.partition(": ")[2] for kind in kinds])

    assert set(found.values()) == {PASSED}, found
