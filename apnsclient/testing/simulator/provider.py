"""The services of HTTP/2, provider API and channel management: a conversation for each connection.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .channel import Handler
from .provider_conversation import ProviderConversation
from .provider_policy import CertificateCaller, device_of
from .provider_script import GOAWAY
from .script import RESET, STALL
from .services import ScriptedService
from .tls import ALPN, read_topics
from .tokens import TokenCaller

if MYPY:
    from typing import Any, Callable, List, Optional, Tuple

    from .channel import Channel
    from .devices import Devices
    from .loop import Loop
    from .provider_conversation import Judge
    from .provider_policy import ProviderPolicy
    from .provider_script import ProviderScript
    from .record import Record
    from .tokens import ProviderKeys

__all__ = ["ProviderService", "ProviderTraits"]


class ProviderTraits(object):
    """What all connections to the provider API have in common.

    :param policy: :class:`.provider_policy.ProviderPolicy`, which reads their requests.
    :param keys: :class:`.tokens.ProviderKeys`.
    :param ids: :class:`.provider_conversation.Ids`.
    :param environment: ``"sandbox"`` or ``"production"``.
    :param clock: returns the time in seconds since 1970.
    """

    def __init__(self, policy, keys, ids, environment, clock):
        # type: (ProviderPolicy, ProviderKeys, Any, str, Callable[[], float]) -> None
        self.policy = policy
        self.keys = keys
        self.ids = ids
        self.environment = environment
        self.clock = clock

    def caller(self, channel):
        # type: (Channel) -> Any
        """Return who calls on a channel."""
        certificate = channel.peer_certificate()
        if certificate is None:
            return TokenCaller(self.keys, self.environment, self.clock)
        topics, environments = read_topics(certificate)
        return CertificateCaller(topics, environments, self.environment)


class ProviderService(ScriptedService):
    """The provider API, or the channel management.

    :param traits: :class:`ProviderTraits`.
    :param judge: decides about requests, like :meth:`.provider_policy.ProviderPolicy.judge`.
    :param kind: begins the names of its counts in the record; the other parameters are those of
        :class:`.services.Service`.
    """

    def __init__(self, loop, context, record, devices, script, linger, traits, judge, kind):
        # type: (Loop, Any, Record, Devices, ProviderScript, float, ProviderTraits, Judge, str) -> None
        super(ProviderService, self).__init__(loop, context, record, devices, script, linger)
        self.traits = traits
        self.judge = judge
        self.held = []  # type: List[Tuple[_ProviderHandler, Callable[[], Any]]]
        self.count, self.open_count = kind + "_connections", "open_" + kind + "_connections"

    def new_handler(self, script):
        # type: (ProviderScript) -> Handler
        """Return the handler of a connection; see the base class."""
        return _ProviderHandler(self, script)

    def hold(self, handler, answer):
        # type: (_ProviderHandler, Callable[[], Any]) -> None
        """Keep a response back."""
        self.held.append((handler, answer))
        self.record.add(held=1)

    def release_held(self):
        # type: () -> int
        """Send the responses that are held back; return how many that were."""
        held, self.held = self.held, []
        self.record.add(held=-len(held))
        for _, answer in held:
            answer()
        return len(held)

    def drop_held(self, handler):
        # type: (_ProviderHandler) -> None
        """Forget the responses of a connection that is closed."""
        kept = [each for each in self.held if each[0] is not handler]
        self.record.add(held=len(kept) - len(self.held))
        self.held = kept

    def goaway(self, reason, timestamp):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY on all connections; return how many that were."""
        handlers = [channel.handler for channel in self.channels]
        return sum(handler.goaway(reason, timestamp) for handler in handlers
                   if isinstance(handler, _ProviderHandler))


class _ProviderHandler(Handler):
    """One connection to the provider API."""

    def __init__(self, service, script):
        # type: (ProviderService, ProviderScript) -> None
        self._service = service
        self._script = script
        self._channel = None  # type: Optional[Channel]
        self._conversation = None  # type: Optional[ProviderConversation]
        self._number = 0

    def opened(self, channel):
        # type: (Channel) -> None
        service = self._service
        if channel.protocol != ALPN:
            service.record.add(refused=1)
            channel.finish()
            return
        traits = service.traits
        has_certificate = channel.peer_certificate() is not None
        service.record.add(resumed=1 if has_certificate and not channel.verified else 0,
                           **{service.count: 1, service.open_count: 1})
        self._channel = channel
        self._number = getattr(service.record, service.count)
        self._conversation = ProviderConversation(
            traits.policy.read_head, service.judge, traits.caller(channel), self._script,
            traits.ids, traits.environment == "sandbox", self._later)
        self._conversation.begin()
        self._flush()

    def received(self, channel, data):
        # type: (Channel, bytes) -> None
        conversation = self._conversation
        if conversation is None:
            return
        accepted = conversation.receive(data)
        if accepted:
            self._service.record.accept(self._number, accepted)
        self._flush()

    def ended(self, channel):
        # type: (Channel) -> None
        channel.finish()

    def closed(self, channel, orderly):
        # type: (Channel, bool) -> None
        self._service.drop_held(self)
        self._service.closed(channel)
        if self._conversation is not None:
            self._service.record.add(**{self._service.open_count: -1})

    def goaway(self, reason, timestamp):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY, and close once everything is answered; return 1 if it could be sent."""
        conversation = self._conversation
        if conversation is None or conversation.ending is not None:
            return 0
        conversation.goaway(reason=reason, timestamp=timestamp)
        self._flush()
        return 1

    def _later(self, delay, function):
        # type: (Optional[float], Callable[[], Any]) -> None
        def call():
            # type: () -> None
            function()
            self._flush()

        if delay is None:
            self._service.hold(self, call)
        else:
            self._service.loop.call_later(delay, call)

    def _flush(self):
        # type: () -> None
        """Write down what was refused, send what is to be sent, and end what is to end."""
        conversation, channel = self._conversation, self._channel
        if conversation is None or channel is None:
            return
        for status, stream, reason, path, head in conversation.refused:
            self._service.record.answer(
                self._number, status, stream, reason, path.decode("latin-1"), device_of(path),
                head.topic, head.push_type)
        del conversation.refused[:]
        output = conversation.take_output()
        if output:
            channel.send(output)
        ending = conversation.ending
        if conversation.connection.error is not None:
            channel.finish()
        elif ending == GOAWAY:
            if conversation.is_drained and not self._script.goaway_stays:
                channel.finish()
        elif ending == STALL:
            channel.pause()
        elif ending == RESET:
            channel.reset()
        elif ending is not None:
            channel.finish()
