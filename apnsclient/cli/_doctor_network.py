"""What ``apns doctor`` says about the way to the server, taken by the code that sends.

The steps are those of the back-end: the name lookup, TCP to each address, the tunnel through the
proxy, TLS with the verification of the server, and the first frames of HTTP/2. TLS and ALPN are one
handshake; they are two checks because they fail for different reasons.
"""

from __future__ import absolute_import, division, print_function

import argparse
import calendar
import email.utils
import socket
import time
from collections import namedtuple

from .._compat import MYPY, monotonic
from .._printable import printable
from ..addresses import is_apples
from ..backends._identity import Material, load_certificates
from ..backends._inspection import Anonymous, facts_of
from ..backends._names import display, parse_ip
from ..backends.link import Link
from ..errors import (
    CertificateError,
    CertificateRefused,
    ConnectionLost,
    PeerVerificationError,
    Timeout,
)
from ..protocols.http2.client import ClientConnection
from . import _session
from ._console import Failure, one_line
from ._doctor_files import InputFile
from ._explain import REMEDIES, explain_parts
from ._finding import Check, failed, good, once, skipped, warning

if MYPY:
    from typing import Any, Callable, Dict, List, Optional

    from ._finding import Finding

    Address = Any

__all__ = ["CHECKS", "OFFLINE_CHECKS", "Way", "attempt"]

#: The root of the certificates of Apple's servers since January 2025 in the sandbox, and since
#: February in production (Apple, news for developers of 17 October 2024, *Apple Push Notification
#: service server certificate update*).
APPLES_ROOT = "USERTrust RSA Certification Authority"
#: A web server whose responses have the time, if the address is Apple's: theirs, too.
APPLES_CLOCK = ("www.apple.com", 443)
#: Seconds by which a clock may be slow or fast for provider tokens; see ``provider_token``.
_SLOW, _FAST = 240, 300
#: Seconds that are worth mentioning. A time in a response is some seconds old, and has no fraction.
_NOTABLE = 30
#: Most bytes of an HTTP/1.1 header that are read.
_LONGEST_HEADER = 65536

_UNREACHED = "the server was not reached"

#: What a step has returned, or the exception that it raised; the other one is None.
Outcome = namedtuple("Outcome", "value problem")


def attempt(function, *arguments, **options):
    # type: (Callable[..., Any], Any, Any) -> Outcome
    """Return the outcome of a step."""
    try:
        return Outcome(function(*arguments, **options), None)
    except _session.CONNECT_ERRORS as error:
        return Outcome(None, error)


