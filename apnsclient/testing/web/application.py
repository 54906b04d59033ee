"""The application: what answers under which path."""

from typing import Any, Dict, List, Optional

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBearer

from ... import __version__
from ..simulator import Simulator
from .chaos_proxies import ChaosProxies
from .errors import RESPONSES, add_error_handlers
from .feed import Feed
from .linter import Linter
from .methods import HeadAsGet
from .metrics import new_registry
from .releaser import Releaser
from .routes import PLAIN_ROUTERS, ROUTERS
from .security import Access, Guard
from .static_files import add_static_files

__all__ = ["PREFIX", "new_application"]

#: What the paths of the API begin with.
PREFIX = "/api/v1"

_DESCRIPTION = """\
Looks into a simulator of the Apple Push Notification service, and has it misbehave.

Times are RFC 3339, in UTC. Errors are `{"error": {"message": ..., "field": ...}}`.
"""


def new_application(simulator: Simulator, feed: Feed, chaos: ChaosProxies,
                    releaser: Optional[Releaser], access: Access) -> FastAPI:
    """Return the ASGI application for a simulator.

    :param simulator: what it shows and controls.
    :param feed: tells of news in it.
    :param chaos: proxies in front of it.
    :param releaser: sends notifications on; None if nothing may.
    :param access: who may ask.
    """
    # Their pages would load scripts from elsewhere; the document is there for tools.
    application = _Application(
        title="apns simulator", version=__version__, description=_DESCRIPTION,
        openapi_url=PREFIX + "/openapi.json", docs_url=None, redoc_url=None,
        generate_unique_id_function=_operation_of)
    application.state.simulator = simulator
    application.state.feed = feed
    application.state.linter = Linter(simulator)
    application.state.chaos = chaos
    application.state.releaser = releaser
    application.state.metrics = new_registry(simulator, feed)
    for router in ROUTERS:
        application.include_router(
            router, prefix=PREFIX, responses=RESPONSES, dependencies=_security_schemes(access))
    for router in PLAIN_ROUTERS:
        application.include_router(router, responses=RESPONSES,
                                   dependencies=_security_schemes(access))
    add_static_files(application)
    add_error_handlers(application)
    application.add_middleware(HeadAsGet)
    application.add_middleware(Guard, access=access)
    return application


class _Application(FastAPI):
    """Describes errors as what they are: JSON, also where success is a text."""

    def openapi(self) -> Dict[str, Any]:
        document = super().openapi()
        for operations in document["paths"].values():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        schema, = response["content"].values()
                        response["content"] = {"application/json": schema}
        return document


def _operation_of(route: APIRoute) -> str:
    return route.name


def _security_schemes(access: Access) -> List[Any]:
    """Return what has the OpenAPI document say how the password is given."""
    if not access.has_password:
        return []
    return [Depends(HTTPBasic(auto_error=False)), Depends(HTTPBearer(auto_error=False))]
