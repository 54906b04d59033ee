"""Certificates for tests are accepted, and refused, for exactly the reason that was asked for."""

from __future__ import absolute_import, division, print_function

import datetime
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apnsclient.testing.certs import (
    TOPICS_EXTENSION,
    Authority,
    Credential,
    decode_topics,
    encode_topics,
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def authority():
    return Authority()


def load(pem):
    return x509.load_pem_x509_certificate(pem.encode("ascii"), default_backend())


def load_key(pem, password=None):
    return serialization.load_pem_private_key(pem.encode("ascii"), password, default_backend())


def public_pem(key):
    return key.public_bytes(serialization.Encoding.PEM,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def validity(certificate):
    """Return the period of validity as naive UTC, whatever the version of cryptography."""
    try:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except AttributeError:
        return certificate.not_valid_before, certificate.not_valid_after
    return begin.replace(tzinfo=None), end.replace(tzinfo=None)


def utc_now():
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(
        seconds=int(time.time()))


class Offset(datetime.tzinfo):
    """A time zone two hours east of Greenwich."""

    def utcoffset(self, moment):
        return datetime.timedelta(hours=2)

    def dst(self, moment):
        return datetime.timedelta(0)


def shake_hands(tmp_path, authority, trusted, server, hostname):
    """Have ``ssl`` verify ``server`` for ``hostname`` and return the error or None."""
    server_file = tmp_path / "server.pem"
    server_file.write_bytes(server.pem.encode("ascii"))
    server_context = ssl.SSLContext(getattr(ssl, "PROTOCOL_TLS_SERVER", ssl.PROTOCOL_SSLv23))
    server_context.load_cert_chain(str(server_file))
    client_context = ssl.create_default_context(cadata=u"" + trusted.ca_string)
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    listener.close()

    def serve():
        try:
            wrapped = server_context.wrap_socket(theirs, server_side=True)
            wrapped.close()
        except (OSError, IOError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client_context.wrap_socket(ours, server_hostname=hostname).close()
    except (ssl.SSLError, ssl.CertificateError) as error:
        return error
    finally:
        ours.close()
        thread.join()
    return None


def test_a_credential_holds_a_certificate_and_its_own_key(authority):
    """Certificate and key are PEM text, belong together, and ``pem`` holds both."""
    credential = authority.issue("Apple Push: com.example.app")
    certificate = load(credential.certificate_string)
    assert isinstance(credential.certificate_string, str)
    assert isinstance(credential.key_string, str)
    assert credential.pem == credential.certificate_string + credential.key_string
    assert (public_pem(certificate.public_key())
            == public_pem(load_key(credential.key_string).public_key()))


def test_a_credential_shows_no_key(authority):
    """Neither the representation nor the text of a credential holds the key."""
    credential = authority.issue("client")
    assert "PRIVATE" not in repr(credential) + str(credential)
    assert repr(Credential("a", "b")) == "<Credential>"


def test_subject_carries_the_name_and_the_topic(authority):
    """The topic is the user identifier of the subject; without one there is none."""
    credential = authority.issue(u"Caf\u00e9", topic="com.example.app")
    subject = load(credential.certificate_string).subject
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [u"Caf\u00e9"]
    assert [a.value for a in subject.get_attributes_for_oid(NameOID.USER_ID)] == ["com.example.app"]
    subject = load(authority.issue("client").certificate_string).subject
    assert subject.get_attributes_for_oid(NameOID.USER_ID) == []


def test_every_certificate_is_another(authority):
    """Two certificates of one name have different keys and serial numbers."""
    first, second = authority.issue("client"), authority.issue("client")
    assert first.key_string != second.key_string
    assert load(first.pem).serial_number != load(second.pem).serial_number


@pytest.mark.parametrize("usage, oid", [
    ("client", ExtendedKeyUsageOID.CLIENT_AUTH),
    ("server", ExtendedKeyUsageOID.SERVER_AUTH),
])
def test_usage_is_what_was_asked_for(authority, usage, oid):
    """A client certificate is none for a server, and the other way round."""
    certificate = load(authority.issue("name", usage=usage).certificate_string)
    extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extension.value) == [oid]


@pytest.mark.parametrize("kind, expected", [
    ("ec", ec.EllipticCurvePrivateKey), ("rsa", rsa.RSAPrivateKey)])
def test_kinds_of_key(kind, expected):
    """Both the authority's key and that of a certificate can be of either kind."""
    credential = Authority("kinds", key=kind).issue("client", key=kind)
    assert isinstance(load_key(credential.key_string), expected)


def test_passphrase_encrypts_the_key(authority):
    """An encrypted key loads with its passphrase only."""
    credential = authority.issue("client", passphrase=u"s\u00e9cret")
    assert "ENCRYPTED" in credential.key_string
    with pytest.raises((TypeError, ValueError)):
        load_key(credential.key_string)
    assert load_key(credential.key_string, b"s\xc3\xa9cret") is not None


def test_default_period_holds_now(authority):
    """A certificate is valid at once and for a year, also for a peer whose clock is slow."""
    begin, end = validity(load(authority.issue("client").certificate_string))
    assert begin <= utc_now() - datetime.timedelta(hours=23)
    assert end >= utc_now() + datetime.timedelta(days=364)


def test_one_end_of_the_period_is_enough(authority):
    """An expired or a future certificate needs only the one date that makes it so."""
    long_ago = datetime.datetime(2001, 2, 3, 4, 5, 6)
    assert validity(load(authority.issue("old", not_after=long_ago).pem)) == (
        long_ago - datetime.timedelta(days=1), long_ago)
    far_off = utc_now() + datetime.timedelta(days=1000)
    assert validity(load(authority.issue("new", not_before=far_off).pem)) == (
        far_off, far_off + datetime.timedelta(days=1))


def test_dates_with_a_time_zone_are_converted(authority):
    """A date with a time zone means that moment."""
    begin = datetime.datetime(2020, 1, 1, 12, tzinfo=Offset())
    end = datetime.datetime(2020, 1, 2, 12, tzinfo=Offset())
    certificate = load(authority.issue("client", not_before=begin, not_after=end).pem)
    assert validity(certificate) == (
        datetime.datetime(2020, 1, 1, 10), datetime.datetime(2020, 1, 2, 10))


@pytest.mark.parametrize("arguments, words", [
    ({"usage": "peer"}, "'peer', expected one of: client, server"),
    ({"key": "dsa"}, "'dsa', expected one of: ec, rsa"),
    ({"addresses": ["localhost"]}, "localhost"),
    ({"not_before": datetime.datetime(2020, 1, 2), "not_after": datetime.datetime(2020, 1, 1)},
     "not_after is 2020-01-01 00:00:00, expected later"),
])
def test_what_cannot_be_issued_is_refused(authority, arguments, words):
    """A ValueError names the value and what was expected."""
    with pytest.raises(ValueError) as caught:
        authority.issue("name", **arguments)
    assert words in str(caught.value)


#: What Apple's extension holds, taken apart by hand: topics, each with a sequence of kinds.
APPLE_TOPICS = (b"\x30\x22\x0c\x05com.a\x30\x05\x0c\x03app"
                b"\x0c\x0acom.a.voip\x30\x06\x0c\x04voip")


def test_topics_stand_in_apples_extension(authority):
    """Topics and their kinds in DER, as Apple's certificates have them."""
    credential = authority.issue("client", topics=["com.a", u"com.a.voip"])
    extension, = [each for each in load(credential.certificate_string).extensions
                  if each.oid.dotted_string == TOPICS_EXTENSION]

    assert extension.value.value == APPLE_TOPICS and not extension.critical
    assert decode_topics(APPLE_TOPICS) == ["com.a", "com.a.voip"]


@pytest.mark.parametrize("length", [100, 126, 127, 128, 200, 255, 256, 1000])
def test_topics_may_be_long(length):
    """The length of an item takes one byte, two or three."""
    topics = ["t" * length, "u"]

    assert decode_topics(encode_topics(topics)) == topics


@pytest.mark.parametrize("value", [
    APPLE_TOPICS[:-1], b"\x30", b"\x30\x82\x01", b"\x30\x02\x0c\x05"])
def test_what_is_cut_off_is_no_list_of_topics(value):
    """A wrong length is an error, not half a list."""
    with pytest.raises(ValueError, match="ends within an item"):
        decode_topics(value)


def test_environments_stand_in_extensions_of_their_own(authority):
    """One for each; another environment there is not."""
    numbers = {"sandbox": "1.2.840.113635.100.6.3.1", "production": "1.2.840.113635.100.6.3.2"}
    for environments in ([], ["sandbox"], ["production"], ["sandbox", "production"]):
        credential = authority.issue("client", environments=environments)
        found = {each.oid.dotted_string for each in load(credential.certificate_string).extensions}
        assert found & set(numbers.values()) == {numbers[name] for name in environments}
    with pytest.raises(ValueError, match="expected sandbox, production or both"):
        authority.issue("client", environments=["test"])


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_an_authority_of_earlier_goes_on(tmp_path, key):
    """Whoever trusts it trusts what it issues now, and it knows its own certificates."""
    first, other = Authority(key=key), Authority(key=key)
    again = Authority.load(first.ca_string, first.key_string)
    assert (again.ca_string, again.key_string) == (first.ca_string, first.key_string)
    server = again.issue("server", dns=["localhost"], usage="server")
    assert shake_hands(tmp_path, first, again, server, "localhost") is None
    assert first.has_issued(server.certificate_string) and again.has_issued(first.ca_string)
    assert not first.has_issued(other.issue("server").certificate_string)
    assert not first.has_issued(Authority(key="ec" if key == "rsa" else "rsa").ca_string)


def test_what_is_no_authority_is_not_loaded():
    """Garbage, and a key of another one."""
    authority, other = Authority(), Authority()
    locked = authority.issue("x", passphrase="secret")
    for certificate, key in (("x", authority.key_string), (authority.ca_string, "x"),
                             (authority.ca_string, other.key_string),
                             (locked.certificate_string, locked.key_string)):
        with pytest.raises(ValueError):
            Authority.load(certificate, key)


def test_authority_shows_its_name():
    """The representation names the authority."""
    assert repr(Authority("Some tests")) == "<Authority CN=Some tests>"


def test_tls_verifies_a_server_certificate(authority, tmp_path):
    """A strict verifier that trusts the authority accepts the name that was asked for."""
    server = authority.issue("server", dns=["localhost"], addresses=["127.0.0.1", "::1"],
                             usage="server")
    assert shake_hands(tmp_path, authority, authority, server, "localhost") is None


def test_tls_refuses_another_name(authority, tmp_path):
    """The certificate is good for no other host."""
    server = authority.issue("server", dns=["localhost"], usage="server")
    error = shake_hands(tmp_path, authority, authority, server, "example.com")
    assert "example.com" in str(error)


def test_tls_refuses_another_authority_of_the_same_name(authority, tmp_path):
    """What counts is the authority's key, not its name."""
    server = authority.issue("server", dns=["localhost"], usage="server")
    error = shake_hands(tmp_path, authority, Authority(), server, "localhost")
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


def test_tls_refuses_an_expired_certificate(authority, tmp_path):
    """An expired certificate is expired for TLS, too."""
    server = authority.issue("server", dns=["localhost"], usage="server",
                             not_after=datetime.datetime(2020, 1, 1))
    error = shake_hands(tmp_path, authority, authority, server, "localhost")
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
