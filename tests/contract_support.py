"""Runs the contract of back-ends rule by rule, and makes back-ends of the documentation's text."""

from __future__ import absolute_import, division, print_function

import collections
import os
import re
import types
import unittest

from apnsclient.testing.contract import BackendContract
from docs_support import find_blocks, read_files, read_page

PAGE = "docs/extending.rst"

#: Whether all rules are tried on each mutant.
IS_WHOLE = os.environ.get("CONTRACT_MUTANTS") == "whole"
#: Seconds that a rule waits for a mutant that should break it; enough for one that does not.
PATIENCE = 3.0

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def subject_of(name, case=BackendContract):
    """Return the subject that a rule belongs to: the name of its module (str)."""
    return getattr(case, name).__module__.rpartition(".")[2]


#: Subject of each rule, by the rule's name, in order.
RULES = collections.OrderedDict(sorted(
    ((name, subject_of(name)) for name in dir(BackendContract) if name.startswith("test_")),
    key=lambda item: (item[1], item[0])))


def verdicts(case, names=None, hasty=(), patience=1.2):
    """Run rules, all by default; return the verdicts and the messages of failures, by name.

    :param case: class of the suite.
    :param hasty: rules that are expected to fail, for which nobody waits long.
    :param patience: how long, in seconds.
    """
    found, messages = {}, {}
    for name in RULES if names is None else names:
        suite = case()
        if name in hasty:
            suite.patience, suite.hang_limit = patience, max(5.0, 2.5 * patience)
        try:
            getattr(suite, name)()
            found[name] = PASSED
        except unittest.SkipTest:
            found[name] = SKIPPED
        except Exception as error:
            found[name] = FAILED
            messages[name] = "%s: %s" % (type(error).__name__, error)
    return found, messages


def with_verdict(found, verdict):
    """Return the names of the rules that have a verdict (set)."""
    return set(name for name, each in found.items() if each == verdict)


def new_case(made_of, unverified=None):
    """Return the suite for a back-end."""
    return type(str("Case"), (BackendContract,), {"backend": made_of, "unverified": unverified})


def example_steps():
    """Return the text of the documentation's back-end after each step, in order (list)."""
    blocks = [block for block in find_blocks(read_page(PAGE))
              if block.filename == "sslbackend.py"]
    return [read_files(blocks[:count + 1])["sslbackend.py"] for count in range(len(blocks))]


#: Python 2.7 empties modules that nobody holds.
_loaded = []


def load_example(text, name="sslbackend"):
    """Return the module that a text is, without putting it anywhere."""
    module = types.ModuleType(str(name))
    _loaded.append(module)
    exec(compile(text.replace(u"# -*- coding: utf-8 -*-", u"#"), name + ".py", "exec"),
         module.__dict__)
    return module


def documented_steps():
    """Return the set of rules that the page says are green after each step (list)."""
    steps = []
    for caption, body in re.findall(
            u"^    :caption: green after step (\\d+)\n((?:\n|    .*\n)+)", read_page(PAGE), re.M):
        assert int(caption) == len(steps) + 1
        steps.append(read_rules(re.sub(u"\\s*\n {6,}", u" ", body)))
    return steps


def read_rules(text):
    """Return the rules that lines name: ``subject: all``, ``all but a, b``, or ``a, b``."""
    rules = set()
    for line in text.split("\n"):
        subject, colon, rest = line.strip().partition(":")
        if not colon:
            continue
        every = set(name for name in RULES if RULES[name] == subject)
        word, _, names = rest.strip().partition(" but ")
        listed = set("test_" + one.strip() for one in (names or rest).split(",")
                     if one.strip() != "all")
        assert every and listed <= every, "%s: %s" % (subject, sorted(listed - every))
        rules |= every - listed if word == "all" else listed
    return rules


def expect_broken(case, rules, patience=PATIENCE):
    """Run the suite over a mutant: these rules fail, and no others."""
    expected = set("test_" + rule for rule in rules)
    assert expected and expected <= set(RULES)
    subjects = set(RULES[name] for name in expected)
    names = [name for name in RULES if IS_WHOLE or RULES[name] in subjects]
    found, messages = verdicts(case, names, expected, patience)
    failed = with_verdict(found, FAILED)
    assert not expected - failed, "these rules notice nothing: %s" % sorted(expected - failed)
    assert not failed - expected, "other rules fail: %s" % {
        name: messages[name] for name in failed - expected}
