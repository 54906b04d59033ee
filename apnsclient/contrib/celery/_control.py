"""Remote control commands, for a person: ``celery -A app control apns_close_breaker``.

A worker runs them in its main process, whose memory has the circuits of all its processes.
"""

from typing import Any, Dict, Iterator, List, Optional

from celery.worker.control import Panel

from ._breaker import Breaker, State
from ._tasks import PushTask

__all__ = ["register_commands"]


def _breakers(app: Any) -> Iterator[Breaker]:
    """Yield the breakers of an application, each once."""
    found: List[Breaker] = []
    for task in app.tasks.values():
        if isinstance(task, PushTask) and task.machinery.breaker not in found:
            found.append(task.machinery.breaker)
            yield task.machinery.breaker


def apns_breakers(state: Any, **_: Any) -> List[Dict[str, Any]]:
    """List the circuits of credentials and targets that were used."""
    return [{"target": circuit.target, "credential": circuit.credential,
             "state": circuit.state.name, "failures": circuit.failures, "cause": circuit.cause}
            for breaker in _breakers(state.app) for circuit in breaker.circuits()]


def apns_close_breaker(state: Any, target: Optional[str] = None, credential: Optional[str] = None,
                       **_: Any) -> Dict[str, Any]:
    """Let tasks send again; by default to all targets, with all credentials."""
    closed = [place for breaker in _breakers(state.app)
              for place in breaker.close(credential, target)]
    return {"ok": "closed %s" % (", ".join(
        "%s with %s" % (place[1], place[0]) for place in closed) or "nothing: none was open")}


def apns_open_breaker(state: Any, target: str, credential: str = "default", **_: Any
                      ) -> Dict[str, Any]:
    """Let tasks wait in the broker until somebody closes the circuit."""
    for breaker in _breakers(state.app):
        breaker.hold((credential, target))
    return {"ok": "%s with %s is %s" % (target, credential, State.held.name)}


_ARGUMENTS = [("target", str), ("credential", str)]


def register_commands() -> None:
    """Make the commands known, to this process if it is a worker, and if it is ``celery control``.

    Celery has one list of commands for all applications of a process.
    """
    register: Any = Panel.register
    register(type="inspect")(apns_breakers)
    register(type="control", args=_ARGUMENTS, signature="[target [credential]]")(
        apns_close_breaker)
    register(type="control", args=_ARGUMENTS, signature="target [credential]")(apns_open_breaker)
