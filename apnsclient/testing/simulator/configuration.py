"""The configuration of a simulator, as the thread that runs it needs it. Values only."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ..._compat import MYPY

if MYPY:
    from typing import Tuple

__all__ = ["EVERYWHERE", "Addresses", "Configuration"]

#: Hosts that are each address of the machine, and where a client on it finds them.
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class Addresses(namedtuple("Addresses", "gateway feedback provider channels")):
    """``(host, port)`` of each service; that of the latter two is None without their libraries."""

    __slots__ = ()

    def to_connect_to(self, service):
        # type: (str) -> Tuple[str, int]
        """Return where a client on this machine reaches a service, by its name (str)."""
        host, port = getattr(self, service)
        return EVERYWHERE.get(host, host), port


#: All that :class:`.engine.Engine` and :class:`.services.Services` are made of, apart from
#: addresses:
#:
#: - ``record``, ``devices``, ``channels``, ``keys``: what they write to and what they look up;
#: - ``gateway_context``, ``http2_context``: TLS contexts of the server;
#: - ``usual_scripts``: those of connections that have none of their own, by service (dict);
#: - ``interventions``: what is done to clients from outside
#:   (:class:`.interventions.Interventions`);
#: - ``limits``: what the gateway takes (:class:`.gateway_conversation.Limits`);
#: - ``is_production``, ``clock``: the environment, and the time by which tokens are judged;
#: - ``linger``, ``receive_buffer``: see :class:`.Simulator`.
Configuration = namedtuple(
    "Configuration", "record devices channels keys gateway_context http2_context usual_scripts "
                     "interventions limits is_production clock linger receive_buffer")