class Way(object):
    """The way to the server: each step is taken when it is first asked for.

    :param arguments: the command's (``argparse.Namespace``).

    :ivar credential: arguments of a session's methods (dict), or None to present none.
    """

    def __init__(self, arguments):
        # type: (argparse.Namespace) -> None
        self.arguments = arguments
        self.timeout = arguments.connect_timeout
        self.credential = None  # type: Optional[Dict[str, Any]]
        self._opened = []  # type: List[Any]

    @property
    def has_credential(self):
        # type: () -> bool
        """Whether there is a credential to present."""
        return self.credential is not None

    @once
    def session(self):
        # type: () -> Outcome
        """A session with the options of the command, or the Failure to make one."""
        from ..feedback_store import MemoryStore
        try:
            return Outcome(_session.new_session(
                self.arguments, feedback_store=MemoryStore(),
                read_timeout=max(self.timeout, 20.0)), None)
        except Failure as failure:
            return Outcome(None, failure)

    @once
    def handle(self):
        # type: () -> Any
        """The session's connection, with the credential where that is usable."""
        options = self.credential or {"certificate": Anonymous()}
        return self.session.value.get_connection(self.arguments.address, **options)

    @property
    def is_for_apple(self):
        # type: () -> bool
        """Whether it leads to Apple's servers."""
        return self.arguments.address is not None and is_apples(self.arguments.address)

    @property
    def backend(self):
        # type: () -> Any
        """The back-end of the session."""
        return self.session.value.pool

    @once
    def steps(self):
        # type: () -> Any
        """The steps before TLS."""
        return self.backend.steps(self.handle.address)

    @once
    def candidates(self):
        # type: () -> Outcome
        """The addresses of the server, or of the proxy."""
        if self.session.value is None:
            return Outcome([], self.session.problem)
        found = attempt(self.steps.look_up, self.timeout)
        return Outcome(found.value or [], found.problem)

    @once
    def problems(self):
        # type: () -> List[Any]
        """For each address None, or why TCP does not reach it."""
        return list(self.steps.connect(self.candidates.value, self.timeout))

    @once
    def is_reached(self):
        # type: () -> bool
        """Whether TCP reaches one of them."""
        return bool(self.candidates.value) and None in self.problems

    @once
    def tunnel(self):
        # type: () -> Outcome
        """Whether the proxy opens a tunnel."""
        reached = [one for one, problem in zip(self.candidates.value, self.problems)
                   if problem is None]
        return attempt(self.steps.open_tunnel, reached, self.timeout)

    @once
    def can_speak(self):
        # type: () -> bool
        """Whether TLS can begin."""
        return self.is_reached and (self.backend.proxy is None or self.tunnel.problem is None)

    @once
    def connection(self):
        # type: () -> Outcome
        """A connection with TLS, opened as for sending."""
        alpn = {"alpn": ("h2",)} if self.arguments.protocol == "http2" else {}
        return self._open(self.backend, self.handle.address, self.handle.certificate, **alpn)

    @once
    def presented(self):
        # type: () -> List[Any]
        """Facts of the certificates that a server presents which does not verify."""
        options = argparse.Namespace(**dict(vars(self.arguments), no_verify=True))
        session = _session.new_session(options)
        found = self._open(session.pool, self.handle.address, Anonymous())
        return [] if found.value is None else _chain_of(found.value, False)

    @once
    def http2(self):
        # type: () -> Outcome
        """The client's side of an HTTP/2 connection whose settings have come."""
        return attempt(self._greet, Link(self.connection.value))

    @property
    def is_open(self):
        # type: () -> bool
        """Whether notifications can be sent on it."""
        if not self.can_speak or self.connection.value is None:
            return False
        return self.arguments.protocol != "http2" or (
            self.connection.value.alpn_protocol == "h2" and self.http2.problem is None
            and self.http2.value.error is None)

    @property
    def clock_address(self):
        # type: () -> Optional[Address]
        """The web server that is asked for the time, or None."""
        if self.arguments.clock_host is not None:
            return self.arguments.clock_host
        return APPLES_CLOCK if self.is_for_apple else None

    @once
    def clock(self):
        # type: () -> Outcome
        """Seconds by which this machine's clock is fast, by the Date of a web server; or None."""
        found = self._open(self.backend, self.clock_address, Anonymous())
        if found.value is None:
            return found
        return attempt(self._ask_time, Link(found.value))

    def close(self):
        # type: () -> None
        """Close all connections."""
        if self.session.value is not None:
            self.backend.close_all(self._opened)
            self.session.value.shutdown()

    def _open(self, backend, address, certificate, **options):
        # type: (Any, Address, Any, Any) -> Outcome
        found = attempt(backend.get_new_connection, address, certificate, self.timeout, **options)
        if found.value is not None:
            self._opened.append(found.value)
        return found

    def _greet(self, link):
        # type: (Link) -> ClientConnection
        """Exchange the first frames."""
        client = ClientConnection(b"")  # It makes no requests.
        try:
            link.write(client.output(), self.timeout)
        except ConnectionLost:
            # What the server said before it hung up says why, such as the refusal of a certificate.
            while link.read(65536, self.timeout):
                pass
            raise
        end = monotonic() + self.timeout
        while not client.has_settings and client.error is None:
            data = link.read(65536, max(end - monotonic(), 0.001))
            if data is None:
                raise Timeout("the server sends nothing for %s s" % self.timeout)
            if not data:
                raise ConnectionLost("the server closed the connection without a word")
            client.receive(data)
        client.send_goaway()
        link.write(client.output(), self.timeout)
        return client

    def _ask_time(self, link):
        # type: (Link) -> Optional[float]
        host = self.clock_address[0]  # type: ignore[index]
        link.write(("HEAD / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host)
                   .encode("ascii"), self.timeout)
        end, header = monotonic() + self.timeout, b""
        while b"\r\n\r\n" not in header and len(header) < _LONGEST_HEADER:
            data = link.read(4096, max(end - monotonic(), 0.001))
            if not data:
                break
            header += data
        for line in header.decode("latin-1").splitlines():
            name, _, value = line.partition(":")
            date = email.utils.parsedate(value) if name.strip().lower() == "date" else None
            if date is not None:
                return time.time() - calendar.timegm(date)
        return None


def _chain_of(connection, is_verified=True):
    # type: (Any, bool) -> List[Any]
    """Return the facts of a server's certificates; none of them if one cannot be read."""
    try:
        return [facts_of(one) for one in connection.server_chain(is_verified)]
    except (ValueError, TypeError):
        return []


def _finding_of(problem, remedy):
    # type: (Any, str) -> Finding
    """Return the finding about an exception.

    :param remedy: what to do if the exception does not say so (str).
    """
    seen, known = explain_parts(problem)
    return failed(seen, known or remedy)


def _options(way):
    # type: (Way) -> Optional[Finding]
    problem = way.session.problem
    if problem is not None:
        seen, _, remedy = one_line(problem).partition("; ")
        return failed(seen, remedy or "check --ca-file and --proxy")
    if way.arguments.ca_file is None:
        return None if way.backend.proxy is None else good("--proxy can be used")
    file = InputFile("--ca-file", way.arguments.ca_file)
    names = [one.name for one in _authorities(file.content)]
    seen = "the server is verified with %s: %d certificate%s" % (
        file.shown, len(names), "" if len(names) == 1 else "s")
    if names and APPLES_ROOT not in names and way.is_for_apple:
        return warning("%s, and none is %s" % (seen, APPLES_ROOT), (
            "leave --ca-file out, or add that one: Apple's servers have it as their root since "
            "2025"))
    return good(seen)


def _authorities(pem):
    # type: (bytes) -> List[Any]
    """Return the facts of authorities, none of them if one cannot be read."""
    try:
        return [facts_of(one) for one in load_certificates(Material(cert_string=pem))]
    except (CertificateError, ValueError):
        return []


def _dns(way):
    # type: (Way) -> Finding
    if way.session.value is None:
        return skipped("there is no session")
    found = way.candidates
    host = way.steps.target[0]
    if found.problem is not None:
        return _finding_of(found.problem, (
            "check --proxy" if way.backend.proxy else "check the name in --address, and that this "
            "machine can look names up: getent hosts %s" % host))
    if parse_ip(host) is not None:
        return good("%s is an address: there is nothing to look up" % host)
    if not found.value:
        return failed("%s has no address" % host, "check the name in --address")
    counts = ["%d of IPv%d" % (sum(one[0] == family for one in found.value), version)
              for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6))]
    shown = ", ".join(str(one[3][0]) for one in found.value[:4])
    return good("%s%s: %s%s (%s)" % ("the proxy " if way.backend.proxy else "", host, shown,
                                     ", ..." if len(found.value) > 4 else "", ", ".join(counts)))


