"""An asyncio client for the Apple Push Notification service over HTTP/2.

The names that a program uses most can be imported from here; the modules have the others.

It needs Python 3.8 or newer. Python 2.7 and 3.6 can read this file, and no other of this folder.
"""

import sys

if sys.version_info < (3, 8):
    raise ImportError("apnsclient.aio needs Python 3.8 or newer, and this is Python %d.%d"
                      % sys.version_info[:2])

from .api import create_client
from .client import Client
from .config import Production, Sandbox
from .errors import APNSError, Kind, ResponseError
from .models import Notification
from .outcome import Outcome

__all__ = ["APNSError", "Client", "Kind", "Notification", "Outcome", "Production", "ResponseError",
           "Sandbox", "create_client"]
