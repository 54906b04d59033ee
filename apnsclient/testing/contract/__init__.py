"""What every back-end must do, as a suite that its author runs.

>>> from apnsclient.testing.contract import BackendContract
>>> class TestMyBackend(BackendContract):
...     backend = "my.package.mybackend"

With pytest that is all; with ``unittest`` the class has a second base, ``unittest.TestCase``.
Neither is imported here. The peers are TLS servers on the loopback interface, in threads of this
process. What the rules are about stands in the base classes in :mod:`apnsclient.backends` and
:mod:`apnsclient.certificate`.
"""

from __future__ import absolute_import, division, print_function

from ._rule import DoesNotApply, Rules
from .alpn import AlpnRules
from .certificate import CertificateRules
from .closing import ClosingRules
from .connecting import ConnectingRules
from .end_to_end import EndToEndRules
from .fork import ForkRules
from .locks import LockRules
from .opening import OpeningRules
from .peeking import PeekingRules
from .pool import PoolRules
from .reading import ReadingRules
from .sharing import SharingRules
from .trust import TrustRules
from .writing import WritingRules

__all__ = [
    "AlpnRules",
    "BackendContract",
    "CertificateRules",
    "ClosingRules",
    "ConnectingRules",
    "DoesNotApply",
    "EndToEndRules",
    "ForkRules",
    "LockRules",
    "OpeningRules",
    "PeekingRules",
    "PoolRules",
    "ReadingRules",
    "Rules",
    "SharingRules",
    "TrustRules",
    "WritingRules",
]


class BackendContract(CertificateRules, LockRules, OpeningRules, TrustRules, ReadingRules,
                      PeekingRules, WritingRules, ClosingRules, SharingRules, ConnectingRules,
                      PoolRules, ForkRules, AlpnRules, EndToEndRules):
    """All rules. Extend it, and say which back-end they are for; see :class:`Rules`."""
