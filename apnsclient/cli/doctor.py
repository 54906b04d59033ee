"""``apns doctor``: what is wrong with credential, network or token, and what mends it."""

from __future__ import absolute_import, division, print_function

import contextlib
import logging
from collections import OrderedDict

from .._compat import MYPY
from . import _options, _session
from ._console import INCOMPLETE, NO_CONNECTION, SUCCESS, USAGE, Failure, one_line, printable
from ._finding import FAILED, OK, SKIPPED, WARNING, findings_of, skipped

if MYPY:
    import argparse
    from typing import Any, Iterator, List, Tuple

    from ._console import Console
    from ._finding import Check, Finding

    Found = Tuple[Check, Finding]

_DESCRIPTION = """\
Look into the files of a credential, and go the way to the server step by step, with the code that
sends. Each check says what it has seen, and, if something is wrong, how to mend it. Nothing is
sent, unless --token says to whom.

The files are checked first, and need no network: --offline leaves it at that. The way is name
lookup, proxy, TCP to each address, TLS with the server's chain, ALPN, and the first frames of
HTTP/2. The clock is compared with the Date of a web server: www.apple.com if the address is
Apple's.

With --token a notification is sent; if Apple answers BadDeviceToken, also in the other environment,
to find out which one the token belongs to.
"""
_EPILOG = """\
output:
  A line for each check, and one with the remedy below it if there is something to mend. With
  --json one document:
    {"address": ..., "certificate": {"days_left": 364,
      "environments": [...], "expires": "2027-01-31T17:04:05Z",
      "issuer": ..., "name": ..., "topics": [...]},
     "checks": [{"check": "validity", "outcome": "ok",
      "remedy": null, "seen": ...}], "error": null, "status": 0}
  outcome is ok, warning, failed or skipped. No output has a key, a passphrase or a whole token.

exit status:
  0    all is well; what could not be checked was skipped
  1    it works, with a warning; or the notification was rejected
  2    wrong usage
  3    credential, server or the way to it has to be mended first
  4    the output could not be written
  130  interrupted
  141  the reader of the output has gone away

examples:
    apns doctor --address push_production --cert push.pem
    apns doctor --address push_sandbox --key key.p8 --key-id ABC123DEFG \\
        --team-id DEF123GHIJ --topic com.example.app --token 5f1c...
    apns doctor --offline --cert push.p12 --passphrase-file passphrase \\
        --convert-to push.pem
"""

#: The mark of each outcome, its form in plain ASCII, and its style.
_MARKS = {
    OK: (u"\u2713", u"ok  ", "green"), WARNING: (u"!", u"warn", "yellow"),
    FAILED: (u"\u2717", u"FAIL", "red"), SKIPPED: (u"-", u"-   ", "dim"),
}
#: Width of the titles of checks, in columns.
_TITLE = 18
#: Checks that concern the token alone.
_OF_TOKEN = ("request", "token_environment")


def add_parser(commands):
    # type: (Any) -> None
    """Add this command to the argument parser."""
    parser = commands.add_parser(
        "doctor", help="find what is wrong with credential, network or token",
        description=_DESCRIPTION, epilog=_EPILOG,
        usage="%(prog)s --address HOST:PORT [OPTION ...]")
    _session.add_connection_arguments(parser, ["push_sandbox", "push_production"], False)
    more = parser.add_argument_group("checks")
    more.add_argument("--offline", action="store_true",
                      help="check the files only; --address is not needed then")
    more.add_argument("--clock-host", metavar="HOST:PORT", type=_clock_host,
                      help="web server (HTTPS) whose Date the clock is compared with")
    more.add_argument("--convert-to", metavar="FILE",
                      help="write certificate, chain and key as PEM to this new file, with mode "
                           "0600. A key that comes with a passphrase is encrypted with it there")
    token = parser.add_argument_group("notification")
    token.add_argument("--token", metavar="TOKEN", type=_options.text,
                       help="send a notification to this device: in the background, or --alert")
    token.add_argument("--alert", metavar="TEXT", type=_options.text, help="text to show")
    token.add_argument("--topic", metavar="NAME",
                       help="what it is for, as a rule the app's bundle identifier (default: the "
                            "one that the certificate is for)")
    token.add_argument("--push-type", metavar="NAME", help="alert, background, voip, ...")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run, feedback_store=None)


def _clock_host(value):
    # type: (str) -> Any
    found = _options.address(value)
    return found if isinstance(found, tuple) else (found, 443)


def run(arguments, console):
    # type: (argparse.Namespace, Console) -> int
    """Check, report, and return the exit status."""
    found, documents = [], []  # type: List[Found], List[Any]
    try:
        _check_usage(arguments)
        with _without_warnings():
            for each in _examine(arguments, console, documents):
                found.append(each)
                if not arguments.json and each[1].outcome != SKIPPED:
                    _show(each, console)
    except Failure as failure:
        if arguments.json:
            console.document(_document(arguments, found, documents, one_line(failure),
                                       failure.status))
        raise
    status = _status(found)
    if arguments.json:
        console.document(_document(arguments, found, documents, None, status))
    else:
        _show_skipped(found, console)
        console.line(_summary(found))
    return status


