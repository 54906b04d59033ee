"""What can be done to clients of a running simulator, beyond the script of a connection."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .request_script import RequestScript
from .script_documents import SCRIPTS

if MYPY:
    from typing import Any, Callable, Dict, List, Optional

    from .engine import Engine
    from .interventions import Interventions

__all__ = ["Faults"]

#: The services that take scripts.
SERVICES = ("gateway", "feedback", "provider", "channels")


class Faults(object):
    """Faults that begin and end while the simulator runs. May be used from many threads.

    :param interventions: :class:`.interventions.Interventions`.
    :param usual_scripts: script of the connections to each service that have none of their own
        (dict by the name of the service).
    :param started: function that returns the engine, and raises RuntimeError if there is none.
    """

    def __init__(self, interventions, usual_scripts, started):
        # type: (Interventions, Dict[str, Any], Callable[[], Engine]) -> None
        self._interventions = interventions
        self._usual_scripts = usual_scripts
        self._first_scripts = dict(usual_scripts)
        self._started = started

    # Requests.

    def script_requests(self, *scripts):
        # type: (*RequestScript) -> None
        """Say what becomes of the next requests to the provider API, over whatever connection.

        :param scripts: for the requests to come, in this order, behind those of earlier calls.
        """
        self._interventions.add(scripts)

    def slow_down(self, seconds):
        # type: (float) -> None
        """Have each response of the provider API be late, until it is called with 0.

        :param seconds: by how many (float, from 0).
        :raises ValueError: if it is negative.
        """
        if seconds < 0:
            raise ValueError("seconds is %r, expected 0 or more" % (seconds,))
        self._interventions.slow_down(seconds)

    @property
    def delay(self):
        # type: () -> float
        """Seconds by which :meth:`slow_down` has each response be late."""
        return self._interventions.delay

    # Connections.

    def limit_streams(self, most):
        # type: (Optional[int]) -> int
        """Limit the streams of all connections to the provider API, open and to come.

        :param most: the limit (int, from 0), None for that of their scripts.
        :return: how many connections were open; SETTINGS have been sent on each.
        :raises ValueError: if it is negative.
        """
        if most is not None and most < 0:
            raise ValueError("the limit of streams is %r, expected 0 or more" % (most,))
        self._interventions.most_streams = most
        engine = self._started()
        return int(engine.loop.ask(engine.services.provider.limit_streams))

    @property
    def most_streams(self):
        # type: () -> Optional[int]
        """The limit of :meth:`limit_streams`, None if it is that of scripts."""
        return self._interventions.most_streams

    @property
    def refuses_connections(self):
        # type: () -> bool
        """Whether new connections to all services are reset before the handshake; can be set."""
        return self._interventions.refuses_connections

    @refuses_connections.setter
    def refuses_connections(self, does_refuse):
        # type: (bool) -> None
        self._interventions.refuses_connections = does_refuse

    # Scripts of connections.

    def usual_script(self, service):
        # type: (str) -> Any
        """Return the script of the connections to a service that have none of their own."""
        return self._usual_scripts[_check_service(service)]

    def set_usual_script(self, service, script):
        # type: (str, Any) -> None
        """Set that script, for the connections to come.

        :param service: ``"gateway"``, ``"feedback"``, ``"provider"`` or ``"channels"``.
        :param script: :class:`.Script`, :class:`.FeedbackScript` or :class:`.ProviderScript`.
        :raises ValueError: if there is no such service.
        :raises TypeError: if the script is one for another service.
        """
        expected = SCRIPTS[_check_service(service)]
        if not isinstance(script, expected):
            raise TypeError("the script of %s is a %s, expected a %s"
                            % (service, type(script).__name__, expected.__name__))
        self._usual_scripts[service] = script

    def queued_scripts(self, service):
        # type: (str) -> List[Any]
        """Return the scripts that the next connections, or requests, are going to have.

        :param service: name of a service, or ``"requests"``.
        :return: list of scripts; None among them stands for the usual one.
        """
        if service == "requests":
            return list(self._interventions.scripts())
        return self._service(service).queued_scripts()

    def clear_scripts(self, service):
        # type: (str) -> None
        """Drop the scripts that :meth:`queued_scripts` returns."""
        if service == "requests":
            self._interventions.clear()
        else:
            self._service(service).clear_scripts()

    def clear(self):
        # type: () -> None
        """Take back all faults, and drop all scripts; the usual ones are those of the start."""
        self._interventions.clear()
        self._interventions.slow_down(0.0)
        self._interventions.refuses_connections = False
        for service in SERVICES:
            self._service(service).clear_scripts()
        self._usual_scripts.update(self._first_scripts)
        self.limit_streams(None)

    def _service(self, name):
        # type: (str) -> Any
        return getattr(self._started().services, _check_service(name))


def _check_service(name):
    # type: (str) -> str
    if name not in SERVICES:
        raise ValueError("there is no service %r, expected one of: %s"
                         % (name, ", ".join(SERVICES)))
    return name
