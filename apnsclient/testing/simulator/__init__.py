"""Apple's side on loopback, for the tests of a program that pushes.

>>> from apnsclient.testing.simulator import Simulator
>>> with Simulator() as apns:
...     binary = apns.gateway_address, apns.feedback_address
...     http2 = apns.provider_address

It speaks real TLS, checks client certificates and provider tokens, and behaves as Apple documents
it: the binary gateway with the commands 0, 1 and 2, the feedback service, the provider API over
HTTP/2, and the management of broadcast channels. The latter two need the libraries ``hpack`` and
``PyJWT``. A :class:`Script` or a :class:`ProviderScript` says how it is to misbehave on a
connection.
"""

from __future__ import absolute_import, division, print_function

from .broadcast_channels import BroadcastChannels
from .devices import Devices
from .exchange import Exchange
from .faults import Faults
from .journal import Journal, Wait
from .observer import Observer
from .provider_script import ProviderScript
from .query import Query
from .record import Accepted, ChannelRequest, ErrorResponse
from .request_script import RequestScript
from .script import FeedbackScript, Script
from .simulator import Simulator

__all__ = [
    "Accepted",
    "BroadcastChannels",
    "ChannelRequest",
    "Devices",
    "ErrorResponse",
    "Exchange",
    "Faults",
    "FeedbackScript",
    "Journal",
    "Observer",
    "ProviderScript",
    "Query",
    "RequestScript",
    "Script",
    "Simulator",
    "Wait",
]
