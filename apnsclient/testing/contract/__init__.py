"""What every back-end must do, as a suite that its author runs.

>>> from apnsclient.testing.contract import BackendContract
>>> class TestMyBackend(BackendContract):
...     backend = "my.package.mybackend"
"""

from __future__ import absolute_import, division, print_function

from ._rule import DoesNotApply
from .alpn import AlpnRules
from .certificate import CertificateRules
from .closing import ClosingRules
from .end_to_end import EndToEndRules
from .fork import ForkRules
from .locks import LockRules
from .opening import OpeningRules
from .peeking import PeekingRules
from .pool import PoolRules
from .reading import ReadingRules
from .trust import TrustRules
from .writing import WritingRules

__all__ = ["BackendContract", "DoesNotApply"]


class BackendContract(CertificateRules, LockRules, OpeningRules, TrustRules, ReadingRules,
                      PeekingRules, WritingRules, ClosingRules, PoolRules, ForkRules, AlpnRules,
                      EndToEndRules):
    """All rules. Extend it, and say which back-end they are for."""
