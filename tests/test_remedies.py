"""What to do about an error: by name, in terms of the library, and in terms of the command."""

from __future__ import absolute_import, division, print_function

import argparse
import logging
import pickle

from apnsclient import errors
from apnsclient.backends import _tls
from apnsclient.cli import _explain, _log
from cli_support import LIBRARY_TERM
from tables import each


class _Console(object):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@each("kind", [errors.APNsError, errors.CertificateError, errors.Timeout, errors.ConnectionLost,
               errors.ConnectError, errors.ConnectTimeout, errors.PeerVerificationError,
               errors.CertificateRefused])
def test_a_text_says_what_happened_and_what_to_do(kind):
    """Of every kind, and also when it comes out of a pickle."""
    error = kind("it broke", remedy="proxy")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert str(one) == "it broke; check the option proxy"
        assert (type(one), one.problem, one.remedy) == (kind, "it broke", "proxy")
    plain = pickle.loads(pickle.dumps(kind("it broke")))
    assert (str(plain), plain.problem, plain.remedy) == ("it broke", "it broke", None)


def test_a_remedy_can_be_found_later():
    """By code that knows more, such as whose host it is."""
    error = errors.ConnectError("it broke")
    error.advise("http2", "It is old")
    assert str(error) == "it broke. It is old; " + errors.REMEDIES["http2"]
    assert error.problem == "it broke. It is old"


def test_what_helps_against_a_server_that_does_not_verify_has_words():
    """Each of the verification's errors that says what to do, says something that there is."""
    assert set(_tls._REMEDIES.values()) < set(errors.REMEDIES)
    assert set(_tls._REMEDIES) < set(_tls._VERIFICATION_ERRORS)


@each("code", range(1, 120))
def test_each_error_of_the_verification_has_words(code):
    """Ours, or OpenSSL's with its number; also of versions that come."""
    verdict = _tls._Verdict(_tls.Trust(), "host")
    assert not verdict.judge(None, code, 0, False)
    text = verdict.problem.partition("certificate does not verify: ")[2]
    assert len(text) > 10
    assert code in _tls._VERIFICATION_ERRORS or "error %d, X509_V_ERR_" % code in text


def test_an_error_that_openssl_has_no_words_for_is_named(monkeypatch):
    """Where pyOpenSSL does not pass its texts on, too."""
    assert "unknown" in _tls._verification_error(9999)
    assert "invalid CA certificate" in [
        _tls._verification_error(code).partition(" (")[0] for code in (24, 79)]
    monkeypatch.setattr(_tls, "crypto", None)
    assert _tls._verification_error(79).startswith("no text (OpenSSL's verification error 79, X509")


def test_the_command_has_words_for_every_remedy():
    """Its own, in which nothing of the library is left."""
    assert sorted(_explain.REMEDIES) == sorted(errors.REMEDIES)
    for text in _explain.REMEDIES.values():
        assert LIBRARY_TERM.search(text) is None


@each("error, said", [
    (errors.CertificateError("the key in key_string is not for cert_string", "key"),
     "the key in --key is not for --cert a key_id.pem; " + _explain.REMEDIES["key"]),
    (ValueError("apns_id is 'x', expected a UUID"), "--apns-id is 'x', expected a UUID"),
    (ValueError("priority is 256"), "--priority is 256"),
    (ValueError("of low priority is the badge"), "of low priority is the badge"),
    (IOError(2, "No such file"), "No such file")])
def test_parameters_are_told_as_options(error, said):
    """With the name of the file; a word that only looks like one is left alone."""
    assert _explain.explain(error, argparse.Namespace(cert="a key_id.pem", key=None)) == said


def test_what_is_logged_is_told_in_the_same_words():
    """Where an error is among the arguments of the record."""
    console, log = _Console(), logging.getLogger("apnsclient.test")
    with _log.log_to(console):
        log.warning("%s: %s", "x", errors.ConnectionLost("it ended", "http2"))
        log.warning("%(error)s", {"error": "plain"})
    assert console.notes == ["apns: warning: x: it ended; if it speaks HTTP/2, give --http2",
                             "apns: warning: plain"]
