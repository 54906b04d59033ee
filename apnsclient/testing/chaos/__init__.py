"""A proxy that makes networks misbehave, for the tests of a program that pushes.

>>> from apnsclient.testing.chaos import ChaosProxy
>>> with ChaosProxy(backend=("127.0.0.1", 2195), behavior="20:delay,5:reset") as proxy:
...     address = proxy.address

It passes TCP connections on to a backend. A handler is chosen for each connection by chance, and
what it does to the data that pass is up to it. The same seed gives the same faults again. On the
command line it is ``apns chaos``.
"""

from __future__ import absolute_import, division, print_function

from .errors import ConfigurationError
from .proxy import ChaosProxy
from .record import ConnectionRecord

__all__ = ["ChaosProxy", "ConfigurationError", "ConnectionRecord"]
