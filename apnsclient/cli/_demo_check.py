"""The proof of ``apns demo``: the client's report, compared with the simulator's record."""

from __future__ import absolute_import, division, print_function

from collections import Counter, OrderedDict

from .._compat import MYPY
from ._demo_devices import Verdict

if MYPY:
    from typing import Any, Dict, Iterable, List, Tuple

    from ._demo_devices import Devices

__all__ = ["Check", "Report", "compare", "failure_row", "short"]

#: Where a request to a device goes.
_PATH = "/3/device/"


class Report(object):
    """What the client reported, token by token.

    :ivar accepted: tokens that were accepted, in the order in which they were sent (list of str).
    :ivar failed: ``{token: Failure}``.
    :ivar unresolved: tokens that nothing was achieved with (list of str).
    :ivar feedback: ``(token, time)`` of each row of the feedback (str, int).
    :ivar attempts: for each attempt a dict of what was sent and what became of it (list).
    :ivar credentials: ``(name, tokens)`` of each credential that was used over HTTP/2 (list).
    """

    def __init__(self):
        # type: () -> None
        self.accepted = []  # type: List[str]
        self.failed = OrderedDict()  # type: Dict[str, Any]
        self.unresolved = []  # type: List[str]
        self.feedback = []  # type: List[Tuple[str, int]]
        self.attempts = []  # type: List[Dict[str, Any]]
        self.credentials = []  # type: List[Tuple[str, List[str]]]

    def add(self, message, result, retry):
        # type: (Any, Any, Any) -> Dict[str, Any]
        """Enter the result of one attempt, and return its row."""
        lost = result.undelivered
        again = frozenset(retry.tokens if retry is not None else ()) | frozenset(lost)
        failed = result.failed
        accepted = [token for token in message.tokens
                    if token not in failed and token not in again]
        self.accepted.extend(accepted)
        self.unresolved.extend(lost)
        in_order = [token for token in message.tokens if token in failed]
        self.failed.update((token, failed[token]) for token in in_order)
        attempt = {
            "tokens": len(message.tokens), "accepted": len(accepted),
            "retried": len(again) - len(lost),
            "failed": [failure_row(token, failed[token]) for token in in_order],
            "errors": [reason for _, reason in result.errors],
        }
        self.attempts.append(attempt)
        return attempt


class Check(object):
    """One thing that was compared: what it was, and the differences that were found (list)."""

    def __init__(self, title, differences):
        # type: (str, List[str]) -> None
        self.title = title
        self.differences = differences


def compare(devices, report, message, apns):
    # type: (Devices, Report, Any, Any) -> List[Check]
    """Compare what the client reported with what the simulator recorded.

    :param devices: :class:`Devices` as they were registered with the simulator.
    :param report: :class:`Report` of the client.
    :param message: what was to be delivered.
    :param apns: the simulator.
    :return: list of :class:`Check`.
    """
    recorded = apns.accepted
    tokens = [one.token for one in recorded]
    payload = message.get_json_payload()
    delivered = _differences_of_order(report.accepted, tokens)
    delivered += ["%s was delivered with another payload" % short(one.token)
                  for one in recorded if one.payload != payload]
    refused = _differences_of_failures(devices.refused, report, tokens)
    refused += _differences_of_answers(devices, apns.answers)
    checks = [
        Check("%d accepted: recorded once each, in order, with the payload"
              % len(report.accepted), delivered),
        Check(_title_of_refused(devices), refused),
        Check("%d malformed: failed, and never sent" % len(devices.malformed),
              _differences_of_failures(devices.malformed, report, tokens)),
        Check("%d uninstalled: told by the %s" % (
            len(devices.uninstalled),
            "feedback, once, with the time" if devices.is_http2 else "feedback service"),
            _differences_of_feedback(devices, report)),
        Check("%d tokens: one outcome each" % len(devices.tokens),
              _differences_of_outcomes(devices, report)),
    ]
    if devices.is_http2:
        checks.append(Check("%d credentials: a connection each, for the topic"
                            % len(report.credentials),
                            _differences_of_credentials(report, message, recorded)))
    return checks


def _title_of_refused(devices):
    # type: (Devices) -> str
    if devices.is_http2:
        return "%d refused: with the registry's reason" % len(devices.refused)
    return "%d refused by the gateway: with the registry's status" % len(devices.bad)


