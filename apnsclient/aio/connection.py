"""One HTTP/2 connection to Apple, and the requests that it takes.

The lowest layer: most programs use :mod:`apnsclient.aio.api`.
"""

import asyncio
import copy
import json
import math
import re
import time
from typing import Any, Dict, List, Mapping, Optional, Set, Tuple, Union

from .._compat import text_of
from .._json import decode_json
from .._timing import Timing
from ..backends._proxy import Proxy
from ..backends._tls import Trust
from ..backends._tls_certificate import TlsCertificate
from ..outcomes import parse_response
from ..protocols.http2.headers import decode_block
from ..protocols.http2.requests import HeaderFields, RequestTemplate
from ._call import Awaited, AwaitedRequest, Future, await_post
from ._hub import Hub
from ._link import Link, open_link
from ._stream import Endpoint, NoCredential, guard_with_loop
from .errors import Blocked, Closed
from .outcome import Kind

__all__ = ["Connection", "DEFAULT_TIMING", "Request", "Response", "SSLContext",
           "create_ssl_context"]

#: Timeouts in seconds, and sizes of buffers in bytes; ``_replace()`` makes others of them.
DEFAULT_TIMING = Timing(connect_timeout=10, write_buffer_size=16384, write_timeout=20,
                        read_buffer_size=65536, read_timeout=20, read_tail_timeout=0)

_DEVICE = re.compile("/3/device/([^/?#]*)")
_ORIGIN = re.compile(r"https://(?:\[([0-9A-Fa-f:.%]+)\]|([^/:@?#\[\]]+))(?::([0-9]{1,5}))?/?")
#: Header fields that many requests have in common.
_SHARED = ("apns-topic", "apns-push-type", "apns-priority")
#: Payload that a connection without room for one is blocked for, in bytes.
_USUAL_PAYLOAD = 256


class SSLContext:
    """Which certificate a client presents, and which servers it trusts.

    It has the names of the class in the module ``ssl`` that programs for aapns use. TLS is version
    1.2 or newer, and the server is always verified.
    """

    def __init__(self) -> None:
        self.certificate: Any = None
        self._ca_file: Optional[str] = None
        self._ca_string: Union[str, bytes, None] = None

    def load_cert_chain(self, certfile: str, keyfile: Optional[str] = None,
                        password: Union[str, bytes, None] = None) -> None:
        """Load certificate and private key from files in PEM format.

        :raises ~apnsclient.errors.CertificateError: if they cannot be used.
        """
        self.certificate = TlsCertificate(cert_file=certfile, key_file=keyfile, passphrase=password)

    def load_verify_locations(self, cafile: Optional[str] = None, capath: None = None,
                              cadata: Union[str, bytes, None] = None) -> None:
        """Trust these authorities instead of the system's.

        :param cafile: name of a file in PEM format.
        :param capath: not supported.
        :param cadata: certificates in PEM format (str or bytes).
        :raises ~apnsclient.errors.CertificateError: if they cannot be used.
        """
        if capath is not None:
            raise ValueError("capath is not supported; give cafile or cadata")
        Trust(cafile, cadata).check("cadata")
        self._ca_file, self._ca_string = cafile, cadata

    @property
    def trust(self) -> Trust:
        """Which servers are trusted."""
        return Trust(self._ca_file, self._ca_string)


def create_ssl_context() -> SSLContext:
    """Return a context for the argument ``ssl`` of connections and pools, without a certificate."""
    return SSLContext()


def new_endpoint(origin: Union[str, Tuple[str, int]], ssl: Optional[SSLContext] = None,
                 proxy: Optional[str] = None) -> Endpoint:
    """Return where to connect to.

    :param origin: ``"https://host:port"``, or ``(host, port)``.
    :param ssl: certificate and trust.
    :param proxy: ``http://host:port`` of an HTTP proxy, or None.
    :raises ValueError: if the origin or the proxy is none.
    """
    if isinstance(origin, str):
        found = _ORIGIN.fullmatch(origin)
        if found is None:
            raise ValueError("the origin is %.200r, expected \"https://host:port\"" % origin)
        origin = found.group(1) or found.group(2), int(found.group(3) or 443)
    context = ssl or SSLContext()
    return Endpoint(origin, context.certificate or NoCredential(), context.trust,
                    None if proxy is None else Proxy(proxy))


