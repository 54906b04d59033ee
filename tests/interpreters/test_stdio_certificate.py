"""The stdio back-end's certificates: what loads, what does not, and what each error says."""

from __future__ import absolute_import, division, print_function

import hashlib
import io
import logging
import traceback
import warnings

import pytest
import six
from cryptography.hazmat.primitives import serialization

from apnsclient.backends import _identity, _names
from apnsclient.backends.stdio import Certificate
from apnsclient.certificate import BaseCertificate
from apnsclient.errors import CertificateError
from apnsclient.testing.certs import Authority
from stdio_support import AUTHORITY, CLIENT, SERVER, new_backend, utc
from tables import each

pytestmark = pytest.mark.timeout(240)

PASSPHRASE = "correct horse battery staple"
LOCKED = AUTHORITY.issue("locked", passphrase=PASSPHRASE)


def legacy_pem(credential, encryption):
    """The private key of a credential in OpenSSL's traditional format."""
    key = serialization.load_pem_private_key(six.ensure_binary(credential.key_string), None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, encryption)


LEGACY_LOCKED = legacy_pem(
    CLIENT, serialization.BestAvailableEncryption(PASSPHRASE.encode("ascii")))


@pytest.fixture
def files(tmpdir):
    """A function that writes a file and returns its name."""
    def write(name, text):
        path = tmpdir.join(name)
        path.write_binary(six.ensure_binary(text))
        return str(path)
    return write


def fails(**params):
    """Load with these parameters; return the message of the error and check it keeps secrets."""
    with pytest.raises(CertificateError) as caught:
        Certificate(**params)
    shown = "".join(traceback.format_exception_only(type(caught.value), caught.value))
    shown += repr(caught.value) + repr(caught.value.args)
    chained = getattr(caught.value, "__cause__", None)
    shown += repr(chained)
    secrets = [PASSPHRASE, "wrong passphrase!"]
    for credential in (CLIENT, LOCKED, SERVER):
        secrets.extend(credential.key_string.splitlines()[1:-1])
    for secret in secrets:
        assert secret not in shown
    return str(caught.value)


@pytest.mark.parametrize("convert", [six.ensure_str, six.ensure_binary, six.ensure_text])
def test_certificate_and_key_load_from_one_string(convert):
    """PEM text may be str or bytes and hold the key as well."""
    assert Certificate(cert_string=convert(CLIENT.pem)) == Certificate(cert_string=CLIENT.pem)


@pytest.mark.parametrize("convert", [six.ensure_str, six.ensure_binary, six.ensure_text])
def test_certificate_and_key_load_from_two_strings(convert):
    """The key may come as a string of its own."""
    loaded = Certificate(cert_string=convert(CLIENT.certificate_string),
                         key_string=convert(CLIENT.key_string))
    assert loaded == Certificate(cert_string=CLIENT.pem)


def test_certificate_and_key_load_from_files(files):
    """Certificate and key may lie in one file or in two."""
    together = files("both.pem", CLIENT.pem)
    apart = files("certificate.pem", CLIENT.certificate_string)
    key = files("key.pem", CLIENT.key_string)
    assert Certificate(cert_file=together) == Certificate(cert_file=apart, key_file=key)
    assert (Certificate(cert_string=CLIENT.certificate_string, key_file=key)
            == Certificate(cert_file=apart, key_string=CLIENT.key_string))


def test_file_goes_before_string(files):
    """Where both are given for the same thing, the file is used, as by apns-client 0.2.1."""
    both = {"cert_string": SERVER.pem, "cert_file": files("own.pem", CLIENT.pem)}
    assert Certificate(**both) == Certificate(cert_string=CLIENT.pem)
    assert new_backend().get_certificate(both) == Certificate(cert_string=CLIENT.pem)
    Certificate(cert_string=CLIENT.certificate_string, key_string=SERVER.key_string,
                key_file=files("key.pem", CLIENT.key_string))


