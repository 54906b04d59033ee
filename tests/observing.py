"""An observer that remembers what it was told."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.simulator import Observer

__all__ = ["Seen"]


class Seen(Observer):
    """Keeps everything.

    :ivar arrivals: exchanges that arrived; ``changes`` are those that changed.
    :ivar told: the other events, as tuples of name and what it was about.
    """

    def __init__(self):
        self.arrivals, self.changes, self.told = [], [], []

    def arrived(self, exchanges):
        self.arrivals.extend(exchanges)

    def changed(self, exchanges):
        self.changes.extend(exchanges)

    def connection_opened(self, connection):
        self.told.append(("opened", connection))

    def connection_changed(self, connection):
        self.told.append(("changed", connection))

    def connection_closed(self, connection):
        self.told.append(("closed", connection))

    def handshake_failed(self, service, peer):
        self.told.append(("failed", service))