class Request:
    """A request, made with :meth:`new`.

    :ivar path: its path (str).
    :ivar header: its header fields (dict).
    :ivar data: its body (bytes).
    :ivar deadline: when its time is over, on the clock ``time.monotonic()``, which is that of event
        loops (float), or None.
    """

    def __init__(self, path: str, header: Mapping[str, str], data: bytes,
                 deadline: Optional[float], method: str = "POST") -> None:
        self.path = path
        self.header = dict(header)
        self.data = data
        self.deadline = deadline
        self.method = method

    @classmethod
    def new(cls, path: str, header: Optional[Mapping[str, str]], data: Any,
            timeout: Optional[float] = 10, deadline: Optional[float] = None,
            expiration: Optional[float] = None, method: str = "POST") -> "Request":
        """Return a new request.

        :param path: such as ``"/3/device/<token>"``.
        :param header: header fields, without those that each request has (dict), or None.
        :param data: the body: bytes, text, or what becomes JSON.
        :param timeout: seconds for it (float), or None.
        :param deadline: when its time is over, on the clock ``time.monotonic()`` (float), or None.
        :param expiration: when the notification is of no more use, in seconds since 1970 (float);
            None or 0 for no such time. The earliest of the three counts.
        :param method: such as ``"GET"``.
        :raises ValueError: if a header field cannot be sent, or a time is not a number.
        """
        body = data if isinstance(data, bytes) else (
            data if isinstance(data, str)
            else json.dumps(data, separators=(",", ":"), ensure_ascii=False)).encode("utf-8")
        now = time.monotonic()
        ends = [deadline, None if timeout is None else now + timeout,
                now + expiration - time.time() if expiration else None]
        known = [end for end in ends if end is not None]
        if any([math.isnan(end) for end in known]):
            raise ValueError("timeout, deadline or expiration is not a number: %r, %r, %r" % (
                timeout, deadline, expiration))
        for name, value in (header or {}).items():
            _check_field(name, value)
        return cls(path, header or {}, body, min(known) if known else None, method)

    def __repr__(self) -> str:
        return "<%s.Request %s of %d bytes>" % (__name__, self.method, len(self.data))

    def post(self, hub: Hub, future: Future) -> Awaited:
        """Return what is awaited when it is sent."""
        fields = [(name.lower().encode("ascii"), str(value).encode("ascii"))
                  for name, value in self.header.items()]
        found = _DEVICE.fullmatch(self.path) if self.method == "POST" else None
        if found is None:
            return AwaitedRequest(hub, (self.method.encode("ascii"), self.path.encode("ascii"),
                                        fields, self.data), self.deadline, future)
        template = RequestTemplate(HeaderFields(
            [(name, value, name.decode("ascii") in _SHARED) for name, value in fields]), self.data)
        return Awaited(hub, found.group(1), template, self.deadline, future)


