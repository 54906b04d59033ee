"""What the soak test decides by: pure functions over what the client said and what was recorded.

A message is sent in attempts: first the message itself, then whatever ``Result.retry()`` returned,
until nothing is left. Each attempt has a tag of its own in its payload, so that the simulator's
record says of each delivery which attempt it came from. With that, what an attempt said of a token
can be held against what became of it:

==============  ======================================  =============================
the token is    because the result has it               deliveries of the attempt
==============  ======================================  =============================
accepted        nowhere                                 exactly 1
failed          in ``failed``                           0
unknown         in ``retry()`` and in ``unknown``       0 or 1
unprocessed     in ``retry()`` alone                    0
undelivered     in ``undelivered``                      0
==============  ======================================  =============================

The binary protocol cannot keep the first line where a fault swallows bytes that the peer's system
has acknowledged, or an error frame: its success is silence, and it is silent there too. What is
accepted and not in the record is counted apart for such faults, as swallowed in silence.
"""

from __future__ import absolute_import, division, print_function

from collections import Counter, namedtuple

__all__ = ["Attempt", "Call", "Figures", "OUTCOMES", "Timing", "Violation", "deadline", "gather",
           "judge", "judge_calls", "judge_leftovers", "judge_refusals", "outcomes_of",
           "read_attempt"]

OUTCOMES = ("accepted", "failed", "unknown", "unprocessed", "undelivered")

#: One attempt: name of the message that it belongs to and its tag (str), its tokens, and those that
#: the result named (lists of str), and how many errors it had (int).
Attempt = namedtuple("Attempt", "message tag tokens failed retried unknown undelivered errors")

#: One call of the client: what it was (str), seconds, connections that were opened meanwhile,
#: writes that it needs at most, and messages (int).
Call = namedtuple("Call", "name seconds connections writes messages")

#: The session's timeouts in seconds; ``tail`` is the silence, which HTTP/2 does not wait for.
Timing = namedtuple("Timing", "protocol connect write read tail")

#: What must not be: which rule was broken, and how.
Violation = namedtuple("Violation", "rule text")

#: Seconds that closing a connection may take, and that the client listens for last words.
CLOSING = 3

#: How many examples a violation names.
EXAMPLES = 3


class Figures(Counter):
    """Counts by name; what is not there is 0. They add up like any Counter."""


def read_attempt(message, tag, result):
    """Return what the client says of an attempt.

    :param message: name of the message (str).
    :param tag: what the attempt is known by in the record (str).
    :param result: the ``Result``.
    """
    again = result.retry()
    return Attempt(message, tag, list(result.message.tokens), list(result.failed),
                   [] if again is None else list(again.tokens), list(result.unknown),
                   list(result.undelivered), len(result.errors))


def gather(message, tag, tokens, told, begun, has_left):
    """Return the attempt that outcomes of the asynchronous client make, and what is wrong (list).

    :param message: name of the message (str).
    :param tag: what the attempt is known by in the record (str).
    :param tokens: its tokens (list of str).
    :param told: ``(token, kind)`` of each outcome, both str (list).
    :param begun: the tokens that the client was given (set). No other was sent.
    :param has_left: whether the caller did not wait for all outcomes (bool). What was given and has
        none is unknown then.
    """
    counts, groups = Counter(token for token, _ in told), {}
    wrong = ["%s of %s has %d outcomes" % (short(token), tag, counts[token])
             for token in sorted(set(tokens) | set(counts))
             if counts[token] > 1 or token not in begun and counts[token]
             or not (counts[token] or has_left or token not in begun)]
    for token, kind in told:
        groups.setdefault(kind, []).append(token)
    silent = [token for token in tokens if not counts[token]]
    unknown = groups.get("unknown", []) + [token for token in silent if token in begun]
    retried = unknown + groups.get("unprocessed", []) + [
        token for token in silent if token not in begun]
    attempt = Attempt(message, tag, tokens, groups.get("rejected", []), retried, unknown,
                      groups.get("undelivered", []), len(tokens) - len(groups.get("accepted", [])))
    return attempt, [summary("each token has exactly one outcome", wrong)] if wrong else []


