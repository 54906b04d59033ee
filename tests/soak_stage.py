"""What a lane of the soak test sends to: a simulator, and before it a proxy with one fault."""

from __future__ import absolute_import, division, print_function

import re
from collections import Counter

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.tls import ChaosTLS
from apnsclient.testing.simulator import Simulator
from soak_faults import FAULTS
from soak_verdict import Violation

__all__ = ["Stage", "sample"]

#: Seconds for connections to come to their end once the client is shut down.
SETTLE = 60.0

#: Seconds for which a connection that the simulator ends is read from. A reset would take back what
#: was said last, and a loaded machine needs its time until everybody has heard it.
LINGER = 30.0

TAG = re.compile(br'"alert":"([^"]*)"')


class Stage(object):
    """Simulator and proxy of one lane; they last for the whole run.

    :param spec: what the lane is about (``Spec``).
    :param seed: what the proxy's random numbers come from.
    :param authority: issues all certificates (``Authority``).

    :ivar simulator: records what has come.
    :ivar proxy: has the fault.
    :ivar address: where a client connects to: ``(host, port)`` of the proxy.
    """

    def __init__(self, spec, seed, authority):
        self._spec = spec
        self._fault = FAULTS[spec.fault]
        self._seed = seed
        self._authority = authority

    def start(self):
        """Start both."""
        self.simulator = Simulator(authority=self._authority, linger=LINGER).start()
        is_binary = self._spec.protocol == "binary"
        options = {}
        if self._spec.is_terminated:
            options = {"tls": ChaosTLS.from_authority(self._authority),
                       "protocol": "apns" if is_binary else "http2"}
        self.proxy = ChaosProxy(
            self.simulator.gateway_address if is_binary else self.simulator.provider_address,
            seed=self._seed, record=5, **options).start()
        self.address = self.proxy.address

    def stop(self):
        """Stop both."""
        self.proxy.stop()
        self.simulator.stop()

    def inject(self, dice, number, existing):
        """Switch the fault on, with what the dice say.

        :param number: of the setting (int): each has another direction than the one before.
        :param existing: whether connections that are open have it as well (bool).
        """
        options = dict(self._fault.options(dice))
        if self._fault.directions:
            options["direction"] = self._fault.directions[number % len(self._fault.directions)]
        if self._spec.fault == "transient":
            # It counts from the first connection that ever got it.
            options["connections"] += self.proxy.plan.drawn.get("transient", 0)
        self.proxy.configure(self._spec.fault, **options)
        percent = dice.choice((100, 100, 60, 30))
        self.proxy.set_behavior("%d:%s" % (percent, self._spec.fault), existing=existing)

    def heal(self):
        """Switch the fault off."""
        self.proxy.set_behavior("", existing=True)

    def settle(self):
        """Wait until no connection is open; return violations."""
        simulator = self.simulator
        is_over = self.proxy.wait_for(lambda: self.proxy.open_connections == 0, SETTLE)
        is_over = is_over and simulator.wait_for(
            lambda: not (simulator.open_connections or simulator.open_provider_connections), SETTLE)
        return [] if is_over else [Violation("all connections come to their end", "%d are open" % (
            self.proxy.open_connections))]

    def take_record(self):
        """Return how often each ``(tag, token)`` was accepted (Counter), and forget it."""
        record = Counter()
        for one in self.simulator.accepted:
            found = TAG.search(one.payload)
            record[found.group(1).decode("ascii") if found else repr(one.payload), one.token] += 1
        self.simulator.forget()
        return record


def sample(dice, values, count):
    """Return so many of a list, no one twice."""
    values, found = list(values), []
    for _ in range(count):
        found.append(values.pop(dice.randint(0, len(values) - 1)))
    return found
