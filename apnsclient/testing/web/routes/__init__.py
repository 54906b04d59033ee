"""The HTTP API: a module for each resource, with a router of FastAPI."""

from typing import List

from fastapi import APIRouter

from . import (
    connections,
    credentials,
    devices,
    events,
    faults,
    health,
    metrics,
    notifications,
    reset,
    scripts,
    transfer,
)

__all__ = ["PLAIN_ROUTERS", "ROUTERS"]

#: All of them, in the order of the OpenAPI document.
ROUTERS: List[APIRouter] = [
    notifications.router,
    transfer.router,
    events.router,
    connections.router,
    devices.router,
    scripts.router,
    faults.router,
    credentials.router,
    reset.router,
    health.router,
]

#: Those whose paths do not begin like the API's: other tools know them.
PLAIN_ROUTERS: List[APIRouter] = [
    credentials.plain_router,
    metrics.plain_router,
]
