"""The back-ends of this package keep the contract."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.contract import BackendContract


class TestStdio(BackendContract):
    """The default back-end keeps every rule."""

    backend = "apnsclient.backends.stdio"


class TestDummy(BackendContract):
    """The back-end without a network keeps those that need none."""

    backend = "apnsclient.backends.dummy"
    options = {"push": []}
    has_network = False
