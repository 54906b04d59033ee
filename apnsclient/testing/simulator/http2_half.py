"""The half of the simulator that speaks HTTP/2, as far as its owner sees of it."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...protocols.http2.headers import load_hpack
from .channel_requests import ChannelPolicy
from .channels import BroadcastChannels
from .provider import ProviderService, ProviderTraits
from .provider_conversation import Ids
from .provider_policy import ProviderPolicy
from .provider_script import ProviderScript
from .tokens import ProviderKeys, load_jwt

if MYPY:
    from typing import Any, Callable, Dict, Iterable, Optional, Tuple

    from .devices import Devices
    from .engine import Engine
    from .loop import Loop
    from .provider_conversation import Judge
    from .record import Record

    Address = Tuple[str, int]

__all__ = ["Http2Half"]

#: The key that each simulator knows from the beginning, and whose it is.
_KEY_ID, _TEAM_ID = "SIMULATOR1", "SIMTEAM123"


class Http2Half(object):
    """What :class:`.Simulator` has of HTTP/2. Not to be used on its own."""

    if MYPY:
        devices = Devices()
        _record = Record()

    #: Identifier of the key that :attr:`key_string` holds.
    key_id = _KEY_ID
    #: Identifier of the team that it belongs to.
    team_id = _TEAM_ID

    def _set_up_http2(self, context, address, channels_address, script, production, clock,
                      key_string):
        # type: (Any, Address, Address, Optional[ProviderScript], bool, Callable[[], float], Optional[str]) -> None  # noqa: E501
        self.channels = BroadcastChannels()
        self._channel_policy = ChannelPolicy(self.channels)
        self._http2_context = context
        self._provider_address = address
        self._channels_address = channels_address
        self._provider_script = ProviderScript() if script is None else script
        self._keys = ProviderKeys()
        self._key_string = self._keys.add(_KEY_ID, _TEAM_ID, key_string=key_string)
        self._traits = ProviderTraits(
            ProviderPolicy(self.devices, self._channel_policy.judge_broadcast),
            self._keys, Ids(), "production" if production else "sandbox", clock)
        self._missing = None  # type: Optional[ImportError]
        try:
            load_hpack()
            load_jwt()
        except ImportError as error:
            self._missing = error

    def _new_http2_services(self, loop, record, devices, linger):
        # type: (Loop, Record, Devices, float) -> Tuple[Optional[ProviderService], Optional[ProviderService]]
        """Return the provider API and the channel management, None without their libraries."""
        if self._missing is not None:
            return None, None

        def new(judge, script, kind):
            # type: (Judge, ProviderScript, str) -> ProviderService
            return ProviderService(loop, self._http2_context, record, devices, script, linger,
                                   self._traits, judge, kind)

        return (new(self._traits.policy.judge, self._provider_script, "provider"),
                new(self._channel_policy.judge_management, ProviderScript(), "channel"))

    def _started(self):
        # type: () -> Engine
        raise NotImplementedError

    def _started_services(self):
        # type: () -> Tuple[ProviderService, ProviderService]
        engine = self._started()
        if engine.provider is None or engine.channels is None:
            raise ImportError(str(self._missing))
        return engine.provider, engine.channels

    # Addresses and credentials.

    @property
    def provider_address(self):
        # type: () -> Address
        """``(host, port)`` of the provider API, once it has been started.

        :raises ImportError: if ``hpack`` or ``PyJWT`` is not installed, which this half needs.
        """
        if self._missing is not None:
            raise ImportError(str(self._missing))
        return self._provider_address

    @property
    def channels_address(self):
        # type: () -> Address
        """``(host, port)`` of the channel management, once it has been started.

        :raises ImportError: as :attr:`provider_address` does.
        """
        if self._missing is not None:
            raise ImportError(str(self._missing))
        return self._channels_address

    @property
    def key_string(self):
        # type: () -> str
        """PEM text of a private key for provider tokens, like that of Apple's .p8 files."""
        return self._key_string

    @property
    def token_parameters(self):
        # type: () -> Dict[str, Any]
        """Arguments of a ``ProviderToken`` whose requests are accepted (dict)."""
        return {"key_id": self.key_id, "team_id": self.team_id, "key_string": self.key_string}

    def add_key(self, key_id, team_id=_TEAM_ID, environment=None, topics=None, related=None):
        # type: (str, str, Optional[str], Optional[Iterable[str]], Optional[str]) -> str
        """Make another key for provider tokens.

        :param key_id: its identifier (str); a key of the same one is replaced.
        :param team_id: identifier of the team that it belongs to (str).
        :param environment: ``"sandbox"`` or ``"production"`` for a key of that environment only;
            None for both.
        :param topics: topics that it may push to (iterable of str); None for all.
        :param related: identifier of another key of the team (str), whose provider tokens may be
            used over the same connection, as when one replaces the other; None for none.
        :return: PEM text of the private key.
        :raises ValueError: if there is no such environment, or no such other key.
        """
        return self._keys.add(key_id, team_id, environment, topics, related=related)

    def revoke_key(self, key_id):
        # type: (str) -> None
        """Forget a key: tokens that it signed are refused from now on."""
        self._keys.remove(key_id)

    # What happened.

    @property
    def provider_connections(self):
        # type: () -> int
        """How many connections to the provider API completed their handshake."""
        return self._record.provider_connections

    @property
    def open_provider_connections(self):
        # type: () -> int
        """How many of them are not closed yet."""
        return self._record.open_provider_connections

    @property
    def channel_connections(self):
        # type: () -> int
        """How many connections to the channel management completed their handshake."""
        return self._record.channel_connections

    # What is to happen.

    def script_provider(self, *scripts):
        # type: (*Optional[ProviderScript]) -> None
        """Say how the provider API behaves on the connections to come.

        :param scripts: the n-th connection that is accepted from now on gets the n-th, after those
            of earlier calls; None stands for the usual behaviour, and so it goes on after the last.
        """
        self._started_services()[0].scripts.extend(scripts)

    def script_channels(self, *scripts):
        # type: (*Optional[ProviderScript]) -> None
        """Say the same of the connections to the channel management."""
        self._started_services()[1].scripts.extend(scripts)

    def goaway_all(self, reason=None, timestamp=None):
        # type: (Optional[str], Optional[int]) -> int
        """Send GOAWAY on every connection to the provider API, and close it.

        :param reason: reason in the debug data (str), None for none.
        :param timestamp: time in the same place, in milliseconds since 1970 (int).
        :return: how many connections that were; GOAWAY has been sent on each.
        """
        engine, provider = self._started(), self._started_services()[0]
        return int(engine.loop.ask(lambda: provider.goaway(reason, timestamp)))

    def disconnect_providers(self, reset=False):
        # type: (bool) -> int
        """Close every connection to the provider API, idle or not, without GOAWAY.

        When it returns, the end of the stream (or the reset) has been sent.

        :param reset: True resets the TCP connections.
        :return: how many connections that were.
        """
        engine, provider = self._started(), self._started_services()[0]
        return int(engine.loop.ask(lambda: provider.disconnect(reset)))
