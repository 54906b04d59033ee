"""The client under every fault of the chaos proxy, for a few seconds; ``soak.py`` does it for long.

What is proven here is said in ``soak_verdict.py``.
"""

from __future__ import absolute_import, division, print_function

import ctypes
import re
import sys

import pytest

import soak
from modern import IS_MODERN
from soak_lane import Load

pytestmark = pytest.mark.timeout(300)

#: The same faults each time.
SEED = 20210331


def test_every_token_has_the_outcome_that_the_record_bears_out():
    """Through each fault, by both clients, with and without TLS that ends at the proxy."""
    trial = soak.Soak(SEED, load=Load(tokens=50, legs=2, tail=8.0, patience=2.0))

    trial.run(seconds=0)

    assert not trial.violations, trial.complaints()
    total = soak.total_of(trial.figures)
    assert total["losses"] == 0 and total["faults"] > 30, trial.table()
    assert all(total[name] for name in ("accepted", "failed", "unknown", "unprocessed", "resent"))


def deny_results(monkeypatch):
    """Have the synchronous client say that nothing was processed."""
    from apnsclient import Result

    monkeypatch.setattr(Result, "retry", lambda self: self.message)


def deny_outcomes(monkeypatch):
    """The same of the asynchronous client."""
    from dataclasses import replace

    from apnsclient.aio import Kind, client

    make = client.outcome_of
    monkeypatch.setattr(client, "outcome_of", lambda *given: replace(
        make(*given), kind=Kind.unprocessed, error=True, explanation="denied"))


@pytest.mark.parametrize("lane, change", [("http2+tls/reset", deny_results)] + [
    ("aio+tls/reset", deny_outcomes)] * IS_MODERN)
def test_a_run_that_finds_something_says_how_to_replay_it(capsys, monkeypatch, lane, change):
    """A client that does not say the truth ends the program with status 1, and a command to see it
    again."""
    change(monkeypatch)

    arguments = ["--seconds", "0", "--seed", "7", "--only", lane, "--tokens", "50"]
    status = soak.main(arguments)
    output = capsys.readouterr()[0]

    assert status == 1
    command = re.search(r"^replay: python tests/soak.py (--seed 7 --only %s .*)$" % re.escape(lane),
                        output, re.M)
    assert soak.main(command.group(1).split()) == 1


def grow(leak):
    """Return what is said of a process that ``leak()`` has made grow: the names of GROWTH."""
    trial = soak.Soak(SEED, only="http2/dummy")
    trial.memory = [soak.size(), soak.size()]
    kept = leak()
    trial.memory.append(soak.size())
    trial.judge_growth()
    assert len(kept) > 1
    return [violation.text.split(":")[0] for _, _, violation in trial.violations]


def test_memory_that_stays_the_same_is_no_leak():
    """Nor is what may vary from round to round."""
    assert grow(lambda: [bytearray(50) for _ in range(1000)]) == []


@pytest.mark.skipif(not soak.in_use(), reason="the allocator does not tell")
def test_memory_that_python_does_not_know_of_counts():
    """What OpenSSL forgets to free is no object of Python's."""
    system = ctypes.CDLL(None)
    system.malloc.restype, system.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    system.free.argtypes = [ctypes.c_void_p]
    blocks = []
    try:
        assert grow(lambda: blocks.extend(system.malloc(10000) for _ in range(1000)) or blocks) == [
            "megabytes in use"]
    finally:
        for block in blocks:
            system.free(block)


@pytest.mark.skipif(not hasattr(sys, "getallocatedblocks"), reason="Python does not count them")
def test_objects_that_the_collector_does_not_know_of_count():
    """Tokens that pile up are strings, which the garbage collector has nothing to do with."""
    assert grow(lambda: ["%064x" % number for number in range(6000)]) == ["blocks"]


def test_the_program_tells_its_options(capsys):
    """``--help`` is there for whoever is told to replay something."""
    with pytest.raises(SystemExit) as ended:
        soak.main(["--help"])

    assert ended.value.code == 0
    output = capsys.readouterr()[0]
    assert all("--" + name in output for name in ("seconds", "seed", "protocol", "backend", "only"))
