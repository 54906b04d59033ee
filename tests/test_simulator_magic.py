"""Tokens that say themselves what becomes of pushes to them."""

from __future__ import absolute_import, division, print_function

import io
import os
import re
import threading
from binascii import unhexlify

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, Session
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.simulator.magic_tokens import GONE_SINCE, TOKENS
from apnsclient.testing.simulator.provider_reasons import STATUSES
from provider_client import events, with_certificate
from simulator_client import error_frame, gateway_client, modern

#: Seconds after which something hangs.
HANG = 150
REJECTED = sorted(digits for digits, magic in TOKENS.items() if magic.reason is not None)


@pytest.fixture(autouse=True)
def watchdog(strict):
    """End the connections of a test that waits for what does not come, so that it fails."""
    timer = threading.Timer(HANG, lambda: (strict.disconnect_all(), strict.disconnect_providers()))
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


def magic(digits):
    """Return a whole token."""
    return ("decafbad" + digits).ljust(64, "0")


@pytest.fixture(scope="module")
def strict():
    """A simulator that accepts only what it knows."""
    with Simulator(strict=True) as running:
        yield running


def test_a_magic_token_chooses_the_reason_of_the_provider_api(strict):
    """In either case, and with the time where Apple has one."""
    with with_certificate(strict) as client:
        for digits in REJECTED:
            reason = TOKENS[digits].reason
            expected = {"reason": reason}
            if digits.startswith("410"):
                expected["timestamp"] = GONE_SINCE * 1000
            for token in (magic(digits), magic(digits).upper(), magic(digits).capitalize()):
                response = client.push(token)
                assert (response.status, response.said) == (STATUSES[reason], expected)
            assert digits.startswith(str(response.status))


def test_a_magic_token_chooses_what_happens_to_the_request(strict):
    """RST_STREAM, no response, and GOAWAY; other requests are left alone."""
    strict.devices.add("ab" * 32)
    with with_certificate(strict) as client:
        silent = client.request("/3/device/" + magic("90003"))
        for digits, code in (("90001", frames.INTERNAL_ERROR), ("90002", frames.REFUSED_STREAM)):
            for token in (magic(digits), magic(digits).upper(), magic(digits).capitalize()):
                assert client.was_refused(client.request("/3/device/" + token)) == code
        assert client.push().status == 200
        assert not client.of(events.ResponseReceived, silent)
    # GOAWAY closes once no response is missing.
    with with_certificate(strict) as client:
        assert client.push(magic("90004")).status == 200
        client.read_to_end()
        assert client.of(events.ConnectionTerminated)


def test_a_magic_token_chooses_the_status_of_the_gateway(strict):
    """A device whose application is gone is accepted there, and in the feedback list."""
    for digits in REJECTED:
        token, status = magic(digits), TOKENS[digits].status
        with gateway_client(strict) as client:
            # What comes behind it gets status 8, so that success is no silence.
            client.send(modern(7, unhexlify(token)), modern(9))
            # Status 10 names the last that was accepted, and none was.
            expected = {None: error_frame(8, 9), 10: error_frame(10, 0)}
            assert client.read_to_end() == expected.get(status, error_frame(status or 0, 7))
        assert ((token, GONE_SINCE) in strict.devices.feedback) == (status is None)


def test_a_magic_token_chooses_how_the_gateway_ends(strict):
    """Reset, the end of the stream, and status 10 behind it."""
    with gateway_client(strict) as client:
        client.send(modern(1, unhexlify(magic("90001"))))
        assert client.has_been_reset()
    for digits, said in (("90002", b""), ("90004", error_frame(10, 1))):
        with gateway_client(strict) as client:
            client.send(modern(1, unhexlify(magic(digits))))
            assert client.read_to_end() == said


def test_what_is_set_of_a_token_goes_before_its_digits(strict):
    """A device that is known is known, whatever its digits are."""
    for digits in ("40001", "90001"):
        strict.devices.add(magic(digits))
    with with_certificate(strict) as client:
        assert client.push(magic("40001")).status == client.push(magic("90001")).status == 200
    strict.devices.remove(magic("40001"), magic("90001"))


def test_magic_tokens_can_be_switched_off():
    """Then they are tokens like any."""
    with Simulator(magic_tokens=False) as apns:
        with with_certificate(apns) as client:
            for digits in sorted(TOKENS):
                assert client.push(magic(digits)).status == 200
        assert apns.accepted_count == len(TOKENS)


def test_the_client_tells_what_became_of_a_magic_token(strict):
    """Over both protocols."""
    for protocol, address in (("binary", strict.gateway_address),
                              ("http2", strict.provider_address)):
        session = Session(protocol=protocol, ca_string=strict.ca_string)
        try:
            connection = session.get_connection(address, cert_string=strict.cert_string)
            result = APNs(connection).send(
                Message([magic("40001")], alert="Hi", apns_topic="com.example.app"))
            assert list(result.failed) == [magic("40001")], protocol
        finally:
            session.shutdown()


def test_the_page_has_all_magic_tokens():
    """Each with its reason, and none that there is not."""
    page = os.path.join(os.path.dirname(__file__), os.pardir, "docs", "testing.rst")
    with io.open(page, encoding="utf-8") as file:
        rows = [line.split() for line in file if re.match(u"``decafbad[0-9]{5}``  ", line)]
    found = dict((row[0].strip("`")[len("decafbad"):], row) for row in rows)
    assert sorted(found) == sorted(TOKENS)
    for digits in REJECTED:
        status = TOKENS[digits].status
        assert found[digits][1:] == [
            digits[:3], TOKENS[digits].reason, "accepted" if status is None else str(status)]
