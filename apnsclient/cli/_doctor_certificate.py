"""What ``apns doctor`` says about a certificate and its key; none of it needs a network."""

from __future__ import absolute_import, division, print_function

import datetime
import re
import time

from .._compat import MYPY
from .._files import shown_path
from .._pem import certificates_in, is_encrypted, keys_in
from ..addresses import ADDRESSES, environment_of, is_apples
from ..backends._identity import Material
from ..backends._inspection import (
    Parts,
    describe_key,
    facts_of,
    is_old_archive,
    to_pem,
    whole_pem,
)
from ..errors import CertificateError
from ..topics import split_topic
from . import _session
from ._console import Failure, one_line
from ._doctor_files import InputFile, write_private
from ._explain import explain_parts
from ._finding import Check, failed, good, once, skipped, warning

if MYPY:
    import argparse
    from typing import Any, Dict, Optional

    from ._console import Console
    from ._finding import Finding

__all__ = ["CHECKS", "CertificateInput"]

#: With fewer days left than these, a certificate should be renewed.
_SOON = 30

_NEW_ONE = "create a certificate on Apple's developer page (Certificates, Identifiers & Profiles)"
_PUSH = "of the kind Apple Push Notification service SSL (Sandbox & Production)"

#: What the common names of Apple's certificates begin with, and whether those are for pushes.
_KINDS = [
    (r"Apple (?:(?:Development|Production) )?(?:IOS |Mac )?Push Services: ", "push certificate",
     True),
    (r"VoIP Services: ", "certificate for VoIP pushes", True),
    (r"WatchKit Services: ", "certificate for pushes to complications", True),
    (r"Website Push ID: ", "certificate for pushes of a website", True),
    (r"Pass Type ID: ", "certificate for passes in Wallet, which pushes their updates", True),
    (r"APSP:", "certificate for device management (MDM)", True),
    (r"(?:Apple Development|iPhone Developer|Mac Developer): ",
     "development certificate, which signs apps while they are developed", False),
    (r"(?:Apple Distribution|iPhone Distribution): |3rd Party Mac Developer ",
     "distribution certificate, which signs apps for the App Store", False),
    (r"Developer ID ", "Developer ID certificate, which signs apps outside of the App Store",
     False),
    (r"(?:Apple Pay |Merchant ID: )", "certificate for Apple Pay", False),
    (r"Apple (?:Worldwide Developer Relations|Root CA)", "certificate of Apple's authority itself",
     False),
]


