"""What every back-end must do, as a suite that its author runs.

>>> from apnsclient.testing.contract import BackendContract
>>> class TestMyBackend(BackendContract):
...     backend = "my.package.mybackend"
"""

from __future__ import absolute_import, division, print_function

from ._rule import DoesNotApply
from .certificate import CertificateRules
from .locks import LockRules
from .opening import OpeningRules
from .reading import ReadingRules
from .trust import TrustRules

__all__ = ["BackendContract", "DoesNotApply"]


class BackendContract(CertificateRules, LockRules, OpeningRules, TrustRules, ReadingRules):
    """All rules. Extend it, and say which back-end they are for."""