def _check_field(name: str, value: Any) -> None:
    if not re.fullmatch("[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError("%.100r is not the name of a header field" % (name,))
    text = str(value)
    if not re.fullmatch("[!-~]+( +[!-~]+)*", text):
        raise ValueError("the header field %s is %.200r, expected printable ASCII without space at "
                         "either end" % (name, value))


class Response:
    """A response.

    :ivar code: HTTP status (int).
    :ivar header: its header fields (dict of str).
    :ivar data: what its body has as JSON; None if it is empty or none.
    """

    __slots__ = ("code", "data", "header")

    def __init__(self, code: int, header: Mapping[str, str], data: Any) -> None:
        self.code = code
        self.header: Dict[str, str] = dict(header)
        self.data = data

    @classmethod
    def of(cls, response: Any) -> "Response":
        """Return a response of the protocol as one of these."""
        block = response.block
        fields: List[Tuple[bytes, bytes]] = (
            decode_block(block) if isinstance(block, bytes) else block or [])
        try:
            data = decode_json(response.body) if response.body else None
        except ValueError:
            data = None
        return cls(response.status, {
            name.decode("latin-1"): value.decode("latin-1") for name, value in fields}, data)

    @property
    def apns_id(self) -> Optional[str]:
        """Identifier of the notification, in lower case, or None."""
        found = self.header.get("apns-id")
        return found and found.lower()

    @property
    def reason(self) -> Optional[str]:
        """Apple's name of the reason for a failure, or None."""
        if self.code == 200 or self.data is None:
            return None
        return parse_response(json.dumps(self.data).encode("ascii"))[0]

    def __repr__(self) -> str:
        reason = self.reason
        return "<%s.Response %d%s>" % (__name__, self.code, " " + reason if reason else "")


class Connection:
    """One HTTP/2 connection; made with :meth:`create`, in the event loop that it belongs to.

    It is an asynchronous context manager, which closes it.

    :ivar outcome: why it has ended, or is ending (str), or None.
    """

    def __init__(self, endpoint: Endpoint, timing: Timing = DEFAULT_TIMING) -> None:
        self._loop = asyncio.get_running_loop()
        self._hub = Hub(endpoint, timing, 60.0, self._look)
        self._link: Optional[Link] = None
        self.outcome: Optional[str] = None
        self._is_opening = False
        self._is_closing = False
        self._waiters: Set[asyncio.Future[None]] = set()
        self._guard: Any = None

    @classmethod
    async def create(cls, origin: Union[str, Tuple[str, int]], ssl: Optional[SSLContext] = None, *,
                     proxy: Optional[str] = None, timeout: Optional[float] = 10) -> "Connection":
        """Connect.

        :param origin: ``"https://host:port"``, or ``(host, port)``.
        :param ssl: certificate and trust, from :func:`create_ssl_context`.
        :param proxy: ``http://host:port`` of an HTTP proxy, with ``user:password@`` where needed.
        :param timeout: seconds for TCP and TLS, and again for the settings (float), or None.
        :raises ~apnsclient.errors.ConnectError: if there is no connection.
        """
        self = cls(new_endpoint(origin, ssl, proxy))
        self._is_opening = True
        try:
            self._link = await open_link(self._hub, timeout)
        except BaseException as error:
            self.outcome = text_of(error)
            self._is_closing = True
            raise
        self._hub.use(self._link)
        self._guard = guard_with_loop(self._hub.abort_links)
        await self._guard.asend(None)
        return self

    @property
    def state(self) -> str:
        """``"new"``, ``"starting"``, ``"active"``, ``"closing"`` or ``"closed"``."""
        if self._link is None:
            return "closed" if self._is_closing else "starting" if self._is_opening else "new"
        if self._link not in self._hub.links:
            return "closed"
        is_ending = self._is_closing or self._hub.failure is not None or not self._link.is_active
        return "closing" if is_ending else "active"

    @property
    def closing(self) -> bool:
        """True if it takes no further requests."""
        return self.state in ("closing", "closed")

    @property
    def closed(self) -> bool:
        """True if it has ended."""
        return self.state == "closed"

    @property
    def inflight(self) -> int:
        """How many requests were written and have no response yet (int)."""
        return self._hub.in_flight

    @property
    def buffered(self) -> int:
        """How many requests were taken and not written yet (int)."""
        return self.pending - self.inflight

    @property
    def pending(self) -> int:
        """How many requests have not ended (int)."""
        return self._hub.tally.outstanding

    @property
    def blocked(self) -> bool:
        """True if nothing more can be sent now; :meth:`wait_until_unblocked` says when it can."""
        link = self._link
        if link is None or self.closing:
            return True
        room = min(link.state.client.room(_USUAL_PAYLOAD), link.state.limit.room())
        return not link.stream.is_writable or self.buffered >= room

    async def wait_until_unblocked(self) -> None:
        """Wait until more can be sent, or until the connection takes no further requests.

        :raises ~apnsclient.aio.errors.Closed: if it takes none.
        :raises RuntimeError: if another event loop runs than the one that it belongs to.
        """
        self._check_loop()
        while self.blocked:
            if self.closing:
                raise self._closed()
            waiter = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    async def post(self, request: Request) -> Response:
        """Send a request, and return its response, whatever the status.

        A request that the server has refused, and so not processed, is sent again over the same
        connection; no other is.

        :raises ~apnsclient.aio.errors.Blocked: if nothing more can be sent now.
        :raises ~apnsclient.aio.errors.Closed: if the connection takes no further requests; or if it
            was lost, and then ``kind`` says whether the request may have been processed.
        :raises ~apnsclient.aio.errors.StreamReset: if the server has reset the request.
        :raises ~apnsclient.aio.errors.Timeout: if the time of the request is over.
        :raises RuntimeError: if another event loop runs than the one that it belongs to.
        """
        self._check_loop()
        if self.closing:
            raise self._closed()
        if self.blocked:
            raise Blocked("the connection takes no further requests now", kind=Kind.unprocessed)
        future = self._loop.create_future()
        return Response.of(await await_post(request.post(self._hub, future), self._hub, future))

    def _check_loop(self) -> None:
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this connection belongs to another event loop")

    def _closed(self) -> Exception:
        if self._hub.failure is not None:
            return copy.copy(self._hub.failure)
        return Closed(self.outcome or "the connection is closed", kind=Kind.unprocessed)

    def _look(self) -> None:
        """See what has changed; called by the hub."""
        link, hub = self._link, self._hub
        if link is None:
            return
        if self.closing:
            if self.outcome is None:
                self.outcome = text_of(hub.failure) if hub.failure is not None else (
                    link.state.problem or "it was closed")
            # There is no other connection that could take them.
            hub.end_waiting(self._closed())
        if not hub.links:
            hub.cancel_timer()
        if self._waiters and not (self.blocked and not self.closing):
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def close(self) -> None:
        """Close it. Requests that have no response yet end as unknown.

        :raises RuntimeError: if another event loop runs than the one that it belongs to.
        """
        self._check_loop()
        self._is_closing = True
        self.outcome = self.outcome or "it was closed"
        closed = self._hub.close_links()
        self._hub.end_waiting(self._closed())
        self._hub.cancel_timer()
        self._hub.schedule()  # Whoever waits until it is unblocked is told.
        if self._hub.all_ended is not None:
            closed.append(self._hub.all_ended)
        if closed:
            await asyncio.wait(closed)
        if self._guard is not None:
            guard, self._guard = self._guard, None
            await guard.aclose()

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return "<%s.Connection %s to %s: inflight %d, buffered %d%s>" % (
            __name__, self.state, self._hub.endpoint, self.inflight, self.buffered,
            ", outcome %r" % self.outcome if self.outcome else "")
