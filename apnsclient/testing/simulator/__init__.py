"""Apple's binary gateway and feedback service on loopback, for the tests of a program that pushes.

>>> from apnsclient.testing.simulator import Simulator
>>> with Simulator() as apns:
...     host, port = apns.gateway_address

It speaks real TLS, asks for a client certificate and checks it, understands the commands 0, 1 and
2, and answers as Apple documents it. How it is to misbehave on a connection is told by a
:class:`Script`.
"""

from __future__ import absolute_import, division, print_function

from .devices import Devices
from .record import Accepted, Answer
from .script import FeedbackScript, Script
from .server import Simulator

__all__ = ["Accepted", "Answer", "Devices", "FeedbackScript", "Script", "Simulator"]
