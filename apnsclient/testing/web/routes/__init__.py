"""The HTTP API: a module for each resource, with a router of FastAPI."""

from typing import List

from fastapi import APIRouter

from . import (
    certificates,
    channels,
    chaos,
    connections,
    credentials,
    devices,
    events,
    faults,
    feedback,
    health,
    metrics,
    notifications,
    release,
    reset,
    scripts,
    transfer,
)

__all__ = ["PLAIN_ROUTERS", "ROUTERS"]

#: All of them, in the order of the OpenAPI document.
ROUTERS: List[APIRouter] = [
    notifications.router,
    release.router,
    transfer.router,
    events.router,
    connections.router,
    devices.router,
    feedback.router,
    channels.router,
    scripts.router,
    faults.router,
    chaos.router,
    credentials.router,
    certificates.router,
    reset.router,
    health.router,
]

#: Those whose paths do not begin like the API's: other tools know them.
PLAIN_ROUTERS: List[APIRouter] = [
    credentials.plain_router,
    metrics.plain_router,
]
