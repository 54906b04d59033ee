"""A small HTTP API: what handlers there are, which are in use, and how to change that.

It speaks JSON, has a port of its own, and is bound to loopback: whoever reaches it decides what
becomes of all connections. Every user of the machine does, and every browser on it. So nothing that
comes over it makes the proxy import a module, and what a web page sends is refused: its requests
have the header ``Origin`` or ``Sec-Fetch-Site``, or the name of a foreign host that leads here
(DNS rebinding), and an HTML form cannot send JSON.

======================  ==========================================================================
``GET /handlers``       the handlers that there are, with their options
``GET /handler``        behavior, settings and seed
``PUT /handler``        changes behavior and settings; ``POST`` does the same
``GET /connections``    the connections that are on record
======================  ==========================================================================
"""

from __future__ import absolute_import, division, print_function

import inspect
import io
import json
import re
import socket
import threading

import six
from six.moves import BaseHTTPServer

from ..._compat import MYPY, monotonic
from .errors import ConfigurationError

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Tuple

    from .proxy import ChaosProxy

__all__ = ["HttpApi", "describe_handler"]

#: Most bytes that the body of a request may have, and all of it.
_LONGEST = 65536
_LONGEST_REQUEST = 2 * _LONGEST
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: What the header Host says where the client meant this machine.
_LOOPBACK_HOST = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]*)?$", re.IGNORECASE)


class HttpApi(object):
    """Serves the HTTP API of a proxy, in a thread. Use it as a context manager.

    From here on the proxy imports no more handlers, see :meth:`.ChaosProxy.stop_importing`.

    :param proxy: the proxy.
    :param host: ``127.0.0.1``, ``::1`` or ``localhost`` (str).
    :param port: port to listen on (int); 0 takes a free one.
    :raises ConfigurationError: if the host is not this machine's loopback, or an alias of the proxy
        stands for a handler that there is not.

    :ivar address: ``(host, port)`` that it listens on, once it has been started.
    """

    def __init__(self, proxy, host="127.0.0.1", port=0):
        # type: (ChaosProxy, str, int) -> None
        if host not in _LOOPBACK:
            raise ConfigurationError("the HTTP API cannot listen at %r, where others could reach "
                                     "it; expected one of %s" % (host, ", ".join(_LOOPBACK)))
        proxy.stop_importing()
        self.address = (host, port)
        self._proxy = proxy
        self._server = None  # type: Any
        self._thread = None  # type: Any

    def start(self):
        # type: () -> HttpApi
        """Listen, and serve in a thread; return itself.

        :raises socket.error: if it cannot listen there.
        """
        host, port = self.address
        server = _Server((host, port), self._proxy)
        self._server = server
        self.address = (host, server.server_address[1])
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05},
            name="apnsclient chaos HTTP API")
        self._thread.daemon = True
        self._thread.start()
        return self

    def stop(self):
        # type: () -> None
        """Stop listening, and end the thread. May be called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()
            server.hang_up()

    def __enter__(self):
        # type: () -> HttpApi
        return self.start()

    def __exit__(self, *exception):
        # type: (*Any) -> None
        self.stop()


class _Server(BaseHTTPServer.HTTPServer):
    """The server; requests find the proxy here.

    Each connection has a thread of its own, so that a client that is slow, or says nothing, holds
    up neither the others nor the end.
    """

    request_queue_size = socket.SOMAXCONN

    def __init__(self, address, proxy):
        # type: (Tuple[str, int], ChaosProxy) -> None
        self.proxy = proxy
        self._serving = []  # type: List[Tuple[threading.Thread, socket.socket]]
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        # Not super(): on Python 2.7 this is an old-style class.
        BaseHTTPServer.HTTPServer.__init__(self, address, _Request)

    def process_request(self, request, client_address):
        # type: (Any, Any) -> None
        """Begin to serve a connection."""
        thread = threading.Thread(target=self._serve, args=(request, client_address),
                                  name="apnsclient chaos HTTP request")
        thread.daemon = True
        thread.start()
        self._serving = [each for each in self._serving if each[0].is_alive()]
        self._serving.append((thread, request))

    def _serve(self, request, client_address):
        # type: (Any, Any) -> None
        """Serve a connection; the body of its thread."""
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)

    def hang_up(self):
        # type: () -> None
        """End what is being served; called when nothing new can come."""
        for thread, request in self._serving:
            try:
                request.shutdown(socket.SHUT_RDWR)
            except socket.error:
                pass  # It is over.
            thread.join()

    def server_bind(self):
        # type: () -> None
        """Bind without asking for the host's full name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request, client_address):
        # type: (Any, Any) -> None
        """Say nothing of clients that go away in the middle."""


