"""Apple's servers, and what they accept.

Sources: Apple, *Sending notification requests to APNs* and *Sending channel management requests to
APNs*.
"""

from typing import NamedTuple

from ..addresses import CHANNELS, PROVIDER_ADDRESSES
from ..models import MAX_PAYLOAD_SIZE, MAX_VOIP_SIZE, Priority

__all__ = ["ALT_PORT", "DEFAULT_PORT", "Development", "DevelopmentAltPort", "DevelopmentChannels",
           "MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER", "MAX_NOTIFICATION_PAYLOAD_SIZE_VOIP",
           "PRODUCTION_HOST", "Priority", "Production", "ProductionAltPort", "ProductionChannels",
           "SANDBOX_HOST", "Sandbox", "SandboxAltPort", "SandboxChannels", "Server"]

#: Host for applications from the App Store, TestFlight and ad hoc distribution (str).
PRODUCTION_HOST = PROVIDER_ADDRESSES["push_production"][0]
#: Host for applications that were installed from Xcode (str).
SANDBOX_HOST = PROVIDER_ADDRESSES["push_sandbox"][0]

#: The usual port (int).
DEFAULT_PORT = 443
#: Port for networks that let only other kinds of traffic through at the usual one (int).
ALT_PORT = 2197

#: Largest payload of a VoIP notification in bytes (int); also that of a broadcast.
MAX_NOTIFICATION_PAYLOAD_SIZE_VOIP = MAX_VOIP_SIZE
#: Largest payload of any other notification in bytes (int).
MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER = MAX_PAYLOAD_SIZE


class Server(NamedTuple):
    """Where notifications are sent to: one of Apple's servers, or one of your own.

    It is also a tuple: ``host, port = Production``.
    """

    #: Name or IP address (str).
    host: str
    #: Port (int, 1 to 65535).
    port: int = DEFAULT_PORT


#: Apple's server for applications from the App Store, TestFlight and ad hoc distribution.
Production = Server(PRODUCTION_HOST, DEFAULT_PORT)
#: The same at the other port.
ProductionAltPort = Server(PRODUCTION_HOST, ALT_PORT)
#: Apple's server for applications that were installed from Xcode; ``Development`` is the same.
Sandbox = Development = Server(SANDBOX_HOST, DEFAULT_PORT)
#: The same at the other port; ``DevelopmentAltPort`` is the same.
SandboxAltPort = DevelopmentAltPort = Server(SANDBOX_HOST, ALT_PORT)

#: Where channels are managed; broadcasts go to :data:`Production` (:class:`Server`).
ProductionChannels = Server(*CHANNELS["channels_production"])
#: The same for :data:`Sandbox`.
SandboxChannels = DevelopmentChannels = Server(*CHANNELS["channels_sandbox"])
