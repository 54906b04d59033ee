"""The services of a simulator, made from its configuration."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .broadcast_policy import BroadcastPolicy
from .feedback_service import FeedbackService
from .gateway_service import GatewayService
from .interventions import Interventions
from .provider_head import HeadReader
from .provider_policy import ProviderPolicy
from .provider_responses import Ids
from .provider_service import Environment, ProviderService

if MYPY:
    from typing import Any, List

    from .configuration import Configuration
    from .loop import Loop
    from .service import Service

__all__ = ["Services"]


class Services(object):
    """All services of a running simulator. They belong to the event loop's thread.

    :param configuration: :class:`.configuration.Configuration`.
    :param loop: event loop (:class:`.loop.Loop`).

    :ivar gateway: the gateway (:class:`.gateway_service.GatewayService`).
    :ivar feedback: the feedback service (:class:`.feedback_service.FeedbackService`).
    :ivar provider: the provider API (:class:`.provider_service.ProviderService`); a connection to
        it needs the libraries of HTTP/2.
    :ivar channels: the channel management, likewise.
    """

    def __init__(self, configuration, loop):
        # type: (Configuration, Loop) -> None
        c = configuration
        self.gateway = GatewayService(
            loop, c.record, c.gateway_context, c.usual_scripts, c.interventions, c.linger, c.clock,
            c.devices, c.limits)
        self.feedback = FeedbackService(
            loop, c.record, c.gateway_context, c.usual_scripts, c.interventions, c.linger, c.clock,
            c.devices)
        broadcasts = BroadcastPolicy(c.channels)
        environment = Environment(
            c.keys, c.is_production, c.clock, Ids(), HeadReader())

        def new(interventions, name, kind, judge):
            # type: (Interventions, str, str, Any) -> ProviderService
            return ProviderService(loop, c.record, c.http2_context, c.usual_scripts, interventions,
                                   c.linger, name, kind, environment, judge)

        self.provider = new(
            c.interventions, "provider", "provider_",
            ProviderPolicy(c.devices, broadcasts.judge_broadcast).judge)
        self.channels = new(Interventions(), "channels", "channel_", broadcasts.judge_management)
        self._all = [self.gateway, self.feedback, self.provider,
                     self.channels]  # type: List[Service]

    def release_held(self):
        # type: () -> int
        """Send what is held back on all of them; return how many responses that were."""
        return sum(each.release_held() for each in self._all)

    def close(self):
        # type: () -> None
        """Close all connections at once."""
        for each in self._all:
            each.close()

    def abandon(self):
        # type: () -> None
        """Close the descriptors alone: for a forked child."""
        for each in self._all:
            each.abandon()
