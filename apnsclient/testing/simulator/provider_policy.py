"""Apple's verdict on each request to the provider API. No socket, no thread.

What it has against the header of a push is in :mod:`.provider_rules`.
"""

from __future__ import absolute_import, division, print_function

from binascii import Error as BinasciiError
from binascii import unhexlify
from collections import namedtuple

from ..._compat import MYPY
from .provider_reasons import STATUSES
from .provider_rules import find_fault

if MYPY:
    from typing import Any, Callable, Dict, Optional

    from ...protocols.http2.server import Request
    from .devices import Devices
    from .provider_head import Head

    Judge = Callable[[Request, bytes, Head, Any], "Verdict"]

__all__ = ["ProviderPolicy", "Response", "Verdict", "rejection"]

_DEVICE_PATH = b"/3/device/"
#: Headers whose fault is kept, at most so many.
_KEPT_FAULTS = 512

#: Verdict on a request: HTTP status, reason (None for success), time in seconds since 1970 (None
#: without one), whether a notification was accepted, and :class:`Response` where the response is
#: not one to a push for a device.
Verdict = namedtuple("Verdict", "status reason timestamp is_accepted response")

#: A response with an apns-request-id: its other fields (pairs of bytes) and, if it succeeds, body.
Response = namedtuple("Response", "fields body")

_ACCEPTED = Verdict(200, None, None, True, None)


class ProviderPolicy(object):
    """Decides about requests, on all connections.

    :param devices: registry of devices (:class:`.devices.Devices`).
    :param judge_other: decides about requests that are not for a device, like :meth:`judge`.
    """

    def __init__(self, devices, judge_other):
        # type: (Devices, Judge) -> None
        self._find = devices.find_fault
        self._judge_other = judge_other
        #: What is wrong with headers that have been judged.
        self._faults = {}  # type: Dict[Head, Optional[str]]

    def judge(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request.

        :param caller: one of :mod:`.provider_callers`.
        """
        if path[:10] != _DEVICE_PATH:
            return self._judge_other(request, path, head, caller)
        if head.method != b"POST":
            return rejection("MethodNotAllowed")
        judged = head
        if head.topic is None and caller.default_topic is not None:
            judged = head.complete(caller.default_topic)
        reason = caller.judge(judged) or self._find_fault(judged)
        if reason is not None:
            return rejection(reason)
        size = len(request.body)
        if not 0 < size <= judged.payload_size:
            return rejection("PayloadTooLarge" if size else "PayloadEmpty")
        try:
            # Of any length: "Don't make assumptions about device token size."
            token = unhexlify(path[10:])
        except (BinasciiError, TypeError):
            return rejection("BadDeviceToken")
        if not token:
            return rejection("MissingDeviceToken")
        fault = self._find(token, judged.topic)
        if fault is not None:
            return rejection(*fault)
        return _ACCEPTED

    def _find_fault(self, head):
        # type: (Head) -> Optional[str]
        try:
            return self._faults[head]
        except KeyError:
            if len(self._faults) >= _KEPT_FAULTS:
                self._faults.clear()
            fault = self._faults[head] = find_fault(head)
            return fault


def rejection(reason, timestamp=None):
    # type: (str, Optional[int]) -> Verdict
    """Return the verdict of a documented reason."""
    return Verdict(STATUSES[reason], reason, timestamp, False, None)
