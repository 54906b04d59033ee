"""The handlers that a proxy can have; each decides what becomes of a connection.

>>> from apnsclient.testing.chaos.handlers import Handler
>>> @Handler.register
... class MySuperHandler(object):
...     name = "super"
...     options = {}
...     def __call__(self, client_sock, backend_sock, to_backend):
...         return True
"""

from __future__ import absolute_import, division, print_function

from ...._compat import MYPY
from ..plugins import Plugins

if MYPY:
    from typing import Dict

__all__ = ["Handler"]


class Handler(Plugins):
    """The list of handlers by name.

    ``register(cls)`` adds a class, ``get(name)`` finds one, ``names()`` lists them.
    """

    kind = "handler"
    package = __name__
    built_in = ("blackout", "corrupt", "cut_after_bytes", "cut_after_frames", "delay", "dummy",
                "error", "half_close", "hang", "refuse", "reset", "silence", "slice", "slow",
                "transient")
    method = "__call__"

    _known = {}  # type: Dict[str, type]