class _Refusal(Exception):
    """A request that cannot be served: status and message."""

    def __init__(self, status, message):
        # type: (int, str) -> None
        super(_Refusal, self).__init__(message)
        self.status = status


class _Input(io.RawIOBase):
    """What comes over a connection: no more than a request may have, nor for longer.

    :param connected: the socket.
    :param timeout: longest time in seconds (float) for all of it.
    """

    def __init__(self, connected, timeout):
        # type: (socket.socket, float) -> None
        super(_Input, self).__init__()
        self._socket = connected
        self._timeout = timeout
        self._end = monotonic() + timeout
        self._left = _LONGEST_REQUEST

    def readable(self):
        # type: () -> bool
        return True

    def readinto(self, buffer):
        # type: (Any) -> int
        """Read what there is, or raise: what was cut short must not pass for a request."""
        left = self._end - monotonic()
        if left <= 0 or not self._left:
            raise socket.timeout("the request is too long, or takes too long")
        self._socket.settimeout(left)
        try:
            size = self._socket.recv_into(buffer, min(len(buffer), self._left))
        finally:
            self._socket.settimeout(self._timeout)
        self._left -= size
        return size


class _Request(BaseHTTPServer.BaseHTTPRequestHandler):
    """One request."""

    #: Seconds that a client may take for its request, and to take a piece of the response.
    timeout = 5
    server_version = "apns-chaos"
    #: Not that of the Python as well.
    sys_version = ""

    def setup(self):
        # type: () -> None
        """Prepare for reading and writing."""
        # Not super(): on Python 2.7 this is an old-style class.
        BaseHTTPServer.BaseHTTPRequestHandler.setup(self)
        self.rfile.close()
        self.rfile = io.BufferedReader(_Input(self.connection, self.timeout))

    def do_GET(self):
        # type: () -> None
        """Read something."""
        self._respond({"/handlers": self._handlers, "/handler": self._handler,
                      "/connections": self._connections})

    def do_PUT(self):
        # type: () -> None
        """Change something."""
        self._respond({"/handler": self._change})

    do_POST = do_PUT

    def log_message(self, format, *arguments):
        # type: (str, *Any) -> None
        """Write nothing to standard error."""

    def _respond(self, routes):
        # type: (Dict[str, Callable[[], Any]]) -> None
        allow = None
        try:
            # Also if it will not be used: what was not read would reset the connection.
            self._body = self._read_body() if self.command in ("PUT", "POST") else b""
            self._check_caller()
            path = self.path.partition("?")[0]
            if path not in routes:
                allow = "GET, POST, PUT" if path == "/handler" else "GET"
                raise self._no_route(path)
            status, document = 200, routes[path]()
        except _Refusal as refusal:
            status, document = refusal.status, {"error": str(refusal)}
        # The options of a handler may have values that JSON does not know.
        body = (json.dumps(document, sort_keys=True, default=repr) + "\n").encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 405 and allow:
            self.send_header("Allow", allow)
        self.end_headers()
        self.wfile.write(body)

    def _check_caller(self):
        # type: () -> None
        """Refuse what a browser sends on behalf of a web page."""
        host = self.headers.get("Host", "localhost")  # HTTP/1.0 does without.
        if not _LOOPBACK_HOST.match(host):
            raise _Refusal(403, "the request is for the host %s; expected localhost" % host[:100])
        site = self.headers.get("Sec-Fetch-Site", "none")  # none: somebody typed the address.
        if "Origin" in self.headers or site != "none":
            raise _Refusal(403, "the request comes from a web page (%s); expected one of a program"
                           % self.headers.get("Origin", site)[:100])

    def _no_route(self, path):
        # type: (str) -> _Refusal
        if path in ("/handler", "/handlers", "/connections"):
            return _Refusal(405, "%s cannot be used with %s" % (path, self.command))
        return _Refusal(404, "there is no %s; expected /handler, /handlers or /connections" % path)

    def _handlers(self):
        # type: () -> Any
        proxy = self.server.proxy  # type: ignore[attr-defined]
        return {"handlers": dict((name, describe_handler(proxy.handler_class(name)))
                                 for name in proxy.handler_names())}

    def _handler(self):
        # type: () -> Any
        proxy = self.server.proxy  # type: ignore[attr-defined]
        names = sorted(set(proxy.handler_names()) | set(proxy.behavior_names))
        return {"behavior": proxy.behavior, "seed": proxy.seed,
                "settings": dict((name, proxy.settings(name)) for name in names)}

    def _connections(self):
        # type: () -> Any
        proxy = self.server.proxy  # type: ignore[attr-defined]
        return {"connections": [record.as_dict() for record in proxy.connections]}

    def _change(self):
        # type: () -> Any
        proxy = self.server.proxy  # type: ignore[attr-defined]
        kind = self.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise _Refusal(415, "the request has the Content-Type %r; expected application/json"
                           % str(kind[:100]))
        request = self._parse_body()
        try:
            proxy.change(**_check_change(request))
        except ConfigurationError as error:
            raise _Refusal(400, str(error))
        return self._handler()

    def _read_body(self):
        # type: () -> bytes
        length = self.headers.get("Content-Length", "")
        if not re.match("[0-9]+$", length):  # Other digits than these count as digits too.
            raise _Refusal(411, "the request has no Content-Length")
        if int(length) > _LONGEST:
            raise _Refusal(413, "the request has %s bytes; expected at most %d"
                           % (length, _LONGEST))
        return self.rfile.read(int(length))

    def _parse_body(self):
        # type: () -> Any
        """Return the body of the request, which has to be an object of JSON."""
        try:
            found = json.loads(self._body.decode("utf-8"))
        except (ValueError, RuntimeError) as error:  # RuntimeError: it is nested too deeply.
            raise _Refusal(400, "the request is not JSON: %s" % error)
        if not isinstance(found, dict):
            raise _Refusal(400, "the request is %s; expected an object" % json.dumps(found)[:100])
        return found


