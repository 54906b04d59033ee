"""``apns demo``: everything at once, against a simulator in this process.

The demonstration proves what it shows. What the client reports of each token is compared with what
the simulator recorded, which knows nothing of the client; one difference and the command fails.
"""

from __future__ import absolute_import, division, print_function

import argparse
import random
import time
from collections import Counter, OrderedDict

from .._compat import MYPY, monotonic
from . import _options
from ._console import ALL_WELL, NO_CONNECTION, NOT_ALL, USAGE, Failure, one_line

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

    from ._console import Console

_DESCRIPTION = """\
Shows what the package does, and needs nothing for it: starts a simulator of Apple's gateway in this
process, pushes one message to some thousand devices over TLS, of which a few are bad and one has
removed the app, sends again what the gateway threw away until nothing is left, and reads the
feedback service. Then compares what the client reported, token by token, with what the simulator
recorded.
"""
_EPILOG = """\
exit status:
  0    what the client reported of every token is what the simulator recorded
  1    it is not
  2    wrong usage
  3    no connection to the simulator
  4    the output could not be written
  130  interrupted
  141  whoever read the output has gone away
"""

#: How many attempts in a row may achieve nothing before the demonstration is given up.
_ATTEMPTS_IN_VAIN = 5

#: Longest wait for the simulator to have read what was written to it, in seconds.
RECORD_TIMEOUT = 10.0

#: Most rows of one kind that are shown.
_ROWS = 10


class Devices(object):
    """The devices of the demonstration, made from a seed.

    :param count: number of devices (int).
    :param bad: how many of them the gateway refuses (int).
    :param malformed: how many have a token that cannot be put on the wire (int).
    :param seed: what makes it repeatable (int).

    :ivar tokens: all tokens, in order (list of str).
    :ivar bad: ``{token: status that the gateway answers}``.
    :ivar malformed: ``{token: status that the client gives}``.
    :ivar uninstalled: ``{token: time}``, the time in seconds since 1970.
    """

    def __init__(self, count, bad, malformed, seed):
        # type: (int, int, int, int) -> None
        chance = random.Random(seed)
        self.tokens = ["%064x" % chance.getrandbits(256) for _ in range(count)]
        places = sorted(chance.sample(range(count), bad + malformed + 1))
        chance.shuffle(places)
        self.bad = OrderedDict()  # type: Dict[str, int]
        self.malformed = OrderedDict()  # type: Dict[str, int]
        for number, place in enumerate(sorted(places[:bad])):
            if number % 3 == 1:  # Half a token.
                self.tokens[place] = self.tokens[place][:32]
            self.bad[self.tokens[place]] = 5 if number % 3 == 1 else 8
        for number, place in enumerate(sorted(places[bad:-1])):
            token = self.tokens[place]
            # Not hexadecimal, and one digit lost.
            self.tokens[place] = token[:-1] if number % 2 else "not-hex-" + token[8:]
            self.malformed[self.tokens[place]] = 8
        yesterday = int(time.time()) - 86400
        self.uninstalled = {self.tokens[places[-1]]: yesterday}


