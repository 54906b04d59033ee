"""Fixtures for pytest: a simulator, proxies that inject faults, and clients connected to them.

pytest imports this module in every run in an environment where the package is installed. So it
imports nothing of the package until a test uses a fixture, and its hooks do nothing for other
tests. It works with pytest 4.6 and newer.
"""

from __future__ import absolute_import, division, print_function

import pytest

from .._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, Iterator, List, Optional

    from ..apns import APNs
    from ..transport import Session
    from .chaos import ChaosProxy
    from .simulator import Exchange, Simulator

__all__ = ["ChaosProxies"]

#: The services of the simulator, and the protocol of their frames.
_SERVICES = {"gateway": "apns", "feedback": "apns", "provider": "http2", "channels": "http2"}
#: The service for messages, by the protocol of the session.
_PUSH_SERVICES = {"binary": "gateway", "http2": "provider"}

#: Attribute of a running test that has its proxies, for the report of a failure.
_ATTRIBUTE = "_apnsclient_chaos"
#: Attribute of the configuration that has the seed of the run.
_SEED_ATTRIBUTE = "_apnsclient_chaos_seed"
#: How many connections with faults are listed with the failure of a test.
_MOST_LINES = 20


# Hooks.

def pytest_addoption(parser):
    # type: (Any) -> None
    """Add the options. A marker overrides the command line, which overrides the ini file."""
    group = parser.getgroup("apnsclient", "apnsclient: simulator and chaos proxy")
    group.addoption("--apns-chaos", metavar="BEHAVIOR", default=None,
                    help="faults of the fixture apns_chaos, for example 20:delay,5:reset")
    group.addoption("--apns-chaos-seed", metavar="SEED", default=None,
                    help="seed of the fixture apns_chaos; a failing test shows its seed")
    parser.addini("apns_chaos", "faults of the fixture apns_chaos", default="")
    parser.addini("apns_chaos_seed", "seed of the fixture apns_chaos", default="")


def pytest_configure(config):
    # type: (Any) -> None
    """Register the markers."""
    config.addinivalue_line(
        "markers", "apns_simulator(**options): arguments of the Simulator that the fixture "
                   "apns_simulator starts")
    config.addinivalue_line(
        "markers", "apns_chaos(behavior, seed=None, **options): faults, seed and arguments of the "
                   "proxies of the fixture apns_chaos")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item, call):
    # type: (Any, Any) -> None
    """Add the data for a replay to the report of a failed test."""
    proxies = getattr(item, _ATTRIBUTE, None)
    if proxies is not None and call.excinfo is not None:
        item.add_report_section(call.when, "apns_chaos", proxies.describe())
    if proxies is not None and call.when == "teardown":
        # Tests are kept until the end of the run, and would keep the simulator's record.
        delattr(item, _ATTRIBUTE)


# Fixtures.

@pytest.fixture
def apns_simulator(request):
    # type: (Any) -> Iterator[Simulator]
    """A running :class:`~apnsclient.testing.simulator.Simulator` of Apple's servers.

    Its arguments are those of the marker ``apns_simulator``.
    """
    from .simulator import Simulator

    with Simulator(**_options_of(request, "apns_simulator")) as running:
        yield running


@pytest.fixture
def wait_for_notification(apns_simulator):
    # type: (Simulator) -> Callable[..., List[Exchange]]
    """A function that waits for notifications: ``apns_simulator.wait_for_notification``.

    It takes ``count``, ``timeout`` in seconds, and what must be true of each notification, and
    fails the test with what came near if they do not come in time.
    """
    return apns_simulator.wait_for_notification


@pytest.fixture
def apns_chaos(request, apns_simulator):
    # type: (Any, Simulator) -> Iterator[ChaosProxies]
    """A function that returns the proxy in front of a service: :class:`ChaosProxies`."""
    config = request.config
    options = _options_of(request, "apns_chaos")
    default = config.getoption("apns_chaos") or config.getini("apns_chaos")
    behavior, seed = options.pop("behavior", default), options.pop("seed", None)
    hint = "from the marker of the test"
    if seed is None:
        run = _seed_of_run(config)
        # Tests get different faults, and a test gets the same ones when it runs alone.
        seed = "%s/%s" % (run, request.node.nodeid)
        hint = "replay with --apns-chaos-seed=%s" % run
    proxies = ChaosProxies(apns_simulator, behavior, seed, hint, options)
    setattr(request.node, _ATTRIBUTE, proxies)
    yield proxies
    proxies.stop()


@pytest.fixture
def apns_session(apns_simulator):
    # type: (Simulator) -> Iterator[Callable[..., Session]]
    """A function that creates sessions which trust the simulator, and are shut down after the test.

    It takes ``protocol`` and the other options of :class:`~apnsclient.transport.Session`. The
    sessions of a test share one feedback store.
    """
    from ..feedback_store import MemoryStore
    from ..transport import Session

    sessions = []  # type: List[Session]
    feedback_store = MemoryStore()

    def make(protocol=None, **options):
        # type: (Optional[str], **Any) -> Session
        options.setdefault("ca_string", apns_simulator.ca_string)
        options.setdefault("feedback_store", feedback_store)
        sessions.append(Session(protocol=protocol, **options))
        return sessions[-1]

    yield make
    for session in sessions:
        session.shutdown()


