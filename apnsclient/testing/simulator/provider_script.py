"""Scripts of the HTTP/2 half: how the provider API misbehaves on one connection. Values only."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

import six

from ..._compat import MYPY
from ...protocols.http2 import frames
from .provider_reasons import STATUSES
from .script import CLOSE, GARBAGE, RESET, STALL

if MYPY:
    from typing import Any, Dict, Iterable, Optional, Tuple

__all__ = ["GOAWAY", "ProviderScript", "SILENT"]

#: Ways in which a connection ends, beside those of the gateway.
GOAWAY = "goaway"
SILENT = "silent"

_ENDINGS = (CLOSE, STALL, RESET, GARBAGE, GOAWAY, SILENT)
_ENDING_FIELDS = tuple(ending + "_after" for ending in _ENDINGS)

#: Bytes that are no frame: a length beyond every limit.
_GARBAGE = b"HTTP/1.1 400 Bad Request\r\n\r\n"

#: Settings by the names that RFC 9113, 6.5.2 gives them.
SETTING_NAMES = {
    "header_table_size": frames.HEADER_TABLE_SIZE,
    "enable_push": frames.ENABLE_PUSH,
    "max_concurrent_streams": frames.MAX_CONCURRENT_STREAMS,
    "initial_window_size": frames.INITIAL_WINDOW_SIZE,
    "max_frame_size": frames.MAX_FRAME_SIZE,
    "max_header_list_size": frames.MAX_HEADER_LIST_SIZE,
}

#: Parameters whose default is not None.
_DEFAULTS = {
    "delay": 0.0, "hold": False, "late": 0, "goaway_code": frames.NO_ERROR, "goaway_delay": 0.0,
    "goaway_stays": False, "garbage": _GARBAGE, "trailers": False, "interim": False, "pings": 0,
    "noise": False, "upper_case_ids": False, "compressed": False, "throttle": False,
    "one_app": False, "refuse": False, "stall_handshake": False,
}  # type: Dict[str, Any]
#: Parameters that are a dict by the number of the request, or of the error.
_BY_NUMBER = ("settings_at", "response_at", "reset_at", "delay_at", "limit_after_errors")


class ProviderScript(namedtuple("ProviderScript", [
        "settings", "settings_at", "response_at", "reset_at", "no_response_at", "delay", "delay_at",
        "hold", "close_after", "stall_after", "reset_after", "garbage_after", "goaway_after",
        "silent_after", "late", "goaway_last", "goaway_code", "goaway_reason", "goaway_timestamp",
        "goaway_delay", "goaway_stays", "warning_after", "garbage", "window_step", "padding",
        "piece", "split", "trailers", "interim", "pings", "noise", "upper_case_ids", "compressed",
        "limit_after_errors", "goaway_after_errors", "goaway_after_bad_tokens", "throttle",
        "one_app", "refuse", "stall_handshake"])):
    """What the provider API does on one connection, apart from what it always does. Immutable.

    Give the parameters by name. Requests are counted from 1 in the order in which they become
    complete. Those that end in ``_after`` take the number of requests after which it happens, 0 for
    at once; at most one of close, stall, reset, garbage, goaway and silent can be set. Those that
    end in ``_at`` concern single requests.

    *What becomes of requests.*

    :param response_at: ``{n: reason}``: the n-th request gets that reason, whatever it is. A reason
        that Apple does not document takes ``(status, reason)``; None as reason sends no body.
    :param reset_at: ``{n: code}``: the n-th request gets RST_STREAM with that code (int, see
        ``apnsclient.protocols.http2.frames``). With REFUSED_STREAM it has not been processed;
        with every other code it has.
    :param no_response_at: numbers of requests that are processed and never get a response. GOAWAY
        closes the connection in spite of them.
    :param delay: seconds by which each response is late.
    :param delay_at: ``{n: seconds}``: the same for single responses.
    :param hold: True keeps each response back until ``Simulator.release_held()``: late by no clock.

    *How the connection ends.*

    :param close_after: close in an orderly manner, without GOAWAY.
    :param reset_after: reset the TCP connection.
    :param stall_after: stop reading, and keep the connection open.
    :param silent_after: send nothing more, not even for a PING. Requests are still processed.
    :param garbage_after: send ``garbage`` (bytes), and close.
    :param goaway_after: send GOAWAY and the ``late`` responses, and close. Requests beyond it are
        not processed.
    :param late: how many of the last requests before the ending are processed, but get no response
        before it (int). After GOAWAY they do; otherwise never.
    :param goaway_last: last stream that GOAWAY names (int); None for the last one processed. A
        lower one is a lie, and makes a correct client send again what was processed.
    :param goaway_code: its error code (int).
    :param goaway_reason: reason in its debug data, as Apple sends it, for example ``"Shutdown"``.
    :param goaway_timestamp: time in the same place, in milliseconds since 1970 (int).
    :param goaway_delay: seconds between GOAWAY and the late responses.
    :param goaway_stays: True leaves the closing to the client.
    :param warning_after: send a GOAWAY that allows for all streams, and go on.

    *What its frames look like.*

    :param settings: settings to begin with, ``{name: value}``: header_table_size, enable_push,
        max_concurrent_streams, initial_window_size, max_frame_size, max_header_list_size, or the
        number of an unknown one. What is not given is as Apple sends it.
    :param settings_at: ``{n: {name: value}}``: settings that are sent behind the n-th response.
    :param window_step: after how many bytes windows are given back (int), 0 for never.
    :param padding: bytes of padding in each frame of a response (int, 0 to 255); None for none.
    :param piece: longest part of a header block in one frame, so that CONTINUATION follows.
    :param split: longest DATA frame (int).
    :param trailers: True ends each response with trailers.
    :param interim: True sends an interim response, with status 103, before each response.
    :param pings: number of PINGs before each response (int).
    :param noise: True sends a frame of an unknown type, an unknown setting and a PRIORITY frame
        before each response.
    :param upper_case_ids: True writes the apns-id of each response in upper case.
    :param compressed: True compresses header blocks with all that HPACK has: Huffman's code, and
        the dynamic table as far as the client allows.

    *What Apple does to a client that causes errors, or that changes the application.* The page
    about testing has the sources. Errors are responses with status 4XX, apart from 410.

    :param limit_after_errors: ``{n: limit}``: after n errors the limit of streams is lowered to
        ``limit``.
    :param goaway_after_errors: after how many errors GOAWAY is sent, and the connection closed
        (int). ``goaway_code`` and the other parameters say how.
    :param goaway_after_bad_tokens: the same for responses with BadDeviceToken.
    :param throttle: True allows one stream from each notification that is rejected to the next one
        that is accepted, and refuses what is in flight beyond it.
    :param one_app: True rejects pushes for another application than that of the first push with
        TopicDisallowed.

    *Before the first byte.*

    :param refuse: True resets the connection before the TLS handshake.
    :param stall_handshake: True accepts the connection and says nothing in the TLS handshake.
    :raises ValueError: if a number is out of its range, or parameters exclude one another.
    :raises TypeError: if there is no parameter of a name.
    """

    __slots__ = ()

    def __new__(cls, **options):
        # type: (**Any) -> ProviderScript
        for name in options:
            if name not in cls._fields:
                raise TypeError("ProviderScript has no parameter %r" % name)
        values = dict.fromkeys(cls._fields)  # type: Dict[str, Any]
        values.update(_DEFAULTS)
        values.update(options)
        for name in _BY_NUMBER:
            values[name] = _pairs(name, values[name])
        values["settings"] = read_settings(values["settings"] or {})
        values["settings_at"] = tuple((n, read_settings(each)) for n, each in values["settings_at"])
        values["response_at"] = tuple((n, _response(each)) for n, each in values["response_at"])
        values["no_response_at"] = frozenset(values["no_response_at"] or ())
        _check(values)
        return super(ProviderScript, cls).__new__(cls, *[values[name] for name in cls._fields])

    def __repr__(self):
        # type: () -> str
        usual = type(self)()
        return "ProviderScript(%s)" % ", ".join(
            "%s=%r" % each for each, default in zip(zip(self._fields, self), usual)
            if each[1] != default)

    @property
    def ending(self):
        # type: () -> Optional[Tuple[str, int]]
        """What happens after how many requests; None if nothing was scripted."""
        for ending, field in zip(_ENDINGS, _ENDING_FIELDS):
            count = getattr(self, field)
            if count is not None:
                return ending, count
        return None


def read_settings(settings):
    # type: (Any) -> Tuple[Tuple[int, int], ...]
    """Return settings by name or number as ``(identifier, value)`` pairs.

    :raises ValueError: if there is no setting of a name, or a number does not fit.
    """
    pairs = []
    for name, value in sorted(dict(settings).items(), key=lambda pair: "%s" % (pair[0],)):
        number = SETTING_NAMES.get(name, name)  # type: Any
        if not _is_int(number, 0, 0xFFFF):
            raise ValueError("there is no setting %r, expected one of: %s, or a number"
                             % (name, ", ".join(sorted(SETTING_NAMES))))
        if not _is_int(value, 0, 0xFFFFFFFF):
            raise ValueError("setting %s is %r, expected an integer of 32 bits" % (name, value))
        pairs.append((int(number), int(value)))
    return tuple(pairs)


def _pairs(name, mapping):
    # type: (str, Any) -> Tuple[Tuple[int, Any], ...]
    pairs = tuple(sorted(dict(mapping or {}).items()))
    for number, _value in pairs:
        _check_number(name, number, 1)
    return pairs


def _response(given):
    # type: (Any) -> Tuple[int, Optional[str]]
    if isinstance(given, tuple):
        status, reason = given
    else:
        status, reason = STATUSES.get(given), given
    if status is None:
        raise ValueError("Apple documents no reason %r; give (status, reason)" % (reason,))
    if not _is_int(status, 200, 599):
        raise ValueError("status is %r, expected an integer, 200 to 599" % (status,))
    return status, reason


def _check(values):
    # type: (Dict[str, Any]) -> None
    given = [name for name in _ENDING_FIELDS if values[name] is not None]
    if len(given) > 1:
        raise ValueError("%s exclude one another" % " and ".join(given))
    if values["refuse"] and values["stall_handshake"]:
        raise ValueError("refuse and stall_handshake exclude one another")
    _check_numbers(values, _ENDING_FIELDS + (
        "warning_after", "goaway_last", "goaway_code", "goaway_timestamp", "window_step", "late",
        "pings"), 0)
    _check_numbers(values, ("piece", "split", "goaway_after_errors", "goaway_after_bad_tokens"), 1)
    for _, limit in values["limit_after_errors"]:
        _check_number("limit_after_errors", limit, 0, 0x7FFFFFFF)
    _check_numbers(values, ("padding",), 0, 255)
    for number in values["no_response_at"]:
        _check_number("no_response_at", number, 1)
    for _, code in values["reset_at"]:
        _check_number("reset_at", code, 0, 0xFFFFFFFF)
    delays = [("delay", values["delay"]), ("goaway_delay", values["goaway_delay"])]
    for name, delay in delays + [("delay_at", seconds) for _, seconds in values["delay_at"]]:
        if delay < 0:
            raise ValueError("%s is %r seconds, expected 0 or more" % (name, delay))


def _check_numbers(values, names, lowest, highest=None):
    # type: (Dict[str, Any], Iterable[str], int, Optional[int]) -> None
    for name in names:
        if values[name] is not None:
            _check_number(name, values[name], lowest, highest)


def _check_number(name, value, lowest, highest=None):
    # type: (str, Any, int, Optional[int]) -> None
    if not _is_int(value, lowest, highest):
        limit = "%d or more" % lowest if highest is None else "%d to %d" % (lowest, highest)
        raise ValueError("%s is %r, expected an integer, %s" % (name, value, limit))


def _is_int(value, lowest, highest=None):
    # type: (Any, int, Optional[int]) -> bool
    return (isinstance(value, six.integer_types) and not isinstance(value, bool)
            and value >= lowest and (highest is None or value <= highest))
