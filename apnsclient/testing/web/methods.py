"""Which methods a path has: those of the OpenAPI document, and HEAD wherever there is GET.

A framework's router has no HEAD for its routes of GET, which RFC 9110, 9.1 asks for, and health
checks send.
"""

from typing import List, Set

from fastapi import FastAPI
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HeadAsGet", "methods_of"]

#: What does not end, so that it would have no end without its body either.
_ENDLESS = ("/api/v1/events",)


class HeadAsGet:
    """ASGI middleware: has HEAD be GET. The server itself leaves out the body.

    :param application: what responds to GET.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD" and scope["path"] not in _ENDLESS:
            scope = dict(scope, method="GET")
        await self._application(scope, receive, send)


def methods_of(application: FastAPI, path: str) -> List[str]:
    """Return the methods of a path of the API, in alphabetical order; none for other paths."""
    found: Set[str] = set()
    for template, operations in application.openapi()["paths"].items():
        if compile_path(template)[0].match(path):
            found.update(method.upper() for method in operations)
    if "GET" in found and path not in _ENDLESS:
        found.add("HEAD")
    return sorted(found)
