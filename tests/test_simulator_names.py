"""The simulator's certificate is for the names by which clients reach it."""

from __future__ import absolute_import, division, print_function

import contextlib
import datetime
import socket
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.backends import default_backend

from apnsclient._compat import PY2
from apnsclient.backends._identity import certificate_dates
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Simulator
from cli_support import apns
from net_support import SOON


def is_valid_for(simulator, name):
    """Whether a verifying client accepts the certificate of the provider API for a name."""
    context = ssl.create_default_context(cadata=u"%s" % simulator.ca_string)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection(simulator.provider_address, SOON)
    try:
        with contextlib.closing(context.wrap_socket(raw, server_hostname=name)):
            return True
    except (ssl.SSLError, ssl.CertificateError) as error:
        assert "match" in str(error) or "not valid for" in str(error)
        return False
    finally:
        raw.close()


def test_the_certificate_is_for_the_names_that_were_given():
    """Beside those that every simulator has; in a certificate no address is a name."""
    with Simulator(host="127.0.0.2", names=["push.example.com", "pu_sh", "192.0.2.7"]) as simulator:
        valid = ["localhost", "push.example.com", "pu_sh"]
        if not PY2:  # Its ssl looks for no addresses in a certificate.
            valid += ["127.0.0.1", "::1", "127.0.0.2", "192.0.2.7"]
        assert [name for name in valid if not is_valid_for(simulator, name)] == []
        invalid = ["example.com", "a.push.example.com", "0.0.0.0", "192.0.2.8"]
        assert [name for name in invalid if is_valid_for(simulator, name)] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
def test_where_it_listens_makes_it_no_less_valid(host):
    """Neither an address that is all of them, nor one that is there anyway."""
    with Simulator(host=host) as simulator:
        assert is_valid_for(simulator, "localhost")
        assert PY2 or is_valid_for(simulator, "127.0.0.1")
        assert not is_valid_for(simulator, "0.0.0.0")


def test_its_addresses_can_be_connected_to():
    """Each address of the machine is none of them."""
    for host, loopback in (("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("127.0.0.2", "127.0.0.2")):
        with Simulator(host=host) as simulator:
            for service in ("gateway", "feedback", "provider", "channels"):
                address = getattr(simulator, service + "_address")
                assert address[0] == loopback
                socket.create_connection(address, SOON).close()
            assert simulator.host == host
            simulator.stop()
            assert simulator.start().gateway_address[0] == loopback


def test_what_is_no_name_is_refused():
    """Before it listens; the command says it as a wrong usage."""
    for name in ("", "no name", "-x", "a..b", u"b\xfccher.example", "a:80", "*.example", "x" * 64,
                 "http://push"):
        with pytest.raises(ValueError, match="is not a host name, such as push.example.com"):
            Simulator(names=[name])
    ended = apns("simulator", "--temporary", "--name", "no name")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "'no name' is not a host name" in ended.err


def test_the_clients_certificate_lasts_as_long_as_its_authority():
    """What is kept in files works until the authority has to be renewed, too."""
    authority = Authority()
    pem = Simulator(authority=authority).cert_string.encode("ascii")
    end = certificate_dates(x509.load_pem_x509_certificate(pem, default_backend()))[1]
    assert end == authority.not_after
    now = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=time.time())
    assert end > now + datetime.timedelta(days=3640)