def outcomes_of(attempt):
    """Return the outcome of each token, and what is wrong with the partition (str) or None."""
    named = (("failed", attempt.failed), ("retried", attempt.retried),
             ("undelivered", attempt.undelivered))
    tokens, outcomes = set(attempt.tokens), {}
    for outcome, group in named:
        for token in group:
            if token not in tokens:
                return outcomes, "%s is %s, and not in the message" % (short(token), outcome)
            if token in outcomes:
                return outcomes, "%s is %s and also %s" % (short(token), outcomes[token], outcome)
            outcomes[token] = outcome
    for token in attempt.unknown:
        if outcomes.get(token) != "retried":
            return outcomes, "%s is unknown, and not to be retried" % short(token)
        outcomes[token] = "unknown"
    for token in tokens:
        if outcomes.setdefault(token, "accepted") == "retried":
            outcomes[token] = "unprocessed"
    return outcomes, None


def judge(attempts, record, bad=(), may_swallow=False, unsendable=()):
    """Hold the attempts of all messages against the record.

    :param attempts: list of :class:`Attempt`, those of one message in order.
    :param record: how often each ``(tag, token)`` was accepted (dict).
    :param bad: tokens that fail: the simulator refuses them, or they cannot be sent at all (set).
    :param may_swallow: whether silence proves nothing (bool).
    :param unsendable: those of them that are undelivered, and have not failed (set).
    :return: ``(list of Violation, Figures)``.
    """
    trial = _Trial(record, bad, may_swallow, unsendable)
    by_message = {}
    for attempt in attempts:
        by_message.setdefault(attempt.message, []).append(attempt)
    for chain in by_message.values():
        trial.follow(chain)
    trial.look_for_strangers(attempts)
    return trial.violations(), trial.figures


class _Trial(object):
    """The state of :func:`judge`."""

    def __init__(self, record, bad, may_swallow, unsendable):
        self._record = record
        self._bad = bad
        self._unsendable = unsendable
        self._may_swallow = may_swallow
        self._found = {}
        self.figures = Figures()

    def violations(self):
        return [summary(rule, texts) for rule, texts in sorted(self._found.items())]

    def _accuse(self, rule, text):
        self._found.setdefault(rule, []).append(text)

    def follow(self, chain):
        """Judge the attempts of one message, and where each of its tokens has ended."""
        figures, final, deliveries, swallowed = self.figures, {}, Counter(), set()
        figures["tokens"] += len(chain[0].tokens)
        for number, attempt in enumerate(chain):
            if number:
                figures["resent"] += len(attempt.tokens)
                if sorted(attempt.tokens) != sorted(chain[number - 1].retried):
                    self._accuse("what is to be retried is what was retried", attempt.tag)
            final.update(self._weigh(attempt, deliveries, swallowed))
        for token, outcome in final.items():
            self._conclude(chain[0].message, token, outcome)
        figures["duplicates"] += sum(count - 1 for count in deliveries.values() if count > 1)
        figures["swallowed"] += sum(1 for token in swallowed if not deliveries[token])
        figures["losses"] += sum(1 for token in final if not deliveries[token]
                                 and token not in self._bad and token not in swallowed)

    def _weigh(self, attempt, deliveries, swallowed):
        """Judge one attempt; return the outcomes of its tokens.

        :param deliveries: counts what each token got.
        :param swallowed: gets the tokens that were accepted where silence proves nothing.
        """
        outcomes, problem = outcomes_of(attempt)
        if problem is not None:
            self._accuse("each token has exactly one outcome", "%s: %s" % (attempt.tag, problem))
            return {}
        if (attempt.unknown or attempt.undelivered) and not attempt.errors:
            self._accuse("what is unknown or undelivered has an error", attempt.tag)
        for token, outcome in outcomes.items():
            self.figures[outcome] += 1
            count = self._record.get((attempt.tag, token), 0)
            deliveries[token] += count
            if outcome == "accepted" and not count and self._may_swallow:
                swallowed.add(token)
            else:
                self._compare(attempt, token, outcome, count)
        return outcomes

    def _compare(self, attempt, token, outcome, count):
        """Hold what is said of a token against how often the attempt has delivered it."""
        where = "%s of %s" % (short(token), attempt.tag)
        if outcome == "accepted" and not count:
            self._accuse("what is accepted is in the record", where)
        elif count and outcome in ("failed", "unprocessed", "undelivered"):
            self._accuse("what is delivered is accepted or unknown", "%s is %s" % (where, outcome))
        elif count > 1:
            self._accuse("one attempt delivers once", "%s: %d times" % (where, count))
        if outcome == "failed" and token not in self._bad:
            self._accuse("only bad tokens fail", where)
        if count and token in self._bad:
            self._accuse("the record has no bad token", where)

    def _conclude(self, message, token, outcome):
        """See that a token ended where it should."""
        ends = ("failed",) if token in self._bad else ("accepted",)
        if token in self._unsendable:
            ends = ("undelivered",)
        if self._may_swallow and token in self._bad:
            ends += ("accepted",)
        if outcome not in ends:
            self._accuse("in the end good tokens are delivered and bad ones have failed",
                         "%s of %s is %s" % (short(token), message, outcome))

    def look_for_strangers(self, attempts):
        """See that nothing is in the record that nobody sent."""
        tokens = dict((attempt.tag, set(attempt.tokens)) for attempt in attempts)
        for tag, token in self._record:
            if token not in tokens.get(tag, ()):
                self._accuse("what is in the record was sent", "%s of %s" % (short(token), tag))


