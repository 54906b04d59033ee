"""A program that ends while its simulator runs."""

from __future__ import absolute_import, division, print_function

import os

import pytest

PROGRAM = """
import atexit, sys, threading, warnings
# The test's own client is left open.
warnings.filterwarnings("ignore", "unclosed")
# Registered first, it runs last.
atexit.register(lambda: sys.stdout.write("%d thread" % threading.active_count()))
sys.path.insert(0, sys.argv[1])
from apnsclient.testing.simulator import Simulator
from simulator_client import gateway_client
apns = Simulator().start()
client = gateway_client(apns)
"""


@pytest.mark.parametrize("end", ["", "del apns", "sys.exit(0)"])
def test_an_interpreter_exits_in_silence_though_nobody_stopped_it(scripts, end):
    """The thread neither keeps the interpreter alive nor complains: it is stopped before."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    assert scripts.run_well(PROGRAM + end, tests) == "1 thread"
