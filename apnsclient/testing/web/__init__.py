"""The HTTP API of the simulator, and its page: ``apns simulator --web``, or :class:`WebServer`.

It needs Python 3.8 or newer, and the packages of the extra ``web``. Python 2.7 and 3.6 can read
this file, and no other of this folder.
"""

import importlib
import sys

if sys.version_info < (3, 8):
    raise ImportError("apnsclient.testing.web needs Python 3.8 or newer, and this is Python %d.%d"
                      % sys.version_info[:2])

from ..._extras import not_installed

try:
    for _name in ("fastapi", "prometheus_client", "uvicorn"):
        importlib.import_module(_name)
except ImportError as error:
    raise not_installed("the simulator's web server", "web", error)

from .releaser import Releaser
from .server import WebServer

__all__ = ["Releaser", "WebServer"]
