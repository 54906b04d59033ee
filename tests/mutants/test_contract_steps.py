"""The documentation's back-end goes from red to green as the page says.

The page (docs/extending.rst, "A back-end from scratch") shows it in steps, and names the rules that
pass after each of them. Each step is run here: exactly those pass.
"""

from __future__ import absolute_import, division, print_function

import select

import pytest

from contract_support import (
    PASSED,
    RULES,
    SKIPPED,
    documented_steps,
    example_steps,
    load_example,
    new_case,
    verdicts,
    with_verdict,
)

pytestmark = [
    pytest.mark.timeout(240),
    # Before it is finished, the back-end leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed"),
    pytest.mark.skipif(not hasattr(select, "poll"), reason="this system has no poll()"),
]

STEPS = range(len(example_steps()))


@pytest.mark.parametrize("step", STEPS[:-1])
def test_after_a_step_the_named_rules_pass_and_no_others(step):
    """What the page claims of an unfinished back-end is what the suite says."""
    named = documented_steps()[step]
    found, messages = verdicts(
        new_case(load_example(example_steps()[step]).Backend), hasty=set(RULES) - named)
    passed = with_verdict(found, PASSED)
    skipped = with_verdict(found, SKIPPED)
    named -= skipped

    attempts = set(name for name in RULES if RULES[name] == "connecting")
    assert sorted(RULES[name] for name in skipped - attempts) == ["closing", "pool", "trust"]
    assert attempts <= skipped
    assert not named - passed, {name: messages.get(name) for name in named - passed}
    assert not passed - named, "these pass and are not named: %s" % sorted(passed - named)


def test_each_step_adds_to_the_one_before():
    """No step turns a rule red again, and none is there for nothing."""
    steps = documented_steps()

    assert len(steps) == len(STEPS) - 1
    for before, after in zip(steps, steps[1:]):
        assert before < after
    assert steps[-1] < set(RULES)
