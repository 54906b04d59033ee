"""The page: plain files, read once, that a browser asks for again only if they have changed.

Nothing but these can be asked for, whatever the path.
"""

import hashlib
import os
from typing import Awaitable, Callable, Dict, NamedTuple

from fastapi import FastAPI, Request, Response

__all__ = ["add_static_files"]

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")

#: By extension: the tables of a system may say something else.
_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}


class _File(NamedTuple):
    content: bytes
    type: str
    tag: str


def _read_files() -> Dict[str, _File]:
    """Return each file by its path with slashes, relative to the folder."""
    files: Dict[str, _File] = {}
    for folder, _, names in os.walk(_FOLDER):
        for name in names:
            extension = name.rpartition(".")[2]
            if extension not in _TYPES:
                continue
            path = os.path.join(folder, name)
            with open(path, "rb") as stream:
                content = stream.read()
            files[os.path.relpath(path, _FOLDER).replace(os.sep, "/")] = _File(
                content, _TYPES[extension], '"%s"' % hashlib.sha256(content).hexdigest()[:32])
    return files


def add_static_files(application: FastAPI) -> None:
    """Have an application respond with each file under its path, and to ``/`` with index.html."""
    for path, found in _read_files().items():
        paths = ["/" + path] + ["/"] * (path == "index.html")
        for one in paths:
            application.add_route(one, _responder(found), ["GET"], include_in_schema=False)


def _responder(found: _File) -> Callable[[Request], Awaitable[Response]]:
    headers = {"ETag": found.tag, "Cache-Control": "no-cache"}

    async def respond(request: Request) -> Response:
        if found.tag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        return Response(found.content, 200, headers, found.type)

    return respond
