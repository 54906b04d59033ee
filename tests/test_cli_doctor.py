"""``apns doctor`` on files: each way in which a credential is broken, and the remedy that mends it.

Without a network. The way to the server is in ``test_cli_doctor_network``.
"""

from __future__ import absolute_import, division, print_function

import base64
import codecs
import datetime
import os
import stat
import time

import pytest
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from apnsclient._pem import der_of, split_pem
from apnsclient.backends.stdio import Certificate
from apnsclient.testing.certs import Authority
from cli_support import apns, assert_wrong_usage, environment, write_file

AUTHORITY = Authority("Apple Worldwide Developer Relations Certification Authority")
NAME, APP = "Apple Push Services: com.example.app", "com.example.app"
BOTH = ["production", "sandbox"]
NOW = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))
DAY = datetime.timedelta(days=1)
SECRET = "geheim und lang"
LOCKED = environment(APNS_PASSPHRASE=SECRET)


def issue(name=NAME, **options):
    options.setdefault("topic", APP)
    options.setdefault("environments", BOTH)
    return AUTHORITY.issue(name, **options)


GOOD = issue()
P8 = AUTHORITY.issue("key").key_string

#: An archive as keychains have written it for long, with the passphrase "old": the certificate
#: under RC2 with 40 bits, the key under triple DES. Made by "openssl pkcs12 -export -legacy".
OLD = base64.b64decode(
    b"MIIDdAIBAzCCAz4GCSqGSIb3DQEHAaCCAy8EggMrMIIDJzCCAh4GCSqGSIb3DQEHBqCCAg8wggILAgEAMIICBAYJKoZI"
    b"hvcNAQcBMBsGCiqGSIb3DQEMAQYwDQQIH++xy4mEl3ECAQGAggHY5tYyO/DV90yWzOCexiN7H+u3kQRZciQpeZBDkEii"
    b"kiJBxY+8+XaoyX+lFtXeliNh5rDbCxsrWS8Bu1eikbewFx3rjm6aWNK6iKxZQtK1NIGnqFhNZSE0J7zZmrXx6OnhIwmb"
    b"ba/1xYHXobSJO2Ta8Jgwebov/NAAFgMCF4NnXLZVoe2wCHD9b0szGV8POL2LTDbQefxlX15kOP8PeD+1yC+L7Cy1QiV4"
    b"CmNm4wV/K1vhZ2WXRXX5R2ZZYVFba+ecdtLAmJbPfiwOY67yfElXFpfNe8swnFIwpb7MGJyi2akCadfeFFo8Kb1B/46E"
    b"lSxZvCT185loyMqvNqr5U37c44SGMl1D3He0leXQ93D8qMnf4Kxve8Q5jWE8LNxDdqp0JS381md8Jxw5Lhvq3BnPFaL5"
    b"N5juZZKxhXjHyhmjk8vvZuxKbJdtMNR+u5ef4Bh1GUtMbKMU4XKoH5g5eVz/9IZd2MpXuwRtQ7Ken74pxwSm5Nu7NeLW"
    b"pfCODAtE1mMseOP4RFkYi9rIIeX+ttLey1nm8OuSlejohdRQmg7nbWxtobdCxdB4MbQGzP9+Z17b0WkAJhzm3lPtpuAw"
    b"ChPOvLDBK7nWFeLRkVpAhpBJrqYKViLQcIxnRjCCAQEGCSqGSIb3DQEHAaCB8wSB8DCB7TCB6gYLKoZIhvcNAQwKAQKg"
    b"gbMwgbAwGwYKKoZIhvcNAQwBAzANBAg47RV+Xskj4AIBAQSBkEzpywBvfad12K5gEwhxNluR9s03vzHfDusVJ+SyAXys"
    b"yETxMzDuUi0za+VubFRWCmemqv89axX/r0v7c99qUP1ol2gwmh1qYPmyM1itkBES3QdRdvNr1gyeV9WfyDVukzcYs1X6"
    b"7bXgPrlraqBEG0VUJzNdRMqoBIzTHqEJlZ1uXYBnOg8DhoppMIMtywE5hjElMCMGCSqGSIb3DQEJFTEWBBQRSwf80LH+"
    b"GllpQxhDzVKOCvVNmzAtMCEwCQYFKw4DAhoFAAQUbo9PG515vmhrsQ31d1V+LovyU94ECE+ecT7dvCx3")