@pytest.fixture
def apns_client(apns_simulator, apns_chaos, apns_session):
    # type: (Simulator, ChaosProxies, Callable[..., Session]) -> Callable[..., APNs]
    """A function that creates clients which push to the simulator through a proxy.

    It takes ``protocol`` and the other options of :class:`~apnsclient.transport.Session`; each call
    creates a session. The credential is the simulator's certificate, which is for every topic.
    """
    from ..apns import APNs

    def make(protocol="binary", **options):
        # type: (str, **Any) -> APNs
        address = apns_chaos(_PUSH_SERVICES.get(protocol, "gateway")).address
        session = apns_session(protocol, **options)
        return APNs(session.get_connection(address, cert_string=apns_simulator.cert_string))

    return make


class ChaosProxies(object):
    """The proxies of one test, one in front of each service of its simulator.

    Calling it with the name of a service returns the running proxy, a
    :class:`~apnsclient.testing.chaos.ChaosProxy`, which the first call starts:
    ``apns_chaos("provider")``. All are stopped at the end of the test.

    :param simulator: the simulator.
    :param behavior: percentages of connections for each fault, see the proxy (str).
    :param seed: seed of all proxies (int or str).
    :param hint: how to use the same seed again (str).
    :param options: further arguments of the proxies (dict).

    :ivar seed: the seed.
    """

    def __init__(self, simulator, behavior, seed, hint, options):
        # type: (Simulator, str, Any, str, Dict[str, Any]) -> None
        self.seed = seed
        self._simulator = simulator
        self._behavior = behavior
        self._hint = hint
        self._options = options
        self._proxies = {}  # type: Dict[str, ChaosProxy]

    def __call__(self, service="gateway", behavior=None):
        # type: (str, Optional[str]) -> ChaosProxy
        """Return the proxy in front of a service.

        :param service: ``"gateway"``, ``"feedback"``, ``"provider"`` or ``"channels"``.
        :param behavior: its behavior from now on (str), in place of the common one.
        :raises ValueError: if there is no such service.
        :raises ~apnsclient.testing.chaos.ConfigurationError: if the behavior is malformed.
        """
        if service not in _SERVICES:
            raise ValueError("there is no service %r; expected one of %s"
                             % (service, ", ".join(sorted(_SERVICES))))
        proxy = self._proxies.get(service)
        if proxy is None:
            proxy = self._proxies[service] = self._start(
                service, self._behavior if behavior is None else behavior)
        elif behavior is not None:
            proxy.behavior = behavior
        return proxy

    def _start(self, service, behavior):
        # type: (str, str) -> ChaosProxy
        from .chaos import ChaosProxy

        options = dict({"protocol": _SERVICES[service]}, **self._options)
        if service == "feedback" and options["protocol"] == "apns":
            options.setdefault("protocol_settings", {"service": "feedback"})
        return ChaosProxy(getattr(self._simulator, service + "_address"), behavior,
                          seed=self.seed, **options).start()

    def stop(self):
        # type: () -> None
        """Stop all of them."""
        for proxy in self._proxies.values():
            proxy.stop()

    def describe(self):
        # type: () -> str
        """Return which faults there were, and how to reproduce them (str)."""
        lines = ["seed %r: %s" % (self.seed, self._hint)]
        for service, proxy in sorted(self._proxies.items()):
            lines.append("%s: behavior %r, %d connections, %d faults" % (
                service, proxy.behavior, proxy.connection_count, proxy.fault_count))
            faulty = [one for one in proxy.connections if one.fault_count or one.error]
            lines.extend("  %r" % one for one in faulty[:_MOST_LINES])
            if len(faulty) > _MOST_LINES:
                lines.append("  and %d more" % (len(faulty) - _MOST_LINES))
        return "\n".join(lines)


def _options_of(request, name):
    # type: (Any, str) -> Dict[str, Any]
    """Return the arguments of a marker; only a behavior may be positional.

    :raises TypeError: if others are positional.
    """
    marker = request.node.get_closest_marker(name)
    if marker is None:
        return {}
    options = dict(marker.kwargs)
    by_position = ("behavior",) if name == "apns_chaos" else ()
    if len(marker.args) > len(by_position):
        raise TypeError("the marker %s%r takes its arguments by name%s" % (
            name, marker.args, " from the second on" if by_position else ""))
    options.update(zip(by_position, marker.args))
    return options


def _seed_of_run(config):
    # type: (Any) -> str
    """Return the seed of this run of pytest: the option's, or a new one for the whole run."""
    seed = config.getoption("apns_chaos_seed") or config.getini("apns_chaos_seed")
    if not seed:
        seed = getattr(config, _SEED_ATTRIBUTE, None)
        if seed is None:
            from .chaos.randomness import new_seed

            seed = new_seed()
            setattr(config, _SEED_ATTRIBUTE, seed)
    return str(seed)
