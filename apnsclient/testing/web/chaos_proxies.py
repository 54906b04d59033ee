"""Chaos proxies in front of the services of a simulator, at most one for each."""

import threading
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from ..chaos import ChaosProxy
from ..chaos.handlers import Handler
from ..simulator import Simulator

__all__ = ["ChaosProxies"]

#: Connections that are over, of which a proxy keeps the record.
_KEPT = 1000


class ChaosProxies:
    """Starts, changes and stops the proxies. May be used from many threads.

    None of them imports a handler: what they do is decided over the network.

    :param simulator: the simulator whose services they are in front of.

    :ivar simulator: the same.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._lock = threading.Lock()
        self._proxies: Dict[str, ChaosProxy] = {}

    def handlers(self) -> List[Tuple[str, Any]]:
        """Return the handlers that there are, by name."""
        return [(name, Handler.get(name, may_import=False)) for name in Handler.names()]

    def get(self, service: str) -> Optional[ChaosProxy]:
        """Return the proxy in front of a service, None if there is none."""
        with self._lock:
            return self._proxies.get(service)

    def all(self) -> List[Tuple[str, ChaosProxy]]:
        """Return the services that have one, each with its proxy."""
        with self._lock:
            return sorted(self._proxies.items())

    def put(self, service: str, behavior: Optional[str] = None,
            settings: Optional[Mapping[str, Mapping[str, Any]]] = None, existing: bool = False,
            seed: Union[int, str, None] = None, port: int = 0) -> ChaosProxy:
        """Start a proxy in front of a service, or change the one that is there.

        :param service: ``"gateway"``, ``"feedback"``, ``"provider"`` or ``"channels"``.
        :param behavior: as :class:`.ChaosProxy` has it; None leaves it as it is.
        :param settings: values by handler and option, beside those that were set before.
        :param existing: True applies it to open connections as well.
        :param seed: seed of a new proxy; None takes one by chance.
        :param port: port that a new proxy listens on; 0 takes a free one.
        :raises ConfigurationError: if something of it cannot be used.
        :raises ValueError: if there is one already, which has another seed or port.
        :raises RuntimeError: if the simulator does not run.
        :raises ImportError: if the service needs a library that is missing.
        :raises OSError: if it cannot listen there.
        """
        with self._lock:
            proxy = self._proxies.get(service)
            if proxy is None:
                proxy = self._new_proxy(service, behavior, settings, seed, port)
                self._proxies[service] = proxy.start()
            elif seed not in (None, proxy.seed) or port not in (0, proxy.address[1]):
                raise ValueError("there is a proxy already, with seed %s at port %d; delete it "
                                 "first" % (proxy.seed, proxy.address[1]))
            else:
                proxy.change(behavior, settings, existing)
            return proxy

    def _new_proxy(self, service: str, behavior: Optional[str],
                   settings: Optional[Mapping[str, Mapping[str, Any]]],
                   seed: Union[int, str, None], port: int) -> ChaosProxy:
        if not self.simulator.is_running:
            raise RuntimeError("the simulator does not run; start it first")
        backend = getattr(self.simulator, service + "_address")
        proxy = ChaosProxy(backend, host=self.simulator.host, port=port, seed=seed, record=_KEPT)
        proxy.stop_importing()
        proxy.change(behavior, settings)
        return proxy

    def remove(self, service: str) -> bool:
        """Stop the proxy in front of a service; return False if there is none."""
        with self._lock:
            proxy = self._proxies.pop(service, None)
        if proxy is None:
            return False
        proxy.stop()
        return True

    def stop(self) -> None:
        """Stop all proxies."""
        for service, _ in self.all():
            self.remove(service)