def key_of(credential, passphrase=None):
    return serialization.load_pem_private_key(
        credential.key_string.encode("ascii"), passphrase, default_backend())


def archive(credential=GOOD, passphrase=SECRET):
    """Return a PKCS #12 archive (bytes), as a keychain exports it."""
    certificate = x509.load_pem_x509_certificate(
        credential.certificate_string.encode("ascii"), default_backend())
    encryption = serialization.BestAvailableEncryption(passphrase.encode("ascii")) \
        if passphrase else serialization.NoEncryption()
    return pkcs12.serialize_key_and_certificates(
        b"push", key_of(credential), certificate, None, encryption)


def der(pem):
    return der_of(split_pem(pem.encode("ascii"))[0][1])


def request():
    """Return a certificate request as PEM."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, u"me")]))
    return builder.sign(key_of(GOOD), hashes.SHA256(), default_backend()).public_bytes(
        serialization.Encoding.PEM).decode("ascii")


class Doctor(object):
    """Runs the command on files in a directory."""

    def __init__(self, directory):
        self.directory = directory

    def file(self, name, content):
        return write_file(self.directory.join(name), content)

    def look(self, *arguments, **options):
        """Return the status, and ``(outcome, seen, remedy)`` of each check by its name."""
        ended = apns("doctor", "--offline", "--json", *arguments, **options)
        assert ended.err == ""
        for secret in (SECRET, GOOD.key_string.splitlines()[2], P8.splitlines()[2]):
            assert secret not in ended.out
        shown = ended.document
        assert shown["status"] == ended.status
        for one in shown["checks"]:
            assert sorted(one) == ["check", "outcome", "remedy", "seen"]
            assert (one["remedy"] is not None) == (one["outcome"] in ("failed", "warning"))
            assert "\n" not in "%s%s" % (one["seen"], one["remedy"])
        return ended.status, dict(
            (one["check"], (one["outcome"], one["seen"], one["remedy"]))
            for one in shown["checks"])

    def cert(self, content, *arguments, **options):
        """Look at a certificate file with this content."""
        return self.look("--cert", self.file("push.pem", content), *arguments, **options)

    def key(self, content, *arguments, **options):
        """Look at a .p8 file with this content."""
        name = self.file(options.pop("name", "key.p8"), content)
        return self.look("--key", name, "--key-id", "ABC123DEFG", "--team-id", "DEF123GHIJ",
                         *arguments, **options)


@pytest.fixture
def doctor(tmpdir):
    return Doctor(tmpdir)


def failures(checks, kinds=("failed", "warning")):
    return dict((name, found) for name, found in checks.items() if found[0] in kinds)


def test_a_good_certificate_is_well(doctor):
    """All that is in it is said; of the network nothing, with status 0."""
    status, checks = doctor.cert(GOOD.pem)
    assert (status, failures(checks)) == (0, {})
    assert checks["certificate_file"][1].endswith("PEM with 1 CERTIFICATE, 1 PRIVATE KEY")
    assert checks["key"][1] == "elliptic curve P-256"
    assert checks["purpose"][1] == "push certificate"
    assert checks["environment"][1] == "production and sandbox"
    assert checks["topics"][1] == APP
    assert "364 days left" in checks["validity"][1] or "365 days left" in checks["validity"][1]
    assert set(checks[name][1] for name in ("dns", "tcp", "tls", "alpn", "clock")) == {"--offline"}
    ended = apns("doctor", "--offline", "--json", "--cert", str(doctor.directory.join("push.pem")))
    facts = ended.document["certificate"]
    assert facts["topics"] == [APP]
    assert facts["environments"] == BOTH
    assert facts["name"] == NAME
    assert facts["days_left"] in (364, 365)
    assert facts["expires"].endswith("Z")


#: Content of the file, what is found, and a part of what mends it.
HOSTILE = [
    (b"", "certificate_file", "is empty", "export it again"),
    (b" \r\n\n", "certificate_file", "is empty", "export it again"),
    (b"\x00\x01\x02" * 99, "certificate_file", "binary data, neither PEM", "-----BEGIN CERT"),
    (b"hello world", "certificate_file", "text, neither PEM", "check the name in --cert"),
    (b"x" * ((1 << 20) + 1), "certificate_file", "has more than 1048576 bytes", "check the name"),
    (P8, "certificate_file", "and no certificate", ".p8 file is for provider tokens"),
    (GOOD.certificate_string[:-30], "certificate_file", "cut off", "whole file again"),
    (GOOD.certificate_string, "key", "has no private key", "export certificate and key together"),
    (request(), "certificate_file", "a request for one", "made from it"),
    (u"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + P8, "certificate",
     "garbage", "download it again"),
    (der(GOOD.certificate_string), "certificate_file key", "DER", "--convert-to"),
    (GOOD.certificate_string + issue().key_string, "key_matches", "another certificate",
     "request was made with"),
    (GOOD.certificate_string + GOOD.key_string.replace("M", "A", 3), "key", "is garbage",
     "request was made with"),
    (issue(not_after=NOW - 10 * DAY).pem, "validity", "expired on", "create a certificate"),
    (issue(not_before=NOW + 10 * DAY).pem, "validity", "not valid before", "clock"),
    (issue(not_after=NOW + 3 * DAY // 2).pem, "validity", "1 day left", "before this one expires"),
    (issue("Apple Development: Jane (ABC)").pem, "purpose", "development certificate",
     "Sandbox & Production"),
    (issue("iPhone Distribution: Jane").pem, "purpose", "App Store", "Sandbox & Production"),
    (issue("something", topic=None).pem, "purpose topics", "neither its name",
     "Sandbox & Production"),
    (issue(topic=None).pem, "topics", "none named", "--topic"),
    (Authority("Jane").issue(NAME, topic=APP).pem, "chain", "issued by Jane, which is not Apple",
     "Apple Worldwide Developer Relations"),
]


def test_each_broken_certificate_has_its_remedy(doctor):
    """The one check that is about it says so, and no other one blames something else."""
    wrong = []
    for content, name, seen, remedy in HOSTILE:
        status, checks = doctor.cert(content)
        found = failures(checks)
        names, name = name.split(), name.split()[0]
        if sorted(found) != names or status != (3 if found[name][0] == "failed" else 1) \
                or seen not in found[name][1] or remedy not in found[name][2]:
            wrong.append((content[:40], seen, status, found))
    assert wrong == []


def test_a_file_that_cannot_be_read_is_named(doctor):
    """A directory, one that is not there, and one of somebody else."""
    for name, seen, remedy in (
            (str(doctor.directory), "Is a directory", "a file in it"),
            (str(doctor.directory.join("none.pem")), "No such file", "check the name"),
            ("/dev/zero", "more than 1048576 bytes", "check the name")):
        status, checks = doctor.look("--cert", name)
        assert (status, list(failures(checks))) == (3, ["certificate_file"])
        found = checks["certificate_file"]
        assert name in found[1]
        assert seen in found[1]
        assert remedy in found[2]
    if os.getuid():
        name = doctor.file("hidden.pem", GOOD.pem)
        os.chmod(name, 0)
        assert "Permission denied" in doctor.look("--cert", name)[1]["certificate_file"][1]


def test_a_key_that_was_given_as_a_name_is_not_repeated(doctor):
    """It is in no message, as with the other commands."""
    status, checks = doctor.look("--cert", "".join(GOOD.key_string.splitlines()[1:-1]))
    assert status == 3
    assert "its name is not shown" in checks["certificate_file"][1]


def test_text_that_went_through_editors_is_well(doctor):
    """Line ends and byte order marks."""
    for content in (GOOD.pem.replace("\n", "\r\n"), codecs.BOM_UTF8 + GOOD.pem.encode("ascii"),
                    GOOD.pem.encode("utf-16"), GOOD.pem.replace("\n", "\\n")):
        assert doctor.cert(content)[0] == 0
    for content in (P8.replace("\n", "\r\n"), codecs.BOM_UTF8 + P8.encode("ascii")):
        assert doctor.key(content)[0] == 0


def test_an_encrypted_key_needs_its_passphrase(doctor):
    """None, a wrong one, and the right one."""
    pem = issue(passphrase=SECRET).pem
    status, checks = doctor.cert(pem)
    assert (status, list(failures(checks))) == (3, ["passphrase"])
    assert "is encrypted" in checks["passphrase"][1]
    assert "--passphrase-file" in checks["passphrase"][2]
    status, checks = doctor.cert(pem, env=environment(APNS_PASSPHRASE="falsch"))
    assert (status, list(failures(checks))) == (3, ["passphrase"])
    assert "does not open with this passphrase" in checks["passphrase"][1]
    status, checks = doctor.cert(pem, "--passphrase-file", doctor.file("word", SECRET + "\n"))
    assert (status, checks["passphrase"][1]) == (0, "opens the key")
    status, checks = doctor.cert(pem, "--passphrase-file", str(doctor.directory.join("none")))
    assert (status, list(failures(checks))) == (3, ["passphrase"])
    assert "cannot read the file of --passphrase-file" in checks["passphrase"][1]


def test_the_key_may_be_in_a_file_of_its_own(doctor):
    """Which may be the wrong one."""
    key = doctor.file("key.pem", GOOD.key_string)
    assert doctor.cert(GOOD.certificate_string, "--key", key)[0] == 0
    for content, name, remedy in ((issue().key_string, "key_matches", "keychain"),
                                  (GOOD.certificate_string, "key_file", "the private key"),
                                  (b"", "key_file", "again")):
        status, checks = doctor.cert(GOOD.certificate_string, "--key",
                                     doctor.file("other.pem", content))
        assert status == 3
        assert remedy in failures(checks)[name][2]


def test_environment_and_topic_have_to_fit(doctor):
    """Those of the address, and those of --topic."""
    pem = issue(environments=["sandbox"]).pem
    assert doctor.cert(pem, "--address", "push_sandbox")[0] == 0
    status, checks = doctor.cert(pem, "--address", "push_production")
    assert (status, list(failures(checks))) == (3, ["environment"])
    assert "--address push_sandbox" in checks["environment"][2]
    assert doctor.cert(GOOD.pem, "--topic", APP + ".voip")[0] == 0
    status, checks = doctor.cert(GOOD.pem, "--topic", "com.example.other")
    assert (status, list(failures(checks))) == (3, ["topics"])
    own = Authority("Own").issue("client").pem
    status, checks = doctor.cert(own, "--address", "localhost:2195")
    assert (status, failures(checks)) == (0, {})


def test_chains_are_told(doctor):
    """Whether the issuer is there, and one that has expired."""
    assert "is there" in doctor.cert(GOOD.pem + AUTHORITY.ca_string)[1]["chain"][1]
    assert "Apple's servers have it" in doctor.cert(GOOD.pem)[1]["chain"][1]
    status, checks = doctor.cert(GOOD.pem + issue("Old", not_after=NOW - DAY).certificate_string)
    assert (status, list(failures(checks))) == (1, ["chain"])
    assert "Old has expired" in checks["chain"][1]


# Conversion.

def test_an_archive_is_read_and_converted(doctor):
    """Into a file that only its owner can read, with the key encrypted as before."""
    for content, env, mask in ((archive(), LOCKED, 0), (archive(passphrase=None), None, 0o777)):
        push = doctor.file("push.p12", content)
        if env:
            checks = doctor.look("--cert", push)[1]
            assert checks["passphrase"][1] == "the archive is encrypted"
        status, checks = doctor.look("--cert", push, env=env)
        assert (status, list(failures(checks))) == (3, ["certificate_file"])
        assert "PKCS #12" in checks["certificate_file"][1]
        assert "--convert-to" in checks["certificate_file"][2]
        name = str(doctor.directory.join("converted.pem"))
        before = os.umask(mask)
        try:
            status, checks = doctor.look("--cert", push, "--convert-to", name, env=env)
        finally:
            os.umask(before)
        assert (status, failures(checks)) == (0, {})
        assert "mode 0600" in checks["conversion"][1]
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600
        status, checks = doctor.look("--cert", name, env=env)
        assert (status, failures(checks)) == (0, {})
        passphrase = SECRET if env else None
        with open(name) as stream:
            assert ("ENCRYPTED" in stream.read()) is bool(env)
        assert Certificate(cert_file=name, passphrase=passphrase).topics == (APP,)
        os.remove(name)


def test_an_archive_that_does_not_open_is_not_converted(doctor):
    """Nothing is written, and no file is overwritten."""
    push, name = doctor.file("push.p12", archive()), str(doctor.directory.join("converted.pem"))
    status, checks = doctor.look("--cert", push, "--convert-to", name,
                                 env=environment(APNS_PASSPHRASE="falsch"))
    assert (status, sorted(failures(checks))) == (3, ["conversion", "passphrase"])
    assert "check the passphrase" in checks["passphrase"][2]
    assert not os.path.exists(name)
    for where, seen in ((push, "exists already"), (name + "/x", "Not a directory"),
                        (str(doctor.directory.join("none", "x")), "No such file")):
        doctor.file("converted.pem", "mine")
        status, checks = doctor.look("--cert", push, "--convert-to", where, env=LOCKED)
        assert (status, list(failures(checks))) == (3, ["conversion"])
        assert seen in checks["conversion"][1]
    with open(name) as stream:
        assert stream.read() == "mine"


def test_an_archive_with_ciphers_of_old_is_told(doctor):
    """Where OpenSSL lacks them it cannot be told from a wrong passphrase; both are said."""
    push = doctor.file("push.p12", OLD)
    for passphrase in ("old", "falsch"):
        outcome, seen, remedy = doctor.look("--cert", push, env=environment(
            APNS_PASSPHRASE=passphrase))[1]["passphrase"]
        if outcome == "ok":  # This OpenSSL has them.
            assert (passphrase, seen) == ("old", "opens the archive; its ciphers are old ones")
        else:
            assert "RC2" in seen
            assert "openssl pkcs12 -legacy" in remedy


def test_other_formats_are_converted(doctor):
    """DER, for both files, and Base64 of either."""
    name = str(doctor.directory.join("converted.pem"))
    for cert, key in ((der(GOOD.certificate_string), der(GOOD.key_string)),
                      (base64.b64encode(GOOD.pem.encode("ascii")), None)):
        arguments = [] if key is None else ["--key", doctor.file("key.der", key)]
        status, checks = doctor.cert(cert, "--convert-to", name, *arguments)
        assert (status, failures(checks)) == (0, {})
        assert Certificate(cert_file=name).topics == (APP,)
        os.remove(name)
    status, checks = doctor.cert(der(GOOD.certificate_string), "--convert-to", name)
    assert "conversion" in failures(checks)
    assert "--key" in checks["key"][2]


# Provider tokens.

def test_a_good_key_is_well(doctor):
    """Curve, identifiers and the validity of a token."""
    status, checks = doctor.key(P8, name="AuthKey_ABC123DEFG.p8")
    assert (status, failures(checks)) == (0, {})
    assert "P-256" in checks["signing_key"][1]
    assert "certificate" not in checks


def test_each_broken_key_has_its_remedy(doctor):
    """The one check that is about it says so."""
    wrong = []
    p384 = ec.generate_private_key(ec.SECP384R1(), default_backend()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption())
    for content, name, seen, remedy in (
            (b"", "key_file", "is empty", "again"),
            (b"\x00" * 9, "key_file", "binary data", "check the name in --key"),
            (AUTHORITY.issue("x", key="rsa").key_string, "signing_key", "not for ES256",
             "create another key"),
            (p384, "signing_key", "P-256", "as Apple issued it"),
            (AUTHORITY.issue("x", passphrase=SECRET).key_string, "signing_key", "encrypted",
             "as Apple issued it"),
            (P8.replace("M", "A", 3), "signing_key", "garbage", "as Apple issued it"),
            (GOOD.certificate_string, "key_file", "no key", "--key")):
        status, checks = doctor.key(content)
        found = failures(checks)
        if name not in found or status != 3 or seen not in found[name][1] \
                or remedy not in found[name][2]:
            wrong.append((content[:40], status, found))
    assert wrong == []


def test_identifiers_have_a_shape(doctor):
    """What is not like Apple's is not repeated, since it may be a key."""
    for key_id, team_id, name, seen in (
            ("abc123defg", "DEF123GHIJ", "key_id", "not 10 capital letters"),
            ("ABC123DEFG", SECRET.replace(" ", ""), "team_id", "of 13 characters"),
            ("ABC123DEFG", "ABC123DEFG", "team_id", "the same as the key's"),
            ("XYZ123DEFG", "DEF123GHIJ", "key_id", "that of key ABC123DEFG by its name")):
        status, checks = doctor.look(
            "--key", doctor.file("AuthKey_ABC123DEFG.p8", P8), "--key-id", key_id,
            "--team-id", team_id)
        assert list(failures(checks)) == [name]
        assert seen in checks[name][1]
        assert status == (1 if checks[name][0] == "warning" else 3)