class CertificateInput(object):
    """The certificate, key and passphrase that the arguments name, and what can be read of them.

    :param arguments: the command's (``argparse.Namespace``).
    :param console: asks for the passphrase, if there is a terminal.
    """

    def __init__(self, arguments, console):
        # type: (argparse.Namespace, Console) -> None
        self.arguments = arguments
        self._console = console
        self.cert_file = InputFile("--cert", arguments.cert)
        self.key_file = None if arguments.key is None else InputFile("--key", arguments.key)
        #: Why there is no passphrase, or why it does not open an archive (Finding), or None.
        self.passphrase_problem = None  # type: Optional[Finding]

    @property
    def key_source(self):
        # type: () -> InputFile
        """The file that has to have the key."""
        return self.cert_file if self.key_file is None else self.key_file

    @property
    def is_for_apple(self):
        # type: () -> bool
        """Whether it is meant for Apple's servers."""
        return self.arguments.address is None or is_apples(self.arguments.address)

    @once
    def is_locked(self):
        # type: () -> bool
        """Whether a passphrase is needed: for the key, or for an archive."""
        if self.archive is not None:
            return True
        return any(map(is_encrypted, keys_in(self._plain_text(self.key_source))[:1]))

    @property
    def archive(self):
        # type: () -> Optional[InputFile]
        """The file that is a PKCS #12 archive, or None."""
        found = [one for one in (self.key_source, self.cert_file) if one.kind == "pkcs12"]
        return found[0] if found else None

    @once
    def passphrase(self):
        # type: () -> Optional[bytes]
        """The passphrase, or None."""
        archive = self.archive
        try:
            if archive is not None and _opens(archive.content, None):
                return None
            return _session.read_passphrase(self.arguments, self.is_locked, self._console)
        except Failure as failure:
            seen, _, remedy = one_line(failure).partition(": give ")
            if remedy and archive is not None:
                seen = "the archive is encrypted"
            self.passphrase_problem = failed(seen, (
                "give --passphrase-file with the name of a file whose first line is the "
                "passphrase, or set %s" % _session.PASSPHRASE_VARIABLE))
            return None

    @once
    def texts(self):
        # type: () -> Dict[str, Any]
        """Arguments of a session's methods, as PEM."""
        found = {"cert_string": self._text(self.cert_file)}
        if self.key_file is not None:
            found["key_string"] = self._text(self.key_file)
        if self.passphrase is not None:
            found["passphrase"] = self.passphrase
        return found

    @property
    def key_text(self):
        # type: () -> bytes
        """The text that has to have the key, as PEM."""
        return self.texts.get("key_string", self.texts["cert_string"])

    @once
    def parts(self):
        # type: () -> Optional[Parts]
        """Certificate and key as far as they can be loaded; None without a certificate's text."""
        return Parts(Material(**self.texts)) if self.texts["cert_string"] else None

    @once
    def facts(self):
        # type: () -> Any
        """What can be read of the certificate, or None."""
        if self.parts is None or not self.parts.certificates:
            return None
        return facts_of(self.parts.own or self.parts.certificates[0])

    @property
    def is_usable(self):
        # type: () -> bool
        """Whether a session can use it."""
        return self.parts is not None and not self.parts.problems

    def document(self):
        # type: () -> Optional[Dict[str, Any]]
        """Return what can be read of the certificate, for ``--json``; None if nothing can."""
        facts = self.facts
        return None if facts is None else {
            "days_left": _days_left(facts), "environments": facts.environments,
            "expires": facts.expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "issuer": facts.issuer,
            "name": facts.name, "topics": facts.topics}

    def _plain_text(self, source):
        # type: (InputFile) -> bytes
        """Return a file's text as PEM, unless it needs a passphrase for that, or is damaged."""
        if source.has_blocks or source.kind == "pkcs12":
            return source.content
        return self._convert(source, None)

    def _text(self, source):
        # type: (InputFile) -> bytes
        """Return a file's text as PEM, b"" if there is none."""
        if source.has_blocks:
            return source.content
        if source.kind != "pkcs12":
            return self._convert(source, None)
        passphrase = self.passphrase
        if self.passphrase_problem is not None:
            return b""
        found = self._convert(source, passphrase)
        if not found:
            self.passphrase_problem = _locked(source)
        return found

    def _convert(self, source, passphrase):
        # type: (InputFile, Optional[bytes]) -> bytes
        try:
            return to_pem(source.content, passphrase) or b""
        except CertificateError:
            return b""


def _opens(content, passphrase):
    # type: (bytes, Optional[bytes]) -> bool
    try:
        to_pem(content, passphrase)
    except CertificateError:
        return False
    return True


def _locked(source):
    # type: (InputFile) -> Finding
    """Return the finding about an archive that does not open."""
    seen = "%s does not open with this passphrase" % source.shown
    if not is_old_archive(source.content):
        return failed(seen, "check the passphrase: it is the one that the export asked for")
    return failed(
        seen + ", or OpenSSL here lacks its cipher, an old one (RC2, RC4 or triple DES)",
        "check the passphrase: it is the one that the export asked for; if it is right, convert "
        "the file: openssl pkcs12 -legacy -in push.p12 -out push.pem")


def _certificate_file(given):
    # type: (CertificateInput) -> Finding
    return given.cert_file.judge("certificate", given.arguments.convert_to is not None)


def _key_file(given):
    # type: (CertificateInput) -> Optional[Finding]
    if given.key_file is None:
        return None
    return given.key_file.judge("key", given.arguments.convert_to is not None)