@each("nothing", ["", b"", u"", None])
def test_an_empty_argument_is_not_given(nothing):
    """As None is not: by the class and by the back-end."""
    arguments = {"cert_string": CLIENT.pem, "cert_file": nothing, "key_string": nothing,
                 "key_file": nothing, "passphrase": nothing}
    assert Certificate(**arguments) == Certificate(cert_string=CLIENT.pem)
    assert new_backend().get_certificate(arguments) == Certificate(cert_string=CLIENT.pem)
    with pytest.raises(CertificateError, match="no certificate given"):
        Certificate(**dict(arguments, cert_string=nothing))
    with pytest.raises(CertificateError, match="is encrypted and no passphrase was given"):
        Certificate(cert_string=LOCKED.pem, passphrase=nothing)


def test_strings_never_touch_a_file(monkeypatch):
    """Loading from strings opens no file, not even a temporary one."""
    def refuse(*args, **kwargs):
        raise AssertionError("a file was opened")
    monkeypatch.setattr(six.moves.builtins, "open", refuse)
    monkeypatch.setattr(io, "open", refuse)
    Certificate(cert_string=LOCKED.certificate_string, key_string=LOCKED.key_string,
                passphrase=PASSPHRASE)


@each("convert", [six.ensure_str, six.ensure_binary, six.ensure_text])
@each("key", [LOCKED.key_string, LEGACY_LOCKED])
def test_encrypted_key_opens_with_its_passphrase(convert, key):
    """The passphrase may be str or bytes, the key of either PEM format."""
    certificate = LOCKED if key is LOCKED.key_string else CLIENT
    Certificate(cert_string=certificate.certificate_string, key_string=key,
                passphrase=convert(PASSPHRASE))


def test_passphrase_is_ignored_where_the_key_is_open():
    """A passphrase that is not needed does no harm."""
    assert Certificate(cert_string=CLIENT.pem, passphrase=PASSPHRASE).identity


def test_text_around_the_pem_blocks_is_skipped():
    """Bag attributes, as ``openssl pkcs12`` writes them, are no part of the PEM."""
    text = ("Bag Attributes\n    friendlyName: Apple\nKey Attributes: <No Attributes>\n"
            + CLIENT.key_string + "Bag Attributes\nsubject=/CN=x\n" + CLIENT.certificate_string)
    assert Certificate(cert_string=text) == Certificate(cert_string=CLIENT.pem)
    assert (Certificate(cert_string=text.replace("\n", "\r\n"))
            == Certificate(cert_string=CLIENT.pem))


def test_own_certificate_is_the_one_of_the_key():
    """In a PEM with a chain the certificate is the one that the key fits, wherever it stands."""
    chain = AUTHORITY.ca_string + CLIENT.certificate_string + CLIENT.key_string
    assert Certificate(cert_string=chain) == Certificate(cert_string=CLIENT.pem)


def test_rsa_keys_load():
    """RSA is what Apple's certificates use."""
    credential = AUTHORITY.issue("rsa", key="rsa")
    assert Certificate(cert_string=credential.pem).get_context() is not None


