"""The client under every fault of the chaos proxy, for a few seconds; ``soak.py`` does it for long.

What is proven here is said in ``soak_verdict.py``.
"""

from __future__ import absolute_import, division, print_function

import re

import pytest

import soak
from soak_lane import Load

pytestmark = pytest.mark.timeout(300)

#: The same faults each time.
SEED = 20210331


def test_every_token_has_the_outcome_that_the_record_bears_out():
    """Through each fault, over both protocols, with and without TLS that ends at the proxy."""
    trial = soak.Soak(SEED, load=Load(tokens=100, legs=2, tail=30.0, patience=2.0))

    trial.run(seconds=0)

    assert not trial.violations, trial.complaints()
    total = soak.total_of(trial.figures)
    assert total["losses"] == 0 and total["faults"] > 100, trial.table()
    assert all(total[name] for name in ("accepted", "failed", "unknown", "unprocessed", "resent"))


def test_a_run_that_finds_something_says_how_to_replay_it(capsys, monkeypatch):
    """A client that loses tokens ends the program with status 1, and a command to see it again."""
    from apnsclient import Result

    monkeypatch.setattr(Result, "retry", lambda self: None)

    arguments = ["--seconds", "0", "--seed", "7", "--only", "http2+tls/reset", "--tokens", "50"]
    status = soak.main(arguments)
    output = capsys.readouterr()[0]

    assert status == 1
    command = re.search(r"^replay: python tests/soak.py (--seed 7 --only http2\+tls/reset .*)$",
                        output, re.M)
    assert soak.main(command.group(1).split()) == 1


def test_the_program_tells_its_options(capsys):
    """``--help`` is there for whoever is told to replay something."""
    with pytest.raises(SystemExit) as ended:
        soak.main(["--help"])

    assert ended.value.code == 0
    output = capsys.readouterr()[0]
    assert all("--" + name in output for name in ("seconds", "seed", "protocol", "backend", "only"))