def _passphrase(given):
    # type: (CertificateInput) -> Finding
    if not given.key_source.content:
        return skipped("there is no key")
    text, problem = given.key_text, given.passphrase_problem
    if problem is not None:
        return problem
    if given.archive is not None:
        return good("%s; its ciphers are %s" % (
            "the archive has none" if not given.passphrase else "opens the archive",
            "old ones" if is_old_archive(given.archive.content) else "current"))
    if not keys_in(text):
        return skipped("there is no key")
    if not given.is_locked:
        return good("the key is not encrypted")
    if given.parts is not None and "key" in given.parts.problems:
        return _of_error(given, "key", "check the passphrase, or take the key's file anew")
    return good("opens the key")


def _certificate(given):
    # type: (CertificateInput) -> Finding
    facts = given.facts
    if facts is not None:
        return good("%s, issued by %s" % (facts.name, facts.issuer))
    if given.parts is None or not certificates_in(given.texts["cert_string"]):
        return skipped("there is no certificate")
    return _of_error(given, "certificate", "download it again from Apple's developer page")


def _key(given):
    # type: (CertificateInput) -> Finding
    if given.passphrase_problem is not None or not given.key_source.content:
        return skipped("there is no key that can be read")
    if given.parts is None:
        return skipped("there is no certificate to load it with")
    if not keys_in(given.key_text):
        if given.key_file is not None:
            return skipped("there is no key")
        return failed("%s has no private key" % given.cert_file.shown, (
            "give with --key the one that the certificate's request (CSR) was made with; if a "
            "keychain made that, export certificate and key together as push.p12"))
    if given.parts.key is not None:
        return good(describe_key(given.parts.key))
    if given.is_locked:
        return skipped("it does not open")
    return _of_error(given, "key", "take the key that the certificate's request was made with")


def _key_matches(given):
    # type: (CertificateInput) -> Finding
    if given.parts is None or given.parts.key is None or not given.parts.certificates:
        return skipped("certificate and key are not both there")
    if given.parts.own is None:
        return _of_error(given, "match", (
            "give the key that the certificate's request was made with; a keychain exports both "
            "together, as push.p12"))
    if "use" in given.parts.problems:
        return _of_error(given, "use", _NEW_ONE)
    return good("the key belongs to the certificate")


def _of_error(given, step, remedy):
    # type: (CertificateInput, str, str) -> Finding
    """Return the finding about an error of the library."""
    seen, known = explain_parts(given.parts.problems[step], given.arguments)
    return failed(seen, known or remedy)


def _purpose(given):
    # type: (CertificateInput) -> Finding
    facts = given.facts
    if facts is None:
        return skipped("there is no certificate")
    for pattern, kind, is_for_push in _KINDS:
        if re.match(pattern, facts.name):
            if is_for_push:
                return good(kind)
            return failed("a %s, and not for pushes" % kind, "%s, %s" % (_NEW_ONE, _PUSH))
    if not given.is_for_apple:
        return good("not one of Apple's, for a server that is not Apple's")
    if facts.topics:
        return good("it has a topic, as push certificates have")
    return warning("neither its name nor its content is that of a push certificate",
                   "%s, %s" % (_NEW_ONE, _PUSH))


def _validity(given):
    # type: (CertificateInput) -> Finding
    facts = given.facts
    if facts is None:
        return skipped("there is no certificate")
    days = _days_left(facts)
    if days < 0:
        return failed("expired on %s UTC, %s ago" % (facts.expires, _number_of_days(-days - 1)), (
            "%s; if this date is to come, set this machine's clock" % _NEW_ONE))
    if facts.begins > _utcnow():
        return failed("not valid before %s UTC" % facts.begins,
                      "check this machine's clock; if it is right, wait until then")
    seen = "until %s UTC, %s left" % (facts.expires, _number_of_days(days))
    if days < _SOON:
        return warning(seen, _NEW_ONE + " before this one expires; both are valid meanwhile")
    return good(seen)


