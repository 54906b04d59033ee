"""Client for the Apple Push Notification service."""

from __future__ import absolute_import, division, print_function

from .apns import APNs, Message, Result
from .provider_token import ProviderToken
from .transport import Session

__version__ = "0.3.0.dev0"

__all__ = ["APNs", "Message", "ProviderToken", "Result", "Session", "__version__"]