# The command.

def test_the_report_is_for_people(doctor):
    """A line each, with the remedy below; what was not checked at the end."""
    name = doctor.file("push.pem", issue(not_after=NOW - 10 * DAY).pem)
    ended = apns("doctor", "--offline", "--cert", name)
    lines = ended.out.splitlines()
    assert (ended.status, ended.err) == (3, "")
    assert u"\u2713 key matches       the key belongs to the certificate" in lines
    at = [number for number, line in enumerate(lines) if line.startswith(u"\u2717 validity")]
    assert lines[at[0] + 1].startswith(" " * 20 + "to do: create a certificate")
    assert lines[-2].startswith("- not checked       DNS, TCP, proxy, TLS")
    assert sum("DNS" in line for line in lines) == 1
    assert lines[-1] == "look above: 9 ok, 1 failed, 8 skipped"


def test_a_terminal_without_the_signs_gets_words(doctor, monkeypatch):
    """And colours, if it has them."""
    name = doctor.file("push.pem", GOOD.pem)
    shown = apns("doctor", "--offline", "--cert", name, terminal=["stdout"]).shown
    assert b"\x1b[32m\xe2\x9c\x93\x1b[0m key" in shown
    monkeypatch.setattr("apnsclient.cli._console.Console.can_show", lambda self, text: False)
    assert "ok   key matches" in apns("doctor", "--offline", "--cert", name).out


def test_wrong_usage_is_told(doctor):
    """What is missing, and what contradicts."""
    cert = ["--cert", doctor.file("push.pem", GOOD.pem)]
    key = ["--key", doctor.file("key.p8", P8), "--key-id", "ABC123DEFG", "--team-id", "DEF123GHIJ"]
    offline, sandbox = ["doctor", "--offline"], ["doctor", "--address", "push_sandbox"]
    assert_wrong_usage([
        (["doctor"] + cert, "give --address, or --offline"),
        (offline, "no credential"),
        (offline + cert + key, "--cert does not go together"),
        (offline + key[:4], "--team-id is missing"),
        (offline + cert + ["--token", "aa"], "--token does not go together with --offline"),
        (sandbox + cert + ["--alert", "x"], "--alert needs --token"),
        (sandbox + key + ["--token", "aa"], "--token needs --topic"),
        (offline + key + ["--convert-to", "x"], "--convert-to is for a certificate"),
    ], lines=1)
    ended = apns("doctor", "--json", *cert)
    assert ended.document["error"].startswith("give --address")
    assert (ended.document["status"], ended.document["checks"]) == (2, [])