def _environment(given):
    # type: (CertificateInput) -> Finding
    facts = given.facts
    if facts is None:
        return skipped("there is no certificate")
    shown = " and ".join(facts.environments) or "none named in the certificate"
    wanted = _environment_of(given.arguments.address)
    if wanted in ("sandbox", "production") and facts.environments \
            and wanted not in facts.environments:
        return failed("%s, and the address is that of %s" % (shown, wanted), (
            "give --address push_%s, or %s" % (facts.environments[0], _NEW_ONE)))
    return good(shown)


def _environment_of(address):
    # type: (Any) -> Optional[str]
    if address is None:
        return None
    return environment_of(ADDRESSES.get(address, address))


def _topics(given):
    # type: (CertificateInput) -> Finding
    facts, topic = given.facts, given.arguments.topic
    if facts is None:
        return skipped("there is no certificate")
    shown = ", ".join(facts.topics[:10]) or "none named in the certificate"
    if topic is not None and facts.topics and split_topic(topic)[0] not in [
            split_topic(one)[0] for one in facts.topics]:
        return failed("%s, and not %s" % (shown, topic),
                      "check --topic, or take the certificate of that app")
    if not facts.topics and topic is None and given.is_for_apple:
        return warning(shown, "give each message a topic: --topic")
    return good(shown)


def _chain(given):
    # type: (CertificateInput) -> Finding
    facts = given.facts
    if facts is None:
        return skipped("there is no certificate")
    others = [facts_of(one) for one in given.parts.certificates if one != given.parts.own]
    expired = [one for one in others if _days_left(one) < 0] if given.parts.own else []
    if given.is_for_apple and (facts.is_self_issued or not facts.issuer.startswith("Apple ")):
        return failed("issued by %s, which is not Apple" % (
            "itself" if facts.is_self_issued else facts.issuer), (
            "%s, %s; its issuer is Apple Worldwide Developer Relations" % (_NEW_ONE, _PUSH)))
    if expired:
        return warning("the certificate of %s has expired" % expired[0].name, (
            "replace it by the current one of Apple's authorities, or remove it from the file"))
    if any(one.name == facts.issuer for one in others):
        return good("the certificate of the issuer, %s, is there" % facts.issuer)
    return good("the certificate of the issuer, %s, is not there; %s"
                % (facts.issuer, "Apple's servers have it" if given.is_for_apple
                   else "the server has to have it"))


def _conversion(given):
    # type: (CertificateInput) -> Optional[Finding]
    name = given.arguments.convert_to
    if name is None:
        return None
    if given.parts is None or given.parts.own is None:
        return failed("nothing was written, because certificate and key are not both there",
                      "mend that first; a certificate alone needs its key in --key")
    shown = shown_path(str(name)) or "the file"
    problem = write_private(name, whole_pem(given.parts, given.passphrase))
    if problem is not None:
        return failed("%s was not written: %s" % (shown, problem[0]), problem[1])
    chain = len(given.parts.certificates) - 1
    return good("%s, mode 0600: certificate, %s, %s; use it as --cert" % (
        shown, "%d of its chain" % chain if chain else "no chain",
        "and the key, encrypted with the same passphrase" if given.passphrase
        else "and the key, which is not encrypted"))


def _days_left(facts):
    # type: (Any) -> int
    days = (facts.expires - _utcnow()).days  # type: int
    return days


def _utcnow():
    # type: () -> datetime.datetime
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))


def _number_of_days(days):
    # type: (int) -> str
    return "%d day%s" % (days, "" if days == 1 else "s")


#: The checks of a certificate, in order.
CHECKS = [
    Check("certificate_file", "certificate file", _certificate_file),
    Check("key_file", "key file", _key_file),
    Check("passphrase", "passphrase", _passphrase),
    Check("certificate", "certificate", _certificate),
    Check("key", "key", _key),
    Check("key_matches", "key matches", _key_matches),
    Check("purpose", "purpose", _purpose),
    Check("validity", "validity", _validity),
    Check("environment", "environment", _environment),
    Check("topics", "topics", _topics),
    Check("chain", "chain", _chain),
    Check("conversion", "conversion", _conversion),
]