def _check_usage(arguments):
    # type: (argparse.Namespace) -> None
    if arguments.address is None and not arguments.offline:
        raise Failure("give --address, or --offline to check the files only", USAGE)
    if arguments.token is not None and arguments.offline:
        raise Failure("--token does not go together with --offline", USAGE)
    if arguments.token is None and arguments.alert is not None:
        raise Failure("--alert needs --token", USAGE)
    address, arguments.address = arguments.address, arguments.address or "push_production"
    _session.decide_protocol(arguments)
    arguments.address = address
    if arguments.key_id is None:
        return
    if arguments.convert_to is not None:
        raise Failure("--convert-to is for a certificate; the key of provider tokens is used as "
                      "it is", USAGE)
    if arguments.token is not None and arguments.topic is None:
        raise Failure("--token needs --topic with a provider token, which is for no app by itself",
                      USAGE)


def _examine(arguments, console, documents):
    # type: (argparse.Namespace, Console, List[Any]) -> Iterator[Found]
    """Yield the checks and their findings as they are made.

    :param documents: gets what can be read of the certificate.
    """
    try:
        from . import _doctor_certificate, _doctor_network, _doctor_request, _doctor_token
    except ImportError as error:
        raise Failure(one_line(error), NO_CONNECTION)
    way = _doctor_network.Way(arguments)
    facts = [way, way]  # type: List[Any]
    tables = [_doctor_network.OFFLINE_CHECKS, _doctor_network.CHECKS]
    if arguments.token is not None:
        facts.append(_doctor_request.Request(way))
        tables.append(_doctor_request.CHECKS)
    if arguments.key_id is None:
        given = _doctor_certificate.CertificateInput(arguments, console)  # type: Any
        checks = _doctor_certificate.CHECKS
    else:
        given = _doctor_token.TokenInput(arguments)
        checks = _doctor_token.CHECKS
    for each in findings_of(checks, given):
        yield each
    documents.append(given.document())
    way.credential = given.texts if given.is_usable else None
    with contextlib.closing(way):
        for table, each_facts in zip(tables, facts):
            is_left_out = arguments.offline and table is _doctor_network.CHECKS
            for each in _left_out(table) if is_left_out else findings_of(table, each_facts):
                yield each


def _left_out(checks):
    # type: (List[Check]) -> Iterator[Found]
    return ((check, skipped("--offline")) for check in checks)


class _Silence(logging.Filter):
    """Lets no record pass."""

    def filter(self, record):
        # type: (logging.LogRecord) -> bool
        """Return False."""
        return False


@contextlib.contextmanager
def _without_warnings():
    # type: () -> Iterator[None]
    """Have the back-end not warn of what is reported anyway: a certificate that is not valid."""
    logger, silence = logging.getLogger("apnsclient.backends.stdio"), _Silence()
    logger.addFilter(silence)
    try:
        yield
    finally:
        logger.removeFilter(silence)


def _status(found):
    # type: (List[Found]) -> int
    if any(finding.outcome == FAILED and check.name not in _OF_TOKEN for check, finding in found):
        return NO_CONNECTION
    if any(finding.outcome in (FAILED, WARNING) for _, finding in found):
        return INCOMPLETE
    return SUCCESS


def _document(arguments, found, documents, error, status):
    # type: (argparse.Namespace, List[Found], List[Any], Any, int) -> Any
    address = arguments.address
    return {
        "address": "%s:%d" % address if isinstance(address, tuple) else address,
        "certificate": documents[0] if documents else None,
        "checks": [{"check": check.name, "outcome": finding.outcome, "remedy": finding.remedy,
                    "seen": finding.seen} for check, finding in found],
        "error": error,
        "status": status,
    }


def _show(each, console):
    # type: (Found, Console) -> None
    """Write the line of a check, and its remedy below."""
    check, finding = each
    mark = _mark(finding.outcome, console)
    _write(finding.outcome, check.title, finding.seen, console)
    if finding.remedy is not None:
        console.line(u"%s%s" % (u" " * (len(mark) + 1 + _TITLE), console.styled(
            "to do: " + printable(finding.remedy), "bold")))
    console.flush()


def _show_skipped(found, console):
    # type: (List[Found], Console) -> None
    """Write a line for each reason why something was not checked."""
    reasons = OrderedDict()  # type: OrderedDict[str, List[str]]
    for check, finding in found:
        if finding.outcome == SKIPPED:
            reasons.setdefault(finding.seen, []).append(check.title)
    for reason, titles in reasons.items():
        _write(SKIPPED, "not checked", "%s: %s" % (", ".join(titles), reason), console)


def _write(outcome, title, text, console):
    # type: (str, str, str, Console) -> None
    console.line(u"%s %s%s" % (
        console.styled(_mark(outcome, console), _MARKS[outcome][2]), title.ljust(_TITLE),
        printable(text)))


def _mark(outcome, console):
    # type: (str, Console) -> str
    """Return the mark of an outcome as standard output can show it."""
    has_signs = console.can_show(_MARKS[OK][0] + _MARKS[FAILED][0])
    return _MARKS[outcome][0 if has_signs else 1]


def _summary(found):
    # type: (List[Found]) -> str
    outcomes = [finding.outcome for _, finding in found]
    counts = [(outcomes.count(outcome), outcome) for outcome in (OK, WARNING, FAILED, SKIPPED)]
    return "%s: %s" % (
        "all is well" if FAILED not in outcomes and WARNING not in outcomes else "look above",
        ", ".join("%d %s" % pair for pair in counts if pair[0]))
