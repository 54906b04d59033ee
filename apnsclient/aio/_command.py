"""The command lines of the original: one notification from a shell.

Standard output has the identifier of the notification, and nothing else. An error that can be
expected is one line on standard error. The command ``apns send`` can do more; this one is there for
scripts that were written for the original, of either generation.
"""

import argparse
import asyncio
import contextlib
import logging
import sys
from typing import Generator, List, NamedTuple, Optional, Sequence

from ..errors import APNsError
from ..models import Alert, Localized, Notification
from ..provider_token import ProviderToken
from .api import Server, Simulator
from .config import ALT_PORT, DEFAULT_PORT, PRODUCTION_HOST, SANDBOX_HOST, Priority

__all__ = ["main"]

_log = logging.getLogger("apnsclient.aio")

#: Exit statuses.
SUCCESS, FAILURE, USAGE, INTERRUPTED = 0, 1, 2, 130

_USAGE = """\
%(prog)s TOKEN [OPTION ...] simple BODY
       %(prog)s TOKEN [OPTION ...] localized KEY [ARGUMENT ...]
       %(prog)s server TOKEN BODY [OPTION ...]
       %(prog)s simulator DEVICE_ID APP_ID BODY [OPTION ...]"""

_EPILOG = """\
The identifier of the notification is written to standard output. Exit status: 0 if it was accepted,
1 if not, 2 for wrong usage. Text that begins with a hyphen is written after --."""

#: How many words each of the forms has after its first two: the least, and the most.
_FORMS = {"simple": (1, 1), "localized": (1, None), "server": (2, 2), "simulator": (3, 3)}


class _Job(NamedTuple):
    """What is to be sent, and where to."""

    form: str
    token: str
    notification: Notification
    simulator: Optional[Simulator]


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apnsclient.aio", usage=_USAGE, epilog=_EPILOG,
        description="Send a notification to one device, or to the simulator of Xcode.")
    parser.add_argument("words", nargs="+", help=argparse.SUPPRESS)
    add = parser.add_argument
    add("--client-cert-path", metavar="FILE", help="client certificate and its key, in PEM format")
    add("--key-file", metavar="FILE", help="instead of a certificate: .p8 file of a signing key")
    add("--key-id", metavar="ID", help="identifier of the signing key")
    add("--team-id", metavar="ID", help="identifier of the team")
    add("--prod", action="store_true", help="send to production instead of the sandbox")
    add("--alt-port", action="store_true", help="use port %d instead of %d"
        % (ALT_PORT, DEFAULT_PORT))
    add("--host", help="send to this server")
    add("--port", type=int, help="its port")
    add("--cafile", metavar="FILE", help="certificates of the authorities to trust instead of the "
        "system's, in PEM format")
    add("--expiration", type=int, metavar="SECONDS", help="when to stop trying, in seconds since "
        "1970; 0 means that it is not stored")
    add("--immediately", action="store_true", help="priority 10 instead of 5")
    add("--topic", help="bundle identifier of the application, with the suffix of the push type")
    add("--collapse-id", metavar="ID", help="replace the notification that has the same one")
    add("--apns-id", metavar="UUID", help="identifier of the notification")
    add("--verbose", action="store_true", help="write to standard error what happens")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command.

    :param argv: arguments (list of str); None takes them from ``sys.argv``.
    :return: exit status (int).
    :raises SystemExit: where argparse ends the program: for ``--help`` and wrong usage.
    """
    parser = _build_parser()
    # Options may stand between the words.
    arguments = parser.parse_intermixed_args(argv)
    job = _job_of(arguments.words, parser)
    if job.simulator is None:
        _check_credential(arguments, parser)
    try:
        with _logging(arguments.verbose):
            apns_id = asyncio.run(_send(job, arguments))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except (OSError, APNsError, ImportError, TypeError, ValueError) as error:
        sys.stderr.write("%s: %s\n" % (parser.prog, " ".join(str(error).split())))
        return FAILURE
    sys.stdout.write("%s\n" % apns_id)
    return SUCCESS


@contextlib.contextmanager
def _logging(is_verbose: bool) -> Generator[None, None, None]:
    """Write the log of the package to standard error meanwhile, if that is wanted."""
    logger = logging.getLogger("apnsclient")
    handler, level = logging.StreamHandler(sys.stderr), logger.level
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    if is_verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _job_of(words: List[str], parser: argparse.ArgumentParser) -> _Job:
    """Return what the words of the command line ask for; end the program if it is nothing."""
    form = words[0] if words[0] in ("server", "simulator") else "".join(words[1:2])
    if form not in _FORMS:
        parser.error("expected simple or localized after the token, or server or simulator in its "
                     "place")
    rest = words[1:] if words[0] == form else words[2:]
    least, most = _FORMS[form]
    if len(rest) < least or most is not None and len(rest) > most:
        parser.error("%s takes %d words, and %d were given; quote text that has spaces"
                     % (form, least, len(rest)))
    token = rest[0] if form == "server" else words[0]
    body = Localized(rest[0], rest[1:] or None) if form == "localized" else rest[-1]
    return _Job(form, token, Notification(Alert(body)),
                Simulator(rest[0], rest[1]) if form == "simulator" else None)


def _check_credential(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    signing = [arguments.key_file, arguments.key_id, arguments.team_id]
    if arguments.client_cert_path is None and not all(signing):
        parser.error("either --client-cert-path is needed, or --key-file, --key-id and --team-id")
    if arguments.client_cert_path is not None and any(signing):
        parser.error("--client-cert-path and --key-file exclude each other")


async def _send(job: _Job, arguments: argparse.Namespace) -> str:
    target = job.simulator or _server_of(arguments)
    _log.debug("sending to %r", target)
    async with target.create_client() as client:
        _log.debug("sending with %r", client)
        return await client.send_notification(
            job.token, job.notification, apns_id=arguments.apns_id,
            expiration=arguments.expiration, topic=arguments.topic,
            priority=Priority.immediately if arguments.immediately else Priority.normal,
            collapse_id=arguments.collapse_id)


def _server_of(arguments: argparse.Namespace) -> Server:
    credential = arguments.client_cert_path
    if credential is None:
        credential = ProviderToken(
            arguments.key_id, arguments.team_id, key_file=arguments.key_file)
    host = arguments.host or (PRODUCTION_HOST if arguments.prod else SANDBOX_HOST)
    port = arguments.port or (ALT_PORT if arguments.alt_port else DEFAULT_PORT)
    return Server(credential, host, port, arguments.cafile)