def _check_change(request):
    # type: (Dict[str, Any]) -> Dict[str, Any]
    """Return the arguments for the proxy's ``change()``."""
    unknown = set(request) - set(["behavior", "handler", "settings", "existing"])
    if unknown:
        raise ConfigurationError("there is no %s; expected behavior or handler, settings, existing"
                                 % ", ".join(sorted(six.ensure_str(name) for name in unknown)))
    if "behavior" in request and "handler" in request:
        raise ConfigurationError("behavior and handler are both there; expected one of them")
    settings = request.get("settings", {})
    if not isinstance(settings, dict) or not all(
            isinstance(values, dict) for values in settings.values()):
        raise ConfigurationError("settings is %s; expected an object of objects: values by handler "
                                 "and option" % json.dumps(settings)[:100])
    if not isinstance(request.get("existing", False), bool):
        raise ConfigurationError("existing is %s; expected true or false"
                                 % json.dumps(request["existing"])[:100])
    behavior = request.get("behavior")  # type: Optional[Any]
    if "handler" in request:
        behavior = "100:%s" % (request["handler"],)
    return {"behavior": behavior, "existing": request.get("existing", False),
            "settings": settings}


def describe_handler(handler):
    # type: (Any) -> Dict[str, Any]
    """Return what there is to know of a handler, as JSON can have it."""
    text = (inspect.getdoc(handler) or "").partition("\n")[0]
    return {"description": text, "options": dict(
        (name, {"description": what, "type": getattr(kind, "__name__", str(kind)),
                "default": default})
        for name, (what, kind, default) in handler.options.items())}