class Report(object):
    """What the client reported, token by token.

    :ivar accepted: tokens that were accepted, in the order in which they were sent (list of str).
    :ivar failed: ``{token: (code, reason)}``.
    :ivar unresolved: tokens that nothing was achieved with (list of str).
    :ivar feedback: ``(token, time)`` of each row of the feedback service (str, int).
    :ivar attempts: for each attempt a dict of what was sent and what became of it (list).
    """

    def __init__(self):
        # type: () -> None
        self.accepted = []  # type: List[str]
        self.failed = OrderedDict()  # type: Dict[str, Tuple[Optional[int], str]]
        self.unresolved = []  # type: List[str]
        self.feedback = []  # type: List[Tuple[str, int]]
        self.attempts = []  # type: List[Dict[str, Any]]

    def add(self, message, result, retry):
        # type: (Any, Any, Any) -> Dict[str, Any]
        """Enter the result of one attempt, and return its row."""
        again = frozenset(retry.tokens if retry is not None else ())
        failed = result.failed
        accepted = [token for token in message.tokens
                    if token not in failed and token not in again]
        self.accepted.extend(accepted)
        in_order = [token for token in message.tokens if token in failed]
        self.failed.update((token, failed[token]) for token in in_order)
        attempt = {
            "tokens": len(message.tokens), "accepted": len(accepted), "retried": len(again),
            "failed": [_failure(token, *failed[token]) for token in in_order],
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


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "demo", help="show everything at once; needs nothing", description=_DESCRIPTION,
        epilog=_EPILOG, formatter_class=_options.HelpFormatter)
    number = _options.number_from
    parser.add_argument("--tokens", metavar="NUMBER", type=number(1), default=5000,
                        help="number of devices (default: 5000)")
    parser.add_argument("--bad", metavar="NUMBER", type=number(0), default=3,
                        help="how many of them the gateway refuses (default: 3)")
    parser.add_argument("--malformed", metavar="NUMBER", type=number(0), default=2,
                        help="how many have a token that is not hexadecimal or has lost a digit, "
                             "and is never sent (default: 2)")
    parser.add_argument("--seed", metavar="NUMBER", type=number(0), default=1,
                        help="makes the same devices again (default: 1)")
    parser.add_argument(
        "--tail-timeout", metavar="SECONDS", type=_options.seconds, default=2.0,
        help="silence of the gateway that is taken for success (default: 2; towards Apple it is 3 "
             "or more, but this gateway is no further away than this process)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Run the demonstration, and return the exit status."""
    if arguments.bad + arguments.malformed >= arguments.tokens:
        raise Failure("%d tokens are too few for %d bad and %d malformed ones and a good one"
                      % (arguments.tokens, arguments.bad, arguments.malformed), USAGE)
    from ..testing.simulator import Simulator
    started = monotonic()
    devices = Devices(arguments.tokens, arguments.bad, arguments.malformed, arguments.seed)
    screen = _Screen(console, arguments.json, arguments.tail_timeout)
    with Simulator() as apns:
        for token, status in devices.bad.items():
            apns.devices.bad(token, status)
        for token, when in devices.uninstalled.items():
            apns.devices.uninstall(token, when)
        try:
            report, payload = _use_the_client(apns, devices, arguments.tail_timeout, screen)
        except _options.CONNECT_ERRORS as error:
            raise Failure(one_line(error), NO_CONNECTION)
        apns.wait_for(lambda: apns.accepted_count >= len(report.accepted), RECORD_TIMEOUT)
        checks = compare(devices, report, payload, apns)
        screen.conclude(checks, report, apns.connections, monotonic() - started)
    agrees = not any(check.differences for check in checks)
    if arguments.json:
        console.document(_document(arguments, report, checks, monotonic() - started))
    return ALL_WELL if agrees else NOT_ALL


def _use_the_client(apns, devices, tail_timeout, screen):
    # type: (Any, Devices, float, _Screen) -> Tuple[Report, bytes]
    """Do what a program that uses the package does; return the report and the payload."""
    from ..apns import APNs, Message
    from ..transport import Session

    class Service(APNs):
        """Leaves the times of the feedback service as they are."""

        def _datetime_from_timestamp(self, timestamp):
            # type: (int) -> Any
            return timestamp

    report = Report()
    message = Message(devices.tokens, alert="Hello from apns-client", badge=1)  # type: Any
    payload = message.get_json_payload()  # type: bytes
    screen.introduce(apns, devices, payload)
    session = Session(ca_string=apns.ca_string, read_tail_timeout=tail_timeout)
    service = Service(session.get_connection(apns.gateway_address, cert_string=apns.cert_string))
    in_vain = 0
    while message is not None and in_vain < _ATTEMPTS_IN_VAIN:
        result = service.send(message)
        retry = result.retry()
        attempt = report.add(message, result, retry)
        screen.show_attempt(len(report.attempts), attempt)
        in_vain = 0 if attempt["accepted"] or attempt["failed"] else in_vain + 1
        message = retry
    report.unresolved.extend(message.tokens if message is not None else ())
    session.shutdown()
    service = Service(session.new_connection(apns.feedback_address, cert_string=apns.cert_string))
    rows = service.feedback()  # type: Any
    report.feedback.extend((token.decode("ascii"), when) for token, when in rows)
    screen.show_feedback(report.feedback)
    return report, payload


def compare(devices, report, payload, apns):
    # type: (Devices, Report, bytes, Any) -> List[Check]
    """Compare what the client reported with what the simulator recorded.

    :param devices: :class:`Devices` as they were registered with the simulator.
    :param report: :class:`Report` of the client.
    :param payload: what was to be delivered (bytes).
    :param apns: the simulator.
    :return: list of :class:`Check`.
    """
    recorded = apns.accepted
    tokens = [one.token for one in recorded]
    answered = Counter(answer.status for answer in apns.answers)
    delivered = _differences_of_order(report.accepted, tokens)
    delivered += ["%s was delivered with another payload" % _short(one.token)
                  for one in recorded if one.payload != payload]
    refused = _differences_of_failures(devices.bad, report, tokens)
    expected = Counter(devices.bad.values())
    for status in sorted(set(expected) | set(answered)):
        if expected[status] != answered[status]:
            refused.append("status %d was answered %d times, expected %d"
                           % (status, answered[status], expected[status]))
    named = set(devices.bad) | set(devices.malformed)
    left = ["%s has no outcome" % _short(token) for token in report.unresolved]
    left += ["%s failed, and nothing is wrong with it" % _short(token)
             for token in report.failed if token not in named]
    accounted = Counter(report.accepted) + Counter(report.failed.keys())
    left += ["%s has %d outcomes" % (_short(token), accounted[token])
             for token in devices.tokens if accounted[token] != 1]
    told = OrderedDict(report.feedback)
    gone = ["%s is %s in the feedback, expected %s"
            % (_short(token), told.get(token), devices.uninstalled.get(token))
            for token in sorted(set(told) | set(devices.uninstalled))
            if told.get(token) != devices.uninstalled.get(token)]
    if len(report.feedback) != len(told):
        gone.append("a token is told twice in the feedback")
    return [
        Check("%d accepted: recorded once each, in order, with the payload"
              % len(report.accepted), delivered),
        Check("%d refused by the gateway: with the registry's status" % len(devices.bad), refused),
        Check("%d malformed: failed, and never sent" % len(devices.malformed),
              _differences_of_failures(devices.malformed, report, tokens)),
        Check("%d uninstalled: told by the feedback service" % len(devices.uninstalled), gone),
        Check("%d tokens: one outcome each" % len(devices.tokens), left),
    ]


def _differences_of_order(reported, recorded):
    # type: (List[str], List[str]) -> List[str]
    if reported == recorded:
        return []
    counts = Counter(recorded)
    differences = ["%s was reported as accepted and is not in the record" % _short(token)
                   for token in reported if not counts[token]]
    known = frozenset(reported)
    differences += ["%s is in the record and was not reported as accepted" % _short(token)
                    for token in sorted(counts) if token not in known]
    differences += ["%s is in the record %d times" % (_short(token), counts[token])
                    for token in sorted(counts) if counts[token] > 1]
    return differences or ["the record has the tokens in another order"]


def _differences_of_failures(expected, report, recorded):
    # type: (Dict[str, int], Report, List[str]) -> List[str]
    """Compare the failures that there should be with those that were reported."""
    accepted = frozenset(recorded)
    differences = []
    for token, status in expected.items():
        code = report.failed.get(token, ("none", ""))[0]
        if code != status:
            differences.append("%s failed with status %s, expected %d"
                               % (_short(token), code, status))
        if token in accepted:
            differences.append("%s failed and is in the record" % _short(token))
    return differences


class _Screen(object):
    """What is shown on the way. With ``--json`` nothing is."""

    def __init__(self, console, is_silent, tail_timeout):
        # type: (Console, bool, float) -> None
        self._console = console
        self._tail_timeout = tail_timeout
        self._is_silent = is_silent

    def _line(self, text=""):
        # type: (str) -> None
        if not self._is_silent:
            self._console.line(text)
            self._console.flush()

    def _head(self, text):
        # type: (str) -> None
        self._line()
        self._line(self._console.styled(text, "bold"))

    def introduce(self, apns, devices, payload):
        # type: (Any, Devices, bytes) -> None
        """Show who talks to whom, and about what."""
        self._line(self._console.styled("One message to %d devices" % len(devices.tokens), "bold"))
        self._line("  gateway   %s:%d   a simulator of Apple's, in this process"
                   % apns.gateway_address)
        self._line("  feedback  %s:%d   over TLS, with certificates made just now"
                   % apns.feedback_address)
        self._line("  payload   %s" % payload.decode("utf-8"))
        self._line("  devices   %d that the gateway refuses, %d with a malformed token, "
                   "%d without the app" % (len(devices.bad), len(devices.malformed),
                                           len(devices.uninstalled)))
        self._head("Sending, and sending again what the gateway threw away")

    def show_attempt(self, number, attempt):
        # type: (int, Dict[str, Any]) -> None
        """Show what became of one attempt."""
        self._line("  %2d.  %6d tokens: %d accepted" % (number, attempt["tokens"],
                                                        attempt["accepted"]))
        for failure in attempt["failed"][:_ROWS]:
            self._line("       %s  %s  %d %s" % (self._console.styled("failed", "red"),
                                                 _short(failure["token"]), failure["code"],
                                                 failure["reason"]))
        self._more(attempt["failed"])
        for reason in attempt["errors"]:
            self._line("       %s   %s" % (self._console.styled("error", "red"), reason))
        if attempt["retried"]:
            self._line("       %d behind it were thrown away; these are sent again"
                       % attempt["retried"])
        elif not attempt["errors"]:
            self._line("       the gateway said nothing more for %g s, which means success"
                       % self._tail_timeout)

    def _more(self, rows):
        # type: (List[Any]) -> None
        if len(rows) > _ROWS:
            self._line("       and %d more" % (len(rows) - _ROWS))

    def show_feedback(self, rows):
        # type: (List[Tuple[str, int]]) -> None
        """Show what the feedback service told."""
        self._head("Feedback: give these up")
        for token, when in rows[:_ROWS]:
            self._line("       %s    %s  no longer has the app, since %s"
                       % (self._console.styled("gone", "yellow"), _short(token), _iso(when)))
        self._more(rows)

    def conclude(self, checks, report, connections, seconds):
        # type: (List[Check], Report, int, float) -> None
        """Show what the comparison found, and the summary."""
        self._head("Compared with the simulator's record, token by token")
        for check in checks:
            if check.differences:
                mark = self._console.styled("WRONG", "red")
            else:
                mark = self._console.styled("ok", "green") + "   "
            self._line("  %s  %s" % (mark, check.title))
            for difference in check.differences[:_ROWS]:
                self._line("         %s" % difference)
            self._more(check.differences)
        self._line()
        differences = sum(len(check.differences) for check in checks)
        self._line("%d accepted, %d failed, %d gone; %d attempts on %d connections; %.1f s"
                   % (len(report.accepted), len(report.failed), len(report.feedback),
                      len(report.attempts), connections, seconds))
        if differences:
            self._line(self._console.styled("%d differences from the simulator's record"
                                            % differences, "red"))
        else:
            self._line(self._console.styled("Every outcome agrees with the record.", "green"))
            self._line("Next: apns simulator, and apns send --help")


def _document(arguments, report, checks, seconds):
    # type: (argparse.Namespace, Report, List[Check], float) -> Dict[str, Any]
    return {
        "tokens": arguments.tokens,
        "seed": arguments.seed,
        "accepted": len(report.accepted),
        "failed": [_failure(token, code, reason)
                   for token, (code, reason) in report.failed.items()],
        "unresolved": report.unresolved,
        "feedback": [{"token": token, "time": _iso(when), "timestamp": when}
                     for token, when in report.feedback],
        "attempts": report.attempts,
        "checks": [{"check": check.title, "differences": check.differences} for check in checks],
        "agrees": not any(check.differences for check in checks),
        "seconds": round(seconds, 3),
    }


def _failure(token, code, reason):
    # type: (str, Optional[int], str) -> Dict[str, Any]
    return {"token": token, "code": code, "reason": reason}


def _short(token):
    # type: (str) -> str
    return "%s..." % token[:8]


def _iso(timestamp):
    # type: (int) -> str
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))
