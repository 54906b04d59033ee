"""Who may ask what: the web server has power over the simulator, and shows what was pushed.

A browser asks whatever any page tells it to, so that listening on loopback is not enough:

- A name that is not ours leads to this machine if whoever owns it wants so (DNS rebinding); the
  page of that name may read everything then. Requests to such names are refused.
- A page from elsewhere may send forms and simple requests to addresses, without reading the
  response. Browsers say where those come from, in Origin and Sec-Fetch-Site (Fetch Metadata, W3C);
  whatever changes something is refused unless it comes from the page itself. Programs that are no
  browsers send neither.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ipaddress
from typing import Dict, Iterable, List, Optional, Tuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import error_response

__all__ = ["Access", "HEADERS", "Guard", "LARGEST_BODY", "LARGEST_BODIES"]

#: Size of a request's body in bytes that is taken at most, and for paths where it is another one.
LARGEST_BODY = 1024 * 1024
LARGEST_BODIES: Dict[str, int] = {"/api/v1/import": 512 * 1024 * 1024}

#: Longest time in seconds without a part of a body that is on its way.
_PATIENCE = 30.0

#: What each response tells a browser. All that the page needs comes from this server.
HEADERS = {
    "Content-Security-Policy":
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

#: What needs no password: a container's health check has none.
_FREE = ("/api/v1/health",)

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Access:
    """Judges the headers of a request.

    :param hosts: names that browsers may use, besides ``localhost`` and addresses (iterable of
        str); an address in place of a name does no harm.
    :param password: the password (str), or None.
    :raises ValueError: if the password is empty.
    """

    def __init__(self, hosts: Iterable[str], password: Optional[str] = None) -> None:
        if password == "":
            raise ValueError("the password of the web server is empty")
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._password = None if password is None else _digest(password.encode("utf-8"))

    @property
    def has_password(self) -> bool:
        """Whether a password is asked for."""
        return self._password is not None

    def is_known_host(self, value: Optional[str]) -> bool:
        """Return True if a request with this Host header is for us.

        Addresses are: nobody can have them lead elsewhere.
        """
        host = _host_of(value or "")
        if host is None:
            return False
        if host == "localhost" or host.endswith(".localhost") or host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def is_from_elsewhere(self, headers: Headers) -> bool:
        """Return True if a browser says that another site's page is behind a request."""
        site = headers.get("sec-fetch-site")
        if site is not None and site.strip().lower() not in ("same-origin", "none"):
            return True
        origin = headers.get("origin")
        if origin is None:
            return False
        try:
            # "null" is the origin of a page without one, such as a file.
            return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        except ValueError:
            return True

    def is_authorized(self, headers: Headers) -> bool:
        """Return True if a request has the password, or needs none.

        How long it takes says nothing about the password, its length among it.
        """
        if self._password is None:
            return True
        return hmac.compare_digest(
            _digest(_given_password(headers.get("authorization", ""))), self._password)


def _digest(password: bytes) -> bytes:
    return hashlib.sha256(password).digest()


def _host_of(value: str) -> Optional[str]:
    """Return the host of a Host header in lower case, without port or brackets; None for garbage.
    """
    if not value or any(character in value for character in "/@\\?# \t,"):
        return None
    try:
        parts = urlsplit("//" + value)
        # The port is read for its error.
        return (parts.hostname or "").rstrip(".") if parts.port != -1 else None
    except ValueError:
        return None


def _given_password(authorization: str) -> bytes:
    """Return the password of an Authorization header, empty if it has none."""
    scheme, _, value = authorization.partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode("latin-1")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


class Guard:
    """ASGI middleware: lets through what :class:`Access` allows, in bounds, and adds headers.

    :param application: what is guarded.
    :param access: judges the requests.
    """

    def __init__(self, application: ASGIApp, access: Access) -> None:
        self._application = application
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return

        headers = Headers(scope=scope)
        limit = LARGEST_BODIES.get(scope["path"], LARGEST_BODY)
        body = _Body(receive, limit, headers)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if not body.is_complete:
                    # Nobody is going to read the rest.
                    headers["Connection"] = "close"
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal_of(scope, headers)
        if refusal is not None:
            status, text, more = refusal
            await error_response(status, text, headers=more)(scope, receive, send_with_headers)
            return
        await self._application(scope, body.receive, send_with_headers)

    def _refusal_of(self, scope: Scope,
                    headers: Headers) -> Optional[Tuple[int, str, Dict[str, str]]]:
        """Return status, text and headers of the response to a request that goes no further."""
        hosts: List[str] = headers.getlist("host")
        if len(hosts) != 1 or not self._access.is_known_host(hosts[0]):
            return 403, ("this server does not go by the name in the Host header. If the name is "
                         "yours, say so with --name."), {}
        if scope["method"] not in _SAFE_METHODS and self._access.is_from_elsewhere(headers):
            return 403, ("the request comes from another site's page, by its Origin or "
                         "Sec-Fetch-Site header"), {}
        if scope["path"] not in _FREE and not self._access.is_authorized(headers):
            return 401, "the password is missing or wrong", {
                "WWW-Authenticate": 'Basic realm="apns simulator", charset="UTF-8"'}
        length = headers.get("content-length", "0")
        limit = LARGEST_BODIES.get(scope["path"], LARGEST_BODY)
        if not length.isdecimal() or len(length) > 18 or int(length) > limit:
            return 413, _too_large(limit), {}
        return None


def _too_large(limit: int) -> str:
    return "the body is larger than %d bytes" % limit


class _Body:
    """The body of a request, up to a limit.

    :param receive: where it comes from.
    :param limit: its size in bytes, at most.
    :param headers: those of the request.
    """

    def __init__(self, receive: Receive, limit: int, headers: Headers) -> None:
        self._receive = receive
        self._limit = self._left = limit
        #: Whether there is none, or it has been received to its end.
        self.is_complete = (
            "transfer-encoding" not in headers and headers.get("content-length", "0") == "0")

    async def receive(self) -> Message:
        """Receive as an application does.

        :raises HTTPException: if the body is larger than it may be, or does not come.
        """
        try:
            # Behind a body comes the end of the connection, however late.
            message = await asyncio.wait_for(
                self._receive(), None if self.is_complete else _PATIENCE)
        except asyncio.TimeoutError:
            raise HTTPException(400) from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise HTTPException(413, _too_large(self._limit))
        if not message.get("more_body", False):
            self.is_complete = True
        return message
