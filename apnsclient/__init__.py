"""Client for the Apple Push Notification service.

The names are imported from their modules when they are used for the first time, if Python supports
that (PEP 562). So importing the package is cheap for code that does not use the client, such as the
pytest plugin, which every run of pytest in an environment imports.
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
    """Import a public name, or a module with public names, on first use."""
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
    """Return all names, including those that have not been imported yet."""
    return sorted(set(globals()) | set(__all__))
