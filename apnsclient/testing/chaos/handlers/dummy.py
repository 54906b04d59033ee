"""The handler ``dummy``: as if there were no proxy."""

from __future__ import absolute_import, division, print_function

from . import Handler
from .base import BaseHandler

__all__ = ["Dummy"]


@Handler.register
class Dummy(BaseHandler):
    """Passes everything on as it is: bytes, their order, and the end of each direction."""

    name = "dummy"
    options = {}