def _tcp(way):
    # type: (Way) -> Finding
    if not way.candidates.value:
        return skipped("there is no address")
    failures, whole = [], []
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        outcomes = [problem for one, problem in zip(way.candidates.value, way.problems)
                    if one[0] == family]
        found = [one_line(one) for one in outcomes if one is not None]
        failures += found
        if outcomes and len(found) == len(outcomes):
            whole.append("IPv%d" % version)
    if not way.is_reached:
        return failed("; ".join(failures[:3]), _tcp_remedy(way))
    reached = "%d of %d addresses of port %d" % (
        len(way.problems) - len(failures), len(way.problems), way.steps.target[1])
    if failures and not whole:
        return warning("%s; %s" % (reached, "; ".join(failures[:3])), (
            "if it stays so, ask who runs the network; the client goes on to another address"))
    if whole:
        reached += "; none of %s, which the client does without" % whole[0]
    return good(reached)


def _tcp_remedy(way):
    # type: (Way) -> str
    if way.backend.proxy:
        return "check --proxy, and that the proxy runs"
    if way.is_for_apple:
        host = way.handle.address[0]
        return ("have the firewall let this machine out to port 443, or try the other port of "
                "Apple's: --address %s:2197; behind a proxy give --proxy" % host)
    return "check host and port of --address, that the server runs, and firewalls on the way"


def _proxy(way):
    # type: (Way) -> Optional[Finding]
    if way.session.value is None or way.backend.proxy is None:
        return None
    if not way.is_reached:
        return skipped("the proxy was not reached")
    if way.tunnel.problem is not None:
        return _finding_of(way.tunnel.problem, (
            "have the proxy allow CONNECT to %s" % display(way.handle.address)))
    return good("%s opens a tunnel to %s" % (way.backend.proxy, display(way.handle.address)))


