"""The devices of ``apns demo``: made from a seed, each with what is to become of its token."""

from __future__ import absolute_import, division, print_function

import random
import time
from collections import OrderedDict, namedtuple

from .._compat import MYPY

if MYPY:
    from typing import Any, Dict

__all__ = ["Devices", "Verdict"]


class Verdict(namedtuple("Verdict", "code status reason timestamp")):
    """What the client is to say of a token that failed.

    :param code: the code of the binary protocol (int).
    :param status: status over HTTP/2 (int), or None.
    :param reason: Apple's reason over HTTP/2 (str), or None.
    :param timestamp: since when, in seconds since 1970 (int), or None.
    """

    __slots__ = ()

    def __new__(cls, code, status=None, reason=None, timestamp=None):
        # type: (int, Any, Any, Any) -> Verdict
        return super(Verdict, cls).__new__(cls, code, status, reason, timestamp)

    def __str__(self):
        # type: () -> str
        if self.status is None:
            return "%s" % self.code
        return "%s (%s %s, time %s)" % self


class Devices(object):
    """The devices of the demonstration, made from a seed.

    :param count: number of devices (int).
    :param bad: how many of them are refused (int).
    :param malformed: how many have a token that cannot be put on the wire (int).
    :param seed: what makes it repeatable (int).
    :param is_http2: whether they get their notifications over HTTP/2.

    :ivar tokens: all tokens, in order (list of str).
    :ivar bad: ``{token: Verdict}`` of those that are not good.
    :ivar malformed: ``{token: Verdict}`` of those that the client does not send.
    :ivar uninstalled: ``{token: time}``, the time in seconds since 1970.
    """

    def __init__(self, count, bad, malformed, seed, is_http2=False):
        # type: (int, int, int, int, bool) -> None
        chance = random.Random(seed)
        self.is_http2 = is_http2
        self.tokens = ["%064x" % chance.getrandbits(256) for _ in range(count)]
        places = sorted(chance.sample(range(count), bad + malformed + 1))
        chance.shuffle(places)
        self.bad = OrderedDict()  # type: Dict[str, Verdict]
        self.malformed = OrderedDict()  # type: Dict[str, Verdict]
        for number, place in enumerate(sorted(places[:bad])):
            if number % 3 == 1:  # Half a token.
                self.tokens[place] = self.tokens[place][:32]
            self.bad[self.tokens[place]] = self._verdict(number % 3)
        for number, place in enumerate(sorted(places[bad:-1])):
            token = self.tokens[place]
            # Not hexadecimal, and one digit lost.
            self.tokens[place] = token[:-1] if number % 2 else "not-hex-" + token[8:]
            self.malformed[self.tokens[place]] = Verdict(8)
        yesterday = int(time.time()) - 86400
        self.uninstalled = {self.tokens[places[-1]]: yesterday}

    def _verdict(self, kind):
        # type: (int) -> Verdict
        """Return what is said of a bad token of the first, second or third kind."""
        if self.is_http2:
            return Verdict(8, 400, "DeviceTokenNotForTopic" if kind == 2 else "BadDeviceToken")
        return Verdict(5 if kind == 1 else 8)

    @property
    def refused(self):
        # type: () -> Dict[str, Verdict]
        """``{token: Verdict}`` of those that are answered with an error."""
        refused = OrderedDict(self.bad)
        if self.is_http2:
            refused.update((token, Verdict(8, 410, "Unregistered", when))
                           for token, when in self.uninstalled.items())
        return refused

    def register(self, apns):
        # type: (Any) -> None
        """Let a simulator know of them."""
        for token, verdict in self.bad.items():
            if verdict.reason is None:
                apns.devices.bad(token, verdict.code)
            else:
                apns.devices.bad(token, reason=verdict.reason)
        for token, when in self.uninstalled.items():
            apns.devices.uninstall(token, when)