def judge_refusals(attempts, refused):
    """Hold what has failed over HTTP/2 against how often the simulator has refused each token.

    :param attempts: list of :class:`Attempt`.
    :param refused: how often by token (Counter).
    :return: list of :class:`Violation`.
    """
    failed, unknown = Counter(), Counter()
    for attempt in attempts:
        failed.update(attempt.failed)
        unknown.update(attempt.unknown)
    return [Violation("what was refused has failed or is unknown, and nothing else has failed",
                      "%s: %d refused, %d failed, %d unknown" % (
                          short(token), refused[token], failed[token], unknown[token]))
            for token in sorted(set(refused) | set(failed))
            if not failed[token] <= refused[token] <= failed[token] + unknown[token]]


def deadline(call, timing):
    """Return how long a call may take, in seconds, by what the documentation says of the timeouts.

    Per connection: the wait for a slot, TCP and TLS, the settings and a PING have
    ``connect_timeout`` each; then comes the last silence, or the last response; over the binary
    protocol what was written has ``write_timeout`` to reach the peer's system, and a failed write
    is followed by one more silence. Per write: its own time, and over HTTP/2 that of the responses.
    One connection may have been open before.
    """
    connections = call.connections + 1
    if timing.protocol == "http2":
        each = 4 * timing.connect + timing.read + CLOSING
        return connections * each + call.writes * (timing.write + timing.read)
    each = timing.connect + 2 * timing.tail + timing.write + CLOSING
    return connections * each + call.writes * timing.write


def judge_calls(calls, timing, margin):
    """Return a violation for each call that outlived its deadline by more than the margin."""
    return [Violation("no call outlives its deadline", "%s took %.1f s, allowed are %.1f s" % (
                call.name, call.seconds, deadline(call, timing)))
            for call in calls if call.seconds > deadline(call, timing) + margin]


def judge_leftovers(before, after, tolerance=0):
    """Compare what a process holds: dicts with counts by name.

    :param tolerance: how much more there may be of each (int).
    """
    return [Violation("nothing is left behind", "%s: %d before, %d after" % (
                name, before[name], after[name]))
            for name in sorted(before) if after[name] > before[name] + tolerance]


def summary(rule, texts):
    """Return one violation for all that broke a rule."""
    return Violation(rule, "%d times: %s" % (len(texts), "; ".join(texts[:EXAMPLES])))


def short(token):
    """Return enough of a token to find it."""
    return "%s..." % token[-10:]
