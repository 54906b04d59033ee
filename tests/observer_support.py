"""An observer that keeps what it is told, and sums of it."""

from __future__ import absolute_import, division, print_function

from collections import defaultdict

from apnsclient import events


class Notes(object):
    """An observer.

    :ivar events: what it was told, in order.
    """

    def __init__(self):
        self.events = []

    def __call__(self, event):
        assert isinstance(event, events.Event) and isinstance(event, tuple)
        self.events.append(event)

    def of(self, kind):
        """Return the events of one kind."""
        return [event for event in self.events if type(event) is kind]

    def one(self, kind):
        """Return the only event of one kind."""
        found = self.of(kind)
        assert len(found) == 1, self.events
        return found[0]

    def outcomes(self):
        """Return ``{outcome: how many tokens}``."""
        return count_outcomes(self.of(events.NotificationOutcomes))

    def reasons(self):
        """Return ``{(outcome, status, reason): how many tokens}``."""
        counts = defaultdict(int)
        for event in self.of(events.NotificationOutcomes):
            counts[event.outcome, event.status, event.reason] += event.count
        return dict(counts)


def count_outcomes(outcomes):
    """Return ``{outcome: how many tokens}`` of events, none of which is empty."""
    counts = defaultdict(int)
    for event in outcomes:
        assert event.count > 0
        counts[event.outcome] += event.count
    return dict(counts)


def count_results(results):
    """Return the same of results."""
    counts = defaultdict(int)
    for result in results:
        outcomes, count = result._outcomes, len(result.message.tokens)
        retried, unknown = len(outcomes.retried()), len(outcomes.unknown())
        found = {"rejected": outcomes.count_failures(), "unprocessed": retried - unknown,
                 "unknown": unknown, "undelivered": len(outcomes.undelivered())}
        found["accepted"] = count - sum(found.values())
        for name, number in found.items():
            if number:
                counts[name] += number
    return dict(counts)
