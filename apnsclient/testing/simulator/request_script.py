"""Scripts of single requests, on whatever connection they come. Values only."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ..._compat import MYPY
from .provider_script import ProviderScript

if MYPY:
    from typing import Any, Optional

    from .exchange import Exchange

__all__ = ["RequestScript"]


class RequestScript(namedtuple("RequestScript", [
        "response", "reset", "no_response", "delay", "hold", "settings", "goaway", "count", "token",
        "topic"])):
    """What becomes of the next requests to the provider API. Immutable; parameters by name.

    Requests are taken whatever connection they come over, open or not yet. What is given here goes
    before the :class:`.ProviderScript` of the connection.

    :param response: reason that the request gets, whatever it is (str), or ``(status, reason)``, as
        in ``ProviderScript(response_at=...)``; None judges it as ever.
    :param reset: code of RST_STREAM that it gets (int); with 7, REFUSED_STREAM, it has not been
        processed.
    :param no_response: True processes it, and never responds. GOAWAY closes the connection in spite
        of it.
    :param delay: seconds by which its response is late.
    :param hold: True keeps the response back until ``Simulator.release_held()``.
    :param settings: settings that are sent behind it, as in ``ProviderScript(settings=...)``.
    :param goaway: True sends GOAWAY behind it, and closes once its response has been sent.
    :param count: how many requests that are (int, from 1).
    :param token: device token in hexadecimal (str): only requests for it; None for any.
    :param topic: topic (str): only requests for it; None for any.
    :raises ValueError: if a number is out of its range, or parameters exclude one another.
    """

    __slots__ = ()

    def __new__(cls, response=None, reset=None, no_response=False, delay=0.0, hold=False,
                settings=None, goaway=False, count=1, token=None, topic=None):
        # type: (Any, Optional[int], bool, float, bool, Any, bool, int, Optional[str], Optional[str]) -> RequestScript  # noqa: E501
        # It is that script for one request, so that script checks it.
        script = ProviderScript(
            response_at={} if response is None else {1: response},
            reset_at={} if reset is None else {1: reset}, delay=delay,
            settings=settings or {})
        ends = [name for name, is_given in (("response", response is not None),
                                            ("reset", reset is not None),
                                            ("no_response", no_response)) if is_given]
        if len(ends) > 1:
            raise ValueError("%s exclude one another" % " and ".join(ends))
        if delay and hold:
            raise ValueError("delay and hold exclude one another")
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError("count is %r, expected an integer, 1 or more" % (count,))
        return super(RequestScript, cls).__new__(
            cls, dict(script.response_at).get(1), reset, bool(no_response), delay, bool(hold),
            script.settings, bool(goaway), count,
            None if token is None else token.lower(), topic)

    def after_one(self):
        # type: () -> RequestScript
        """Return the script for one request less."""
        return self._replace(count=self.count - 1)

    def concerns(self, exchange):
        # type: (Exchange) -> bool
        """Return True if a request is one of those that are meant."""
        return ((self.token is None or (exchange.token or "").lower() == self.token)
                and (self.topic is None or exchange.topic == self.topic))
