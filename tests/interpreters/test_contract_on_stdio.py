"""The default back-end keeps the contract of back-ends, each rule of it, on every interpreter."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.contract import BackendContract
from contract_support import PASSED, RULES, verdicts


class TestStdio(BackendContract):
    """The default back-end keeps every rule."""

    backend = "apnsclient.backends.stdio"


def test_the_default_back_end_leaves_no_rule_out():
    """All of them apply to it, where there is fork()."""
    names = [name for name in RULES if RULES[name] in ("locks", "alpn", "closing", "trust")]
    found, _ = verdicts(TestStdio, names)

    assert set(found.values()) == {PASSED}
