"""Apple's hosts, and their names in a session.

Sources: Apple, *Local and Remote Notification Programming Guide* for the binary protocol; Apple,
*Sending notification requests to APNs* and *Sending channel management requests to APNs* for
HTTP/2.
"""

from __future__ import absolute_import, division, print_function

import six

from ._compat import MYPY

if MYPY:
    from typing import Any, Dict, Optional, Tuple

    Address = Tuple[str, int]

__all__ = ["ADDRESSES", "CHANNELS", "PROVIDER_ADDRESSES", "RETIRED", "environment_of", "is_apples",
           "manages_channels", "resolve_address", "retired_name"]

#: Hosts that manage channels; they speak only HTTP/2.
CHANNELS = {
    "channels_sandbox": ("api-manage-broadcast.sandbox.push.apple.com", 2195),
    "channels_production": ("api-manage-broadcast.push.apple.com", 2196),
}

#: The address for each name. Except for the channels these are hosts of the binary protocol, which
#: Apple switched off on 31 March 2021.
ADDRESSES = dict(
    CHANNELS,
    push_sandbox=("gateway.sandbox.push.apple.com", 2195),
    push_production=("gateway.push.apple.com", 2195),
    feedback_sandbox=("feedback.sandbox.push.apple.com", 2196),
    feedback_production=("feedback.push.apple.com", 2196),
)

#: Hosts of the HTTP/2 provider API, by the names of the hosts that they have replaced. There is no
#: feedback service any more: the names are for programs that read it, and which get the feedback
#: from the responses to their notifications.
PROVIDER_ADDRESSES = {
    "push_sandbox": ("api.sandbox.push.apple.com", 443),
    "push_production": ("api.push.apple.com", 443),
    "feedback_sandbox": ("api.sandbox.push.apple.com", 443),
    "feedback_production": ("api.push.apple.com", 443),
}

#: The names of the hosts that were switched off.
_RETIRED_NAMES = dict((ADDRESSES[name][0], name) for name in PROVIDER_ADDRESSES)

#: How the documents of apns-client 0.2 spell push_sandbox in one place.
_MISSPELT = {"push_sanbox": "push_sandbox"}

#: Text for when no connection to a host of the binary protocol can be opened.
RETIRED = "Apple switched the binary protocol off on 31 March 2021, and %s with it"


def _host(address):
    # type: (Address) -> str
    """Return the host in lower case, without the dot that makes a name absolute."""
    host = address[0].lower()
    return host[:-1] if host.endswith(".") else host


def retired_name(address):
    # type: (Address) -> Optional[str]
    """Return the name of a host that Apple switched off, or None for any other host.

    :param address: ``(host, port)``.
    """
    return _RETIRED_NAMES.get(_host(address))


def environment_of(address):
    # type: (Address) -> str
    """Return which of Apple's two environments an address belongs to.

    :param address: ``(host, port)``.
    :return: ``"sandbox"`` or ``"production"``; ``"other"`` for a host that is not Apple's.
    """
    host = _host(address)
    if not host.endswith(".push.apple.com"):
        return "other"
    # api.development.push.apple.com is another name of the sandbox's.
    is_sandbox = ".sandbox." in host or ".development." in host
    return "sandbox" if is_sandbox else "production"


def is_apples(address):
    # type: (Any) -> bool
    """Return True if an address is Apple's, where only HTTP/2 is spoken any more.

    :param address: ``(host, port)``, or a name; all names are those of Apple's hosts.
    """
    return isinstance(address, six.string_types) or environment_of(address) != "other"


def manages_channels(address):
    # type: (Address) -> bool
    """Return True for Apple's hosts that manage channels, and speak only HTTP/2.

    :param address: ``(host, port)``.
    """
    return (_host(address), address[1]) in CHANNELS.values()


def resolve_address(address, known):
    # type: (Any, Dict[str, Address]) -> Address
    """Turn the argument ``address`` of a session's methods into ``(host, port)``.

    :param address: ``(host, port)``, or a name.
    :param known: addresses by name.
    :raises ValueError: if it is neither.
    """
    if isinstance(address, six.string_types):
        found = known.get(_MISSPELT.get(address, address))
        if found is not None:
            return found
    elif isinstance(address, (tuple, list)) and len(address) == 2:
        host, port = address
        if (isinstance(host, six.string_types) and isinstance(port, six.integer_types)
                and 0 < port < 65536):
            return host, port
    shown = repr(address)
    if len(shown) > 100:
        # It may be a secret.
        shown = "of type %s and %d characters long" % (type(address).__name__, len(shown))
    raise ValueError("the address is %s, expected (host, port) with a port from 1 to 65535, or one "
                     "of %s" % (shown, ", ".join(sorted(known))))