@each("params, text", [
    ({}, "no certificate given"),
    ({"key_string": CLIENT.key_string}, "no certificate given"),
    ({"cert_string": "no PEM at all"}, "cert_string holds garbage"),
    ({"cert_string": b"\xff\x00\xfe"}, "cert_string holds garbage"),
    ({"cert_string": " "}, "cert_string holds no certificate in PEM format: it is empty"),
    ({"cert_string": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
     "cert_string holds garbage"),
    ({"cert_string": CLIENT.pem[:300]}, "the line -----END CERTIFICATE----- is missing"),
    ({"cert_string": CLIENT.key_string}, "cert_string holds a private key, and no certificate"),
    ({"cert_string": CLIENT.certificate_string}, "cert_string holds no private key"),
    ({"cert_string": CLIENT.pem, "key_string": "nothing"}, "key_string holds no private key"),
    ({"cert_string": CLIENT.certificate_string,
      "key_string": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
     "the private key in key_string is garbage"),
    ({"cert_string": CLIENT.certificate_string, "key_string": SERVER.key_string},
     "the private key in key_string is the key of another certificate than the one in cert_string"),
    ({"cert_string": LOCKED.pem}, "is encrypted and no passphrase was given"),
    ({"cert_string": LOCKED.pem, "passphrase": ""}, "is encrypted and no passphrase was given"),
    ({"cert_string": LOCKED.pem, "passphrase": "wrong passphrase!"}, "wrong passphrase, or"),
    ({"cert_string": CLIENT.certificate_string, "key_string": LEGACY_LOCKED,
      "passphrase": "wrong passphrase!"}, "wrong passphrase, or"),
    ({"cert_string": CLIENT.certificate_string, "key_string": LEGACY_LOCKED},
     "is encrypted and no passphrase was given"),
    ({"cert_string": LOCKED.pem, "passphrase": 5}, "passphrase is of type int"),
    ({"cert_string": 5}, "cert_string is of type int"),
    ({"cert_file": ["a"]}, "not the name of a file"),
])
def test_error_says_what_is_wrong(params, text):
    """One exception type; its message tells the cases apart and keeps the secrets."""
    assert text in fails(**params)


def test_error_names_the_file(files, tmpdir):
    """A file that cannot be read, or holds garbage, is named."""
    missing = str(tmpdir.join("missing.pem"))
    message = fails(cert_file=missing)
    assert "missing.pem" in message and "No such file" in message
    assert "cannot be read" in fails(cert_string=CLIENT.pem, key_file=str(tmpdir))
    assert "garbage.pem" in fails(cert_file=files("garbage.pem", "garbage"))
    locked = files("locked.pem", LOCKED.pem)
    assert "locked.pem" in fails(cert_file=locked, passphrase="wrong passphrase!")


@each("convert", [
    lambda text: text, lambda text: text.encode("ascii"), lambda text: [text]])
@each("name", ["cert", "key", "ca"])
def test_pem_text_instead_of_the_name_of_a_file_is_not_repeated(name, convert):
    """Whoever mixes up the arguments is told so, and finds no private key in a log."""
    text = convert(six.ensure_str(CLIENT.pem))
    with pytest.raises(CertificateError) as caught:
        if name == "ca":
            new_backend(ca_string=None, ca_file=text)
        else:
            new_backend().get_certificate(
                dict({"cert_file": text} if name == "cert" else {"cert_string": CLIENT.pem},
                     **{name + "_file": text}))
    assert str(caught.value) == (
        "%s_file holds PEM text, expected the name of a file; give it as %s_string" % (name, name))


@pytest.mark.parametrize("path", [
    "\n".join(CLIENT.key_string.splitlines()[1:-1]), [CLIENT.key_string.splitlines()[1]],
    "".join(CLIENT.key_string.splitlines()[1:-1]), CLIENT.key_string.splitlines()[1],
    "\\n".join(CLIENT.key_string.splitlines()[1:-1]).encode("ascii"),
], ids=["lines", "list", "one line", "first line", "escaped"])
def test_name_of_a_file_that_may_be_a_key_is_not_repeated(path):
    """What has several lines, or is long and Base64, or is no name at all, is not repeated."""
    fails(cert_file=path)
    fails(cert_string=CLIENT.pem, key_file=path)
    with pytest.raises(ValueError) as caught:
        new_backend(ca_string=None, ca_file=path)
    assert CLIENT.key_string.splitlines()[1] not in str(caught.value)


def test_long_name_of_a_file_is_cut():
    """The beginning of a long name is enough to tell what was meant."""
    message = fails(cert_file="/nowhere/" + "x" * 1000 + ".pem")
    assert "cert_file '/nowhere/xxxx" in message and "x" * 100 not in message


def test_key_of_a_kind_that_tls_has_no_use_for_is_a_certificate_error(monkeypatch):
    """What the TLS library refuses comes out as the one exception type, with its reason."""
    from OpenSSL import SSL

    def refuse(self, context):
        raise SSL.Error([("SSL routines", "", "ee key too small")])
    monkeypatch.setattr(_identity.Identity, "_install", refuse)
    assert "ee key too small" in fails(cert_string=CLIENT.pem)


def test_unsupported_key_is_a_certificate_error(monkeypatch):
    """A cipher that the library does not know is told apart from a wrong passphrase."""
    def refuse(*args):
        raise _identity.UnsupportedAlgorithm("no such cipher")
    monkeypatch.setattr(_identity.serialization, "load_pem_private_key", refuse)
    assert "not supported" in fails(cert_string=CLIENT.pem)


def test_certificate_with_a_key_that_cannot_be_read_is_passed_over(monkeypatch):
    """An intermediate with an exotic public key does not stop the search for our own."""
    original = _identity._public_bytes
    calls = []

    def exotic(key):
        calls.append(key)
        if len(calls) == 2:
            raise _identity.UnsupportedAlgorithm("exotic")
        return original(key)
    monkeypatch.setattr(_identity, "_public_bytes", exotic)
    chain = AUTHORITY.ca_string + CLIENT.pem
    assert Certificate(cert_string=chain) == Certificate(cert_string=CLIENT.pem)


def test_nothing_prompts_on_the_terminal(monkeypatch, capfd):
    """An encrypted key without its passphrase is an error, not a question."""
    monkeypatch.setattr("sys.stdin", None)
    fails(cert_string=LOCKED.certificate_string, key_string=LOCKED.key_string)
    fails(cert_string=CLIENT.certificate_string, key_string=LEGACY_LOCKED)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("dates, text", [
    ({"not_after": utc(2020)}, "expired on 2020-01-01 00:00:00 UTC"),
    ({"not_before": utc(2100)}, "is not valid before 2100-01-01 00:00:00 UTC"),
])
def test_certificate_out_of_its_time_loads_with_a_warning(dates, text, caplog):
    """An expired or not yet valid certificate loads; the log names the date."""
    credential = AUTHORITY.issue("late", **dates)
    with caplog.at_level(logging.WARNING):
        Certificate(cert_string=credential.pem)
    record, = caplog.records
    assert record.name == "apnsclient.backends.stdio"
    assert record.levelno == logging.WARNING
    assert text in record.getMessage() and "late" in record.getMessage()


def test_valid_certificate_loads_without_a_warning(caplog):
    """The log stays empty when nothing is wrong."""
    Certificate(cert_string=CLIENT.pem)
    assert not caplog.records


def test_equality_goes_by_content():
    """Two loads of the same PEM are equal and hash alike; other certificates differ."""
    one, same = Certificate(cert_string=CLIENT.pem), Certificate(cert_string=CLIENT.pem)
    other = Certificate(cert_string=SERVER.pem)
    assert one == same and hash(one) == hash(same) and not one != same
    assert one != other


def test_digest_and_dump_are_of_the_certificate_alone():
    """The pool's key holds neither the private key nor anything derived from it."""
    certificate = Certificate(cert_string=CLIENT.pem)
    raw = certificate.identity.certificate
    der = raw.public_bytes(serialization.Encoding.DER)
    assert certificate.dump_digest(raw, "sha1") == hashlib.sha1(der).digest()
    assert certificate.dump_digest(raw, "sha256") == hashlib.sha256(der).digest()
    assert certificate.dump_certificate(raw) == CLIENT.certificate_string.encode("ascii")


def test_whole_dump_can_be_compared():
    """``equality_check = None`` compares the dump itself."""
    class Dumped(Certificate):
        equality_check = None

    assert Dumped(cert_string=CLIENT.pem) == Dumped(cert_string=CLIENT.pem)
    assert Dumped(cert_string=CLIENT.pem) != Dumped(cert_string=SERVER.pem)


def test_no_secret_in_any_repr():
    """Neither the certificate nor what it was made from shows the key or the passphrase."""
    params = {"cert_string": LOCKED.pem, "passphrase": PASSPHRASE}
    certificate = Certificate(**params)
    shown = repr([certificate, certificate.identity, _identity.Material(**params),
                  certificate.get_context()]) + str(certificate)
    assert PASSPHRASE not in shown
    assert LOCKED.key_string.splitlines()[1] not in shown


def test_identity_installs_with_old_and_new_pyopenssl():
    """Where pyOpenSSL takes only objects of its own, it gets those."""
    from OpenSSL import SSL

    credential = CLIENT._replace(
        certificate_string=CLIENT.certificate_string + AUTHORITY.ca_string)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        Certificate(cert_string=credential.pem).identity._install_wrapped(context)
    context.check_privatekey()


def test_backend_loads_the_same_content_once():
    """Asking again with the same text returns the certificate that is loaded already."""
    backend = new_backend()
    first = backend.get_certificate({"cert_string": CLIENT.pem})
    assert isinstance(first, BaseCertificate)
    assert backend.get_certificate({"cert_string": CLIENT.pem.encode("ascii")}) is first
    assert backend.get_certificate({"cert_string": CLIENT.certificate_string,
                                    "key_string": CLIENT.key_string}) == first
    assert backend.get_certificate({"cert_string": SERVER.pem}) != first


def test_backend_does_not_take_a_wrong_passphrase_for_the_right_one():
    """What was loaded with one passphrase is not handed out for another."""
    backend = new_backend()
    backend.get_certificate({"cert_string": LOCKED.pem, "passphrase": PASSPHRASE})
    for params in ({}, {"passphrase": "wrong passphrase!"}):
        with pytest.raises(CertificateError):
            backend.get_certificate(dict(params, cert_string=LOCKED.pem))


def test_backend_notices_a_renewed_file(files):
    """A file is read each time: the same content is loaded once, a new one is seen at once."""
    backend = new_backend()
    path = files("client.pem", CLIENT.pem)
    first = backend.get_certificate({"cert_file": path})
    assert backend.get_certificate({"cert_file": path}) is first
    renewed = AUTHORITY.issue("renewed")
    files("client.pem", renewed.pem)
    second = backend.get_certificate({"cert_file": path})
    assert second != first
    assert second == Certificate(cert_string=renewed.pem)


def test_backend_keeps_a_bounded_number_of_certificates():
    """The certificates used least recently are forgotten."""
    class Small(type(new_backend())):
        certificate_cache_size = 2

    backend = Small()
    credentials = [CLIENT, SERVER, AUTHORITY.issue("third")]
    loaded = [backend.get_certificate({"cert_string": one.pem}) for one in credentials]
    assert backend.get_certificate({"cert_string": SERVER.pem}) is loaded[1]
    assert backend.get_certificate({"cert_string": CLIENT.pem}) is not loaded[0]
    assert backend.get_certificate({"cert_string": SERVER.pem}) is loaded[1]
    assert backend.get_certificate({"cert_string": credentials[2].pem}) is not loaded[2]


def test_context_is_built_once_for_each_trust():
    """One SSL context for a certificate and a trust; another trust has another."""
    from apnsclient.backends._tls import Trust

    certificate = Certificate(cert_string=CLIENT.pem)
    trust = Trust(ca_string=AUTHORITY.ca_string)
    context = certificate.get_context(trust)
    assert certificate.get_context(Trust(ca_string=AUTHORITY.ca_string.encode("ascii"))) is context
    assert certificate.get_context(Trust(ca_string=Authority().ca_string)) is not context
    assert certificate.get_context() is certificate.get_context(Trust())


@pytest.mark.parametrize("params, text", [
    ({"ca_string": "garbage"}, "no certificate in PEM format"),
    ({"ca_string": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, "garbage"),
    ({"ca_string": 7}, "ca_string is of type int"),
    ({"ca_file": "/nowhere/ca.pem"}, "No such file"),
    ({"ca_file": 7.5}, "not the name of a file"),
])
def test_useless_authority_is_refused_at_construction(params, text):
    """A back-end with a CA that cannot be used is not made."""
    with pytest.raises(CertificateError) as caught:
        new_backend(**dict({"ca_string": None}, **params))
    assert text in str(caught.value)


def test_authority_file_without_certificates_is_refused(files):
    """A readable file that holds no certificate is named in the error."""
    path = files("ca.pem", "garbage")
    with pytest.raises(ValueError) as caught:
        new_backend(ca_string=None, ca_file=path)
    assert "ca.pem" in str(caught.value)


def issue_for(dns=(), addresses=()):
    credential = AUTHORITY.issue("Common.Name", dns=dns, addresses=addresses, usage="server")
    return Certificate(cert_string=credential.pem).identity.certificate


@each("host, dns, addresses", [
    ("gateway.example.com", ["gateway.example.com"], []),
    ("GATEWAY.example.com.", ["other.org", "Gateway.Example.COM"], []),
    ("gateway.example.com", ["*.example.com"], []),
    ("127.0.0.1", [], ["127.0.0.1"]),
    ("::1", [], ["0:0:0:0:0:0:0:1"]),
    ("fe80::1%eth0", [], ["fe80::1"]),
    (u"b\xfccher.example.com", ["xn--bcher-kva.example.com"], []),
    ("localhost", ["localhost"], []),
])
def test_host_is_matched(host, dns, addresses):
    """Names match without regard to case, a star stands for one label, addresses match as such."""
    assert _names.mismatch(issue_for(dns, addresses), host) is None


@each("host, dns, addresses", [
    ("gateway.example.com", ["example.com"], []),
    ("example.com", ["*.example.com"], []),
    ("a.b.example.com", ["*.example.com"], []),
    ("gateway.example.com", ["g*.example.com"], []),
    ("gateway.example.com", ["*way.example.com"], []),
    ("gateway.example.com", ["gateway.*.com"], []),
    ("gateway.example.com", ["*.*.com"], []),
    ("example.com", ["*.com"], []),
    ("com", ["*"], []),
    (".example.com", ["*.example.com"], []),
    ("127.0.0.1", ["127.0.0.1"], []),
    ("127.0.0.1", ["*.0.0.1"], []),
    ("127.0.0.1", [], ["127.0.0.2"]),
    ("127.0.0.1", [], ["::1"]),
    ("common.name", ["other.name"], []),
    ("common.name", [], []),
])
def test_host_is_not_matched(host, dns, addresses):
    """Partial stars, stars elsewhere, common names and addresses among names do not count."""
    assert _names.mismatch(issue_for(dns, addresses), host) is not None


def test_alternative_names_that_cannot_be_read_do_not_match():
    """A certificate with a malformed extension is for nobody."""
    class Malformed(object):
        @property
        def extensions(self):
            raise ValueError("not ASN.1")

    assert "cannot be understood" in _names.mismatch(Malformed(), "gateway.test")


def test_names_of_a_certificate_are_told_in_printable_text(monkeypatch):
    """A server's certificate says what it likes, and the message may be logged."""
    monkeypatch.setattr(_names, "_alternative_names", lambda certificate: (
        [u"a\r\nFAKE\x1b[31m", u"b" * 5000], []))
    assert _names.mismatch(None, "x.example") == "it is for a??FAKE?[31m, " + "b" * 100


def test_mismatch_names_what_the_certificate_is_for():
    """The text lists the names, shortened where there are many."""
    text = _names.mismatch(issue_for(["a%d.example" % n for n in range(12)]), "x.example")
    assert "a0.example" in text and "a11.example" not in text and text.endswith("...")
    assert "common name does not count" in _names.mismatch(issue_for(), "common.name")
