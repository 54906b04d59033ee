"""Responses of the provider API: header fields, body, and the frames that they come in."""

from __future__ import absolute_import, division, print_function

import os
from binascii import hexlify

from ..._compat import MYPY
from ...protocols.http2 import frames
from ...protocols.http2.headers import load_hpack
from ...protocols.http2.server_headers import response_block
from ...protocols.http2.server_streams import PLAIN, Shape

if MYPY:
    from typing import List, Optional, Tuple

    from ...protocols.http2.server import ServerConnection
    from .exchange import ProviderExchange
    from .provider_policy import Verdict
    from .provider_script import ProviderScript

    Field = Tuple[bytes, bytes]

__all__ = ["Ids", "ResponseWriter"]

#: Frames that a client has to ignore: of an unknown type, an unknown setting, a priority.
_NOISE_KIND, _NOISE_SETTING = 0xFA, 0xFAFA
_TRAILERS = ((b"apns-trailer", b"end"),)
#: Field with the address of the page where a push can be looked at. Apple sends none of the kind.
PAGE_FIELD = b"apns-simulator-page"
#: In the header of each response with a reason.
_JSON = (b"content-type", b"application/json")


class Ids(object):
    """Makes identifiers of notifications, the same for the whole simulator."""

    def __init__(self):
        # type: () -> None
        digits = hexlify(os.urandom(8))
        self._prefix = b"%s-%s-4%s-a%s-" % (digits[:8], digits[8:12], digits[12:15], digits[13:16])
        self._count = 0

    def new(self):
        # type: () -> bytes
        """Return another UUID in lower case."""
        self._count += 1
        return b"%s%012x" % (self._prefix, self._count)


class ResponseWriter(object):
    """Writes the responses of one connection in the form that its script gives them.

    :param connection: :class:`ServerConnection`.
    :param script: :class:`.provider_script.ProviderScript` of the connection.
    :param ids: :class:`Ids`.
    :param is_sandbox: True adds the apns-unique-id that only the sandbox sends.
    :param page_url: address of the page of an exchange, with ``{number}`` in it (bytes); None
        leaves the field out that tells it.
    """

    def __init__(self, connection, script, ids, is_sandbox, page_url=None):
        # type: (ServerConnection, ProviderScript, Ids, bool, Optional[bytes]) -> None
        self._connection, self._script, self._ids = connection, script, ids
        self._page_url = page_url
        self._is_sandbox = is_sandbox
        self._encoder = load_hpack().Encoder() if script.compressed else None
        self._shape = PLAIN
        if script.padding is not None or script.piece or script.split or script.trailers:
            self._shape = Shape(script.padding, script.piece, script.split,
                                _TRAILERS if script.trailers else ())

    def write_plain(self, time, exchange, verdict):
        # type: (float, ProviderExchange, Verdict) -> None
        """Write a response about whose form the script says nothing."""
        fields, body = self._contents(exchange, verdict)
        self._connection.response(exchange.stream, response_block(verdict.status, fields), body)
        exchange.respond(time, verdict, fields, body)

    def write(self, time, exchange, verdict):
        # type: (float, ProviderExchange, Verdict) -> None
        """Write a response, and before it what the script has in front of each.

        :param time: seconds since 1970.
        """
        stream = exchange.stream
        self._write_noise(stream)
        fields, body = self._contents(exchange, verdict)
        if self._script.upper_case_ids:
            fields[0] = (fields[0][0], fields[0][1].upper())
        self._connection.response(stream, self._block(verdict.status, fields), body, self._shape)
        exchange.respond(time, verdict, fields, body)

    def _contents(self, exchange, verdict):
        # type: (ProviderExchange, Verdict) -> Tuple[List[Field], bytes]
        """Return the fields of a response, its identifier first, and its body."""
        name, echo, response = b"apns-id", exchange.head.echo, verdict.response
        if response is not None:
            name, echo = b"apns-request-id", exchange.head.request_echo
        fields = [(name, echo or self._ids.new())]
        # Of broadcasts, Apple's page has it in either environment.
        if verdict.is_accepted and (self._is_sandbox or response is not None):
            fields.append((b"apns-unique-id", self._ids.new()))
        body = b""
        if response is not None:
            fields.extend(response.fields)
            body = response.body
        if verdict.reason is not None:
            body = _error_body(verdict)
            fields.append(_JSON)
        if self._page_url is not None:
            fields.append((
                PAGE_FIELD, self._page_url.replace(b"{number}", b"%d" % exchange.number)))
        return fields, body

    def _block(self, status, fields):
        # type: (int, List[Field]) -> bytes
        encoder = self._encoder
        if encoder is None:
            return response_block(status, fields)
        size = min(self._connection.peer_table_size, frames.DEFAULT_TABLE_SIZE)
        if encoder.header_table_size != size:
            encoder.header_table_size = size
        return bytes(encoder.encode([(b":status", str(status).encode("ascii"))] + fields))

    def _write_noise(self, stream):
        # type: (int) -> None
        script, connection = self._script, self._connection
        for number in range(script.pings):
            connection.send_raw(frames.ping(b"%08x" % (number & 0xFFFFFFFF)))
        if script.noise:
            connection.send_raw(frames.frame(_NOISE_KIND, 0xFF, stream, b"noise"))
            connection.send_raw(frames.frame(frames.PRIORITY, 0, stream, b"\0\0\0\0\x10"))
            connection.change_settings(((_NOISE_SETTING, 1),))
        if script.interim:
            connection.inform(stream, self._block(103, []))


def _error_body(verdict):
    # type: (Verdict) -> bytes
    reason = verdict.reason.encode("ascii")
    if verdict.timestamp is None:
        return b'{"reason":"%s"}' % reason
    return b'{"reason":"%s","timestamp":%d}' % (reason, verdict.timestamp * 1000)
