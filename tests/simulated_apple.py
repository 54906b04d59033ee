"""Apple's side in memory and in simulated time: the simulator without threads, sockets and TLS.

What it says to whom, its scripts and its record are the simulator's own. Certificates are read, as
their topics decide about requests, and not verified.
"""

from __future__ import absolute_import, division, print_function

from cryptography import x509
from cryptography.hazmat.backends import default_backend

from apnsclient import APNs
from apnsclient.errors import ConnectError, ConnectTimeout
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.simulator.services import Services
from simulated_time import RECEIVE_BUFFER, Channel, Host
from stdio_support import AUTHORITY

NAME = "apple.test"


class Apple(Simulator):
    """The simulator in memory; a context manager, with the parameters of the simulator.

    :ivar clock: the ``Clock`` of ``simulated_time``.
    """

    def __init__(self, receive_buffer=RECEIVE_BUFFER, authority=AUTHORITY, **options):
        super(Apple, self).__init__(
            host=NAME, gateway_port=2195, feedback_port=2196, provider_port=443, channels_port=2196,
            authority=authority, **options)
        self._host = _AppleHost(self, receive_buffer)
        self.clock = self._host.clock

    def session(self, **options):
        """Return a session that leads here; see ``Host.session``. It is shut down at the end."""
        return self._host.session(**options)

    def drop(self, session):
        """Leave a session to the garbage collector."""
        self._host.drop(session)

    def client(self, **options):
        """Return an ``APNs`` to the gateway over a session of its own, with its options."""
        return APNs(self.session(**options).get_connection(
            self.gateway_address, cert_string=self.cert_string))

    def provider_client(self, **options):
        """Return an ``APNs`` to the provider API, in the same way."""
        return APNs(self.session(protocol="http2", **options).get_connection(
            self.provider_address, cert_string=self.cert_string))

    def wait_for(self, predicate, timeout):
        """Wait until something is true, or the timeout is over; return whether it is."""
        return self.clock.wait(predicate, timeout)

    def _new_engine(self, configuration, addresses):
        return _Engine(configuration, addresses, self.clock)

    def __exit__(self, *exception):
        if not any(exception):
            self._host.shutdown()
        super(Apple, self).__exit__(*exception)


class _Engine(object):
    """The services of a simulator, whose loop is the clock."""

    def __init__(self, configuration, addresses, clock):
        self.loop = clock
        self.linger = configuration.linger
        self.addresses = addresses
        self.services = Services(configuration, clock)

    def stop(self):
        """There is no thread, and nothing to be closed."""


class _AppleHost(Host):
    """Leads each connection to the service that its address names."""

    def __init__(self, simulator, receive_buffer):
        super(_AppleHost, self).__init__()
        self._simulator = simulator
        self._receive_buffer = receive_buffer

    def open_channel(self, address, certificate, timeout, protocol):
        engine = self._simulator._started()
        services = engine.services
        service = {self._simulator.gateway_address: services.gateway,
                   self._simulator.feedback_address: services.feedback,
                   self._simulator.provider_address: services.provider}[address]
        script = service.next_script()
        if script.refuse:
            service.record.add(refused=1)
            raise ConnectError("cannot connect to %s:%d: refused by script" % address)
        if script.stall_handshake:
            assert not self.clock.wait(lambda: False, timeout)
            raise ConnectTimeout("cannot connect to %s:%d within %s s" % (address + (timeout,)))
        handler = service.new_handler(script)
        channel = Channel(self.clock, handler, _load(certificate), protocol, engine.linger,
                          self._receive_buffer)
        service.connections.add(channel)
        handler.opened(channel)
        return channel


def _load(certificate):
    """Return a certificate as ``cryptography`` has it; None for that of a provider token."""
    pem = certificate.get_context()
    return None if pem is None else x509.load_pem_x509_certificate(pem, default_backend())
