"""The contract of back-ends as a suite: who keeps it, how it is run, and what it says.

``interpreters`` holds the default back-end to it, ``test_contract_gevent`` the green one, and
``mutants`` proves that each rule can fail.
"""

from __future__ import absolute_import, division, print_function

import os
import select
import sys
import threading
import unittest

import pytest
import six

from apnsclient._compat import monotonic
from apnsclient.backends import dummy, stdio
from apnsclient.errors import ConnectTimeout
from apnsclient.testing import contract
from apnsclient.testing.contract import BackendContract
from apnsclient.testing.contract._drip import Drip, try_longer
from apnsclient.testing.contract._stage import SHORT, Stage
from contract_support import (
    PASSED,
    RULES,
    SKIPPED,
    example_steps,
    load_example,
    new_case,
    verdicts,
)
from net_support import SOON

HERE = os.path.dirname(os.path.abspath(__file__))


class TestDummy(BackendContract):
    """The back-end without a network keeps those that need none."""

    backend = "apnsclient.backends.dummy"
    options = {"push": []}
    has_network = False


@pytest.mark.skipif(not hasattr(select, "poll"), reason="this system has no poll()")
class TestExample(BackendContract):
    """The documentation's back-end keeps every rule; it has no switch for verification."""

    unverified = None

    @staticmethod
    def backend(**options):
        return load_example(example_steps()[-1]).Backend(**options)


def test_what_does_not_apply_is_reported_as_skipped():
    """A rule that is left out is seen to be: it does not count as kept."""
    found, _ = verdicts(TestDummy)

    assert sorted(name for name in RULES if found[name] == PASSED) == sorted(
        name for name in RULES if not is_left_out(name))
    assert set(found.values()) == {PASSED, SKIPPED}


def test_a_machine_that_needs_all_of_the_time_for_the_name_breaks_no_rule():
    """Then nobody has come to the server that drips: it is tried again with more time."""
    class Slow(stdio.Backend):
        def get_new_connection(self, address, certificate, timeout=None, alpn=()):
            if timeout == SHORT:
                raise ConnectTimeout("the name was not looked up in time")
            return super(Slow, self).get_new_connection(address, certificate, timeout, alpn)

    name = "test_a_server_that_drips_is_given_up_in_time"
    assert verdicts(new_case(Slow), [name], [name], SOON) == ({name: PASSED}, {})


def test_a_call_whose_peer_was_too_slow_is_repeated_with_more_time():
    """It says nothing of the back-end, as it may have ended by accident."""
    timeouts = []

    def attempt(timeout):
        timeouts.append(timeout)
        begun = threading.Event()
        # With little time nothing happens.
        with Drip(stage, lambda: timeout > 1 and (begun.set() or True), 0.001) as drip:
            assert timeout < 1 or begun.wait(SOON)
        return drip.was_fast_enough(timeout)

    with Stage(TestDummy()) as stage:
        try_longer(stage, attempt, 0.75 * SOON)
        assert timeouts == [0.75 * SOON]
        stage.patience = SHORT
        try_longer(stage, attempt, SHORT / 4)
        assert timeouts[1:] == [SHORT / 4, SHORT / 2]


def is_left_out(name):
    """Return True if a rule is for back-ends that have what the one without a network has not."""
    with pytest.raises(Exception) as caught:
        getattr(NoNetwork(), name)()
    return type(caught.value).__name__ in ("SkipTest", "Skipped")


class NoNetwork(BackendContract):
    """Has no network, and breaks each rule that it is asked for."""

    has_network = False

    class backend(object):
        can_share = False


def test_unittest_runs_it():
    """With unittest as a second base it is a test case, and what does not apply is skipped."""
    class Case(BackendContract, unittest.TestCase):
        backend = "apnsclient.backends.dummy"
        options = {"push": []}
        has_network = False

    outcome, output = run_unittest(Case)
    assert outcome.wasSuccessful(), output
    assert outcome.testsRun == len(RULES) and outcome.skipped, output


def test_unittest_reports_a_broken_rule():
    """With the name of the rule and what to mend."""
    class Backend(dummy.Backend):
        def create_lock(self):
            return threading.Lock()

    class Case(BackendContract, unittest.TestCase):
        backend = Backend
        options = {"push": []}
        has_network = False

    outcome, output = run_unittest(Case)
    assert len(outcome.failures) == 1 and not outcome.errors, output
    assert "FAIL: test_a_lock_is_reentrant" in output and "a lock that is not reentrant" in output


