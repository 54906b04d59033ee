"""Client for the Apple Push Notification service.

The names come from the rooms that they live in when they are asked for, where Python can do that
(PEP 562). So what needs nothing of the client does not wait for it, such as the pytest plugin,
which every run of pytest in an environment imports.
"""

from __future__ import absolute_import, division, print_function

import importlib
import sys

from ._compat import MYPY

if MYPY or sys.version_info < (3, 7):
    from .apns import APNs, Message, Result
    from .provider_token import ProviderToken
    from .transport import Session

__version__ = "0.3.0.dev0"

# Without __version__: "import *" would replace that of the importing module.
__all__ = ["APNs", "Message", "ProviderToken", "Result", "Session"]

_HOMES = {"APNs": "apns", "Message": "apns", "ProviderToken": "provider_token", "Result": "apns",
          "Session": "transport"}


def __getattr__(name):
    # type: (str) -> object
    """Import what is asked for by its name, or by that of its room."""
    home = _HOMES.get(name)
    if home is not None:
        value = getattr(importlib.import_module("%s.%s" % (__name__, home)), name)
        globals()[name] = value
        return value
    if name in _HOMES.values():
        return importlib.import_module("%s.%s" % (__name__, name))
    raise AttributeError("module %r has no attribute %r" % (__name__, name))


def __dir__():
    # type: () -> list[str]
    """Return the names that there are, and those that are imported when they are asked for."""
    return sorted(set(globals()) | set(__all__))