def _tls(way):
    # type: (Way) -> Finding
    if not way.can_speak:
        return skipped(_UNREACHED)
    found = way.connection
    if isinstance(found.problem, PeerVerificationError):
        return _unverified(way)
    if isinstance(found.problem, CertificateRefused) and not way.has_credential:
        return skipped("the server wants a credential: mend that first")
    if isinstance(found.problem, CertificateRefused):
        return _finding_of(found.problem, "give the certificate that this server knows")
    if found.problem is not None:
        return _finding_of(found.problem, (
            "check that port %d speaks TLS, and whether something on the way breaks it"
            % way.handle.address[1]))
    if not way.backend.verify:
        return warning("%s; the server was not verified" % found.value.tls_version,
                       "leave --no-verify out")
    chain = _chain_of(found.value)
    return good("%s; %s" % (found.value.tls_version, "the certificate of %s is valid until %s UTC"
                            % (chain[0].name, chain[0].expires) if chain else "verified"))


def _unverified(way):
    # type: (Way) -> Finding
    seen, remedy = explain_parts(way.connection.problem)
    chain = way.presented
    if chain:
        seen += ". It presents the certificate of %s, issued by %s" % (
            chain[0].name, chain[-1].issuer)
    if way.is_for_apple and remedy == REMEDIES["trust"]:
        remedy = ("update this system's authorities (the package ca-certificates): Apple's servers "
                  "need %s; if another one issued it, something on the way intercepts TLS, and has "
                  "to let these hosts pass" % APPLES_ROOT)
    return failed(seen, remedy or "check that this is the right server")


def _root(way):
    # type: (Way) -> Optional[Finding]
    if not way.can_speak or way.connection.value is None:
        return skipped("there is no TLS")
    chain = _chain_of(way.connection.value, way.backend.verify)
    if not chain or not way.backend.verify:
        return skipped("the server was not verified")
    seen = " < ".join([one.name for one in chain[1:]] or ["none but itself"])
    if way.is_for_apple and APPLES_ROOT not in (chain[-1].name, chain[-1].issuer):
        return warning("%s; expected %s" % (seen, APPLES_ROOT), (
            "Apple's servers have had that root since 2025: if this is a company's, something on "
            "the way intercepts TLS, and has to let these hosts pass"))
    return good(seen)


def _alpn(way):
    # type: (Way) -> Optional[Finding]
    if way.arguments.protocol != "http2":
        return None
    if not way.can_speak or way.connection.value is None:
        return skipped("there is no TLS")
    chosen = way.connection.value.alpn_protocol
    if chosen != "h2":
        return failed("the server chose %s, not h2" % printable(u"%s" % (chosen or "none")),
                      REMEDIES["binary"])
    return good("h2")


def _http2(way):
    # type: (Way) -> Optional[Finding]
    if way.arguments.protocol != "http2":
        return None
    if not way.can_speak or way.connection.value is None \
            or way.connection.value.alpn_protocol != "h2":
        return skipped("HTTP/2 was not agreed on")
    problem, client = way.http2.problem, way.http2.value
    if isinstance(problem, CertificateRefused) and not way.has_credential:
        return skipped("the server wants a credential: mend that first")
    if problem is not None:
        return _finding_of(problem, "check that this is the right server")
    if client.error is not None:
        return failed(one_line(client.error), "check that this is the right server")
    return good("the server sends its settings, and takes %d request%s at a time"
                % (client.limit, "" if client.limit == 1 else "s"))


def _clock(way):
    # type: (Way) -> Finding
    if way.clock_address is None:
        return skipped("no server is known that tells the time; --clock-host names one")
    found, where = way.clock, display(way.clock_address)
    if found.value is None:
        return skipped("could not be checked: %s" % (
            "%s tells no time" % where if found.problem is None else one_line(found.problem)))
    fast = int(round(found.value))
    seen = "%d s %s by the Date of %s" % (abs(fast), "slow" if fast < 0 else "fast", where)
    remedy = "set this machine's clock, best with NTP (timedatectl set-ntp true)"
    if way.arguments.key_id is not None and not -_SLOW < fast < _FAST:
        return failed("%s, too much for provider tokens" % seen, remedy)
    if abs(fast) > _NOTABLE:
        return warning(seen, remedy)
    return good(seen)


#: The checks that need no network.
OFFLINE_CHECKS = [Check("options", "options", _options)]

#: The checks of the way, in order.
CHECKS = [
    Check("dns", "DNS", _dns),
    Check("tcp", "TCP", _tcp),
    Check("proxy", "proxy", _proxy),
    Check("tls", "TLS", _tls),
    Check("root", "TLS chain", _root),
    Check("alpn", "ALPN", _alpn),
    Check("http2", "HTTP/2", _http2),
    Check("clock", "clock", _clock),
]
