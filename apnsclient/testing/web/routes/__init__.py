"""The HTTP API: a module for each resource, with a router of FastAPI."""

from typing import List

from fastapi import APIRouter

from . import devices, faults, health, reset, scripts

__all__ = ["ROUTERS"]

#: All of them, in the order of the OpenAPI document.
ROUTERS: List[APIRouter] = [
    devices.router,
    scripts.router,
    faults.router,
    reset.router,
    health.router,
]