def run_unittest(case):
    """Run a test case with unittest; return its outcome, and what it wrote."""
    stream = six.StringIO()
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return unittest.TextTestRunner(stream).run(tests), stream.getvalue()


def test_a_rule_that_hangs_is_given_up():
    """It fails and says where it stands, and the run goes on."""
    is_over = threading.Event()

    class Backend(stdio.Backend):
        def get_certificate(self, cert_params):
            is_over.wait(60)

    class Case(BackendContract):
        backend = Backend

    for limit in (0.2, 2, SOON / 2.0):
        case = Case()
        case.hang_limit = limit
        with pytest.raises(AssertionError) as caught:
            case.test_an_expired_certificate_is_loaded()
        if "in get_certificate" in str(caught.value):
            break  # Otherwise the machine was too slow to come as far.
    is_over.set()

    assert "hang_limit" in str(caught.value) and "in get_certificate" in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_what_a_forked_child_does_wrong_is_told():
    """A failure with its traceback; a child that hangs is killed."""
    with Stage(TestDummy()) as stage:
        with pytest.raises(AssertionError, match="(?s)in the forked child:.*ZeroDivisionError"):
            stage.in_child(lambda: 1 // 0)
        stage.patience, begin = SHORT, monotonic()
        with pytest.raises(AssertionError, match="the forked child hangs"):
            stage.in_child(lambda: threading.Event().wait(SOON))
        assert monotonic() - begin < SOON / 2


def test_what_goes_wrong_beside_a_rule_is_told():
    """What a peer raises, and one that does not come to its end."""
    over = threading.Event()
    with Stage(TestDummy()) as stage:
        with pytest.raises(ZeroDivisionError):
            stage.aside(lambda: 1 // 0).result()
        stage.patience = SHORT
        with pytest.raises(AssertionError, match="beside the back-end has not ended"):
            stage.aside(lambda: over.wait(SOON)).result()
        with pytest.raises(AssertionError, match="no connection has come to the server within"):
            stage.plain_server().peer()
    over.set()


@pytest.mark.parametrize("method", ["read", "write"])
def test_a_call_that_ends_before_it_can_is_told(method):
    """One that only fills a buffer of its own, say: what it returned, and what it has to do."""
    class Backend(stdio.Backend):
        def get_new_connection(self, *arguments, **options):
            connection = super(Backend, self).get_new_connection(*arguments, **options)
            setattr(connection, method, lambda *arguments: None)
            return connection

    class Case(BackendContract):
        backend = Backend

    with pytest.raises(AssertionError) as caught:
        getattr(Case(), "test_a_%s_ends_when_its_time_is_over" % method)()
    assert str(caught.value) == (
        "%s() with a timeout of 0.15 s returned None before its peer had sent, or taken, what that "
        "needs; it has to raise a timeout" % method)


@pytest.mark.parametrize("backend", [
    "apnsclient.backends.stdio", stdio.Backend, lambda **options: stdio.Backend(**options),
    staticmethod(lambda **options: stdio.Backend(**options)),
    classmethod(lambda cls, **options: stdio.Backend(**options))])
def test_a_back_end_is_named_in_three_ways(backend):
    """A module, a class, or a function."""
    case = type(str("Case"), (BackendContract,), {"backend": backend})

    assert isinstance(case().new_backend(pool_size=3), stdio.Backend)
    assert case().new_backend(pool_size=3).pool_size == 3


def test_a_suite_without_a_back_end_says_so():
    """Whoever forgets to name it is told."""
    with pytest.raises(TypeError, match="expected the name of a module"):
        BackendContract().new_backend()


def test_each_rule_explains_itself():
    """Its docstring is the documentation; its name fits a report."""
    for name in RULES:
        text = getattr(BackendContract, name).__doc__
        assert text and text.split("\n")[0].rstrip().endswith((".", ":", ",")) or "\n" in text, name
        assert len(name) < 80
    assert len(RULES) >= 50


def test_the_subjects_are_those_of_the_reference():
    """docs/reference.rst shows each class of rules, and there are no others."""
    with open(os.path.join(HERE, os.pardir, "docs", "reference.rst")) as stream:
        text = stream.read()
    bases = [base for base in BackendContract.__mro__ if base.__name__.endswith("Rules")
             and base.__name__ != "Rules"]
    assert len(bases) == len(set(RULES.values()))
    for base in bases:
        assert ".. autoclass:: %s\n" % base.__name__ in text
        assert base.__name__ in contract.__all__
    assert sys.modules[bases[0].__module__].__doc__
