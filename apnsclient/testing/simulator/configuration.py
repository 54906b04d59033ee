"""The configuration of a simulator, as the thread that runs it needs it. Values only."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

__all__ = ["Addresses", "Configuration"]

#: ``(host, port)`` of each service; those of the latter two are None without their libraries.
Addresses = namedtuple("Addresses", "gateway feedback provider channels")

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