def _differences_of_order(reported, recorded):
    # type: (List[str], List[str]) -> List[str]
    if reported == recorded:
        return []
    counts = Counter(recorded)
    differences = ["%s was reported as accepted and is not in the record" % short(token)
                   for token in reported if not counts[token]]
    known = frozenset(reported)
    differences += ["%s is in the record and was not reported as accepted" % short(token)
                    for token in sorted(counts) if token not in known]
    differences += ["%s is in the record %d times" % (short(token), counts[token])
                    for token in sorted(counts) if counts[token] > 1]
    return differences or ["the record has the tokens in another order"]


def _differences_of_failures(expected, report, recorded):
    # type: (Dict[str, Verdict], Report, Iterable[str]) -> List[str]
    """Compare the failures that there should be with those that were reported."""
    accepted = frozenset(recorded)
    differences = []
    for token, verdict in expected.items():
        failure = report.failed.get(token)
        said = None if failure is None else Verdict(
            failure[0], failure.status, failure.reason, failure.timestamp)
        if said != verdict:
            differences.append("%s failed with status %s, expected %s"
                               % (short(token), "none" if said is None else said, verdict))
        if token in accepted:
            differences.append("%s failed and is in the record" % short(token))
    return differences


def _differences_of_answers(devices, answers):
    # type: (Devices, Iterable[Any]) -> List[str]
    """Compare the errors that the simulator says it answered with those that it should have."""
    if devices.is_http2:
        answered = Counter((answer.path[len(_PATH):], answer.status, answer.reason)
                           for answer in answers)  # type: Counter[Any]
        expected = Counter((token, verdict.status, verdict.reason)
                           for token, verdict in devices.refused.items())  # type: Counter[Any]
    else:
        answered = Counter((answer.status,) for answer in answers)
        expected = Counter((verdict.code,) for verdict in devices.bad.values())
    differences = []
    for key in sorted(set(expected) | set(answered), key=repr):
        if expected[key] != answered[key]:
            what = "status %d" % key if len(key) == 1 else "%d %s to %s" % (
                key[1], key[2], short(key[0]))
            differences.append("%s was answered %d times, expected %d"
                               % (what, answered[key], expected[key]))
    return differences


def _differences_of_feedback(devices, report):
    # type: (Devices, Report) -> List[str]
    told = OrderedDict(report.feedback)
    differences = ["%s is %s in the feedback, expected %s"
                   % (short(token), told.get(token), devices.uninstalled.get(token))
                   for token in sorted(set(told) | set(devices.uninstalled))
                   if told.get(token) != devices.uninstalled.get(token)]
    if len(report.feedback) != len(told):
        differences.append("a token is told twice in the feedback")
    return differences


def _differences_of_outcomes(devices, report):
    # type: (Devices, Report) -> List[str]
    named = set(devices.refused) | set(devices.malformed)
    differences = ["%s has no outcome" % short(token) for token in report.unresolved]
    differences += ["%s failed, and nothing is wrong with it" % short(token)
                    for token in report.failed if token not in named]
    accounted = Counter(report.accepted) + Counter(report.failed.keys())
    differences += ["%s has %d outcomes" % (short(token), accounted[token])
                    for token in devices.tokens if accounted[token] != 1]
    return differences


def _differences_of_credentials(report, message, recorded):
    # type: (Report, Any, Iterable[Any]) -> List[str]
    """See that what each credential sent came over one connection, which no other one used."""
    connection_of = dict((one.token, one.connection) for one in recorded)
    differences, seen = [], {}  # type: List[str], Dict[int, str]
    for name, tokens in report.credentials:
        used = sorted(set(connection_of[token] for token in tokens if token in connection_of))
        if len(used) > 1:
            differences.append("%s took %d connections, expected 1" % (name, len(used)))
        differences += ["%s and %s share a connection" % (seen[number], name)
                        for number in used if number in seen]
        seen.update((number, name) for number in used)
    differences += ["%s was delivered for topic %s as %s" % (
        short(one.token), one.topic, one.push_type)
        for one in recorded if (one.topic, one.push_type) != (message.apns_topic, "alert")]
    return differences


def failure_row(token, failure):
    # type: (str, Any) -> Dict[str, Any]
    """Return what ``--json`` says of a token that failed."""
    code, reason = failure
    row = {"token": token, "code": code, "reason": reason}
    if failure.status is not None:
        row.update(status=failure.status, apns_reason=failure.reason, timestamp=failure.timestamp)
    return row


def short(token):
    # type: (str) -> str
    """Return what is shown of a token."""
    return "%s..." % token[:8]
