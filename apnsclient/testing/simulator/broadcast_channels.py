"""Broadcast channels of Live Activities: who has which.

Sources: Apple, *Sending channel management requests to APNs* and *Setting up broadcast push
notifications*.
"""

from __future__ import absolute_import, division, print_function

import base64
import os
import threading
from collections import OrderedDict

import six

from ..._compat import MYPY

if MYPY:
    from typing import Dict, List, Optional, Set

__all__ = ["BroadcastChannels"]

#: Most channels that an application can have in one environment.
MOST_CHANNELS = 10000
#: Storage policies: no message, or the most recent one.
STORAGE_POLICIES = (0, 1)


class BroadcastChannels(object):
    """The channels of all applications. May be used from many threads.

    :ivar limit: most channels of one application (int); may be set. Apple's is 10 000 in each
        environment.
    """

    def __init__(self):
        # type: () -> None
        self.limit = MOST_CHANNELS
        self._lock = threading.Lock()
        self._channels = {}  # type: Dict[str, OrderedDict[str, int]]
        self._disabled = set()  # type: Set[str]

    def create(self, bundle_id, storage_policy=0):
        # type: (str, int) -> str
        """Create a channel.

        :param bundle_id: identifier of the application (str).
        :param storage_policy: 0 stores no message, 1 the most recent one.
        :return: identifier of the channel (str, base64).
        :raises ValueError: if there is no such policy, or the application has too many channels, or
            not the broadcast capability.
        """
        if type(storage_policy) is not int or storage_policy not in STORAGE_POLICIES:
            raise ValueError("storage policy is %r, expected 0 or 1" % (storage_policy,))
        with self._lock:
            if bundle_id in self._disabled:
                raise ValueError("%s does not have the broadcast capability" % bundle_id)
            channels = self._channels.setdefault(bundle_id, OrderedDict())
            if len(channels) >= self.limit:
                raise ValueError("%s has %d channels already" % (bundle_id, len(channels)))
            channel_id = six.ensure_str(base64.b64encode(os.urandom(16)))
            channels[channel_id] = storage_policy
        return channel_id

    def delete(self, bundle_id, channel_id):
        # type: (str, str) -> bool
        """Delete a channel; return True if there was one."""
        with self._lock:
            channels = self._channels.get(bundle_id)
            return channels is not None and channels.pop(channel_id, None) is not None

    def clear(self):
        # type: () -> None
        """Delete all channels, and give the broadcast capability back to all applications."""
        with self._lock:
            self._channels.clear()
            self._disabled.clear()

    def applications(self):
        # type: () -> List[str]
        """Return the applications that have had a channel, in alphabetical order."""
        with self._lock:
            return sorted(self._channels)

    def storage_policy(self, bundle_id, channel_id):
        # type: (str, str) -> Optional[int]
        """Return the storage policy of a channel, None if there is no such channel."""
        with self._lock:
            channels = self._channels.get(bundle_id)
            return None if channels is None else channels.get(channel_id)

    def ids(self, bundle_id):
        # type: (str) -> List[str]
        """Return the identifiers of an application's channels, in the order of creation."""
        with self._lock:
            return list(self._channels.get(bundle_id, ()))

    def disable(self, bundle_id):
        # type: (str) -> None
        """Take the broadcast capability from an application, with all its channels.

        Requests about it get FeatureNotEnabled until :meth:`enable`.
        """
        with self._lock:
            self._disabled.add(bundle_id)
            self._channels.pop(bundle_id, None)

    def enable(self, bundle_id):
        # type: (str) -> None
        """Give the broadcast capability back to an application. Everyone has it to begin with."""
        with self._lock:
            self._disabled.discard(bundle_id)

    def disabled(self):
        # type: () -> List[str]
        """Return the applications that do not have the broadcast capability, in order."""
        with self._lock:
            return sorted(self._disabled)

    def is_enabled(self, bundle_id):
        # type: (str) -> bool
        """Return True if an application has the broadcast capability."""
        return bundle_id not in self._disabled
