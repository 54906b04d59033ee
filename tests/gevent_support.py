"""What the tests of the green back-end share: greenlets beside which others run, and their end."""

from __future__ import absolute_import, division, print_function

import gevent

from apnsclient import APNs, Message, Session
from apnsclient._compat import monotonic
from frame_peers import TOPIC
from stdio_support import AUTHORITY, CLIENT, GONE, SOON, SSL, Server, over_tls

GEVENT = "apnsclient.backends.gevent"


def green_session(protocol="http2", **options):
    """Return a session of the green back-end that trusts the servers of the tests."""
    options.setdefault("ca_string", AUTHORITY.ca_string)
    options.setdefault("connect_timeout", SOON)
    return Session(pool=GEVENT, protocol=protocol, **options)


def client_of(session, address, cert_string=CLIENT.pem):
    """Return an ``APNs`` for a server."""
    return APNs(session.get_connection(address, cert_string=cert_string))


def message(token, **options):
    """Return a message to one token."""
    return Message([token], alert="hello", apns_topic=TOPIC, **options)


def await_green(condition):
    """Let other greenlets run until the condition holds."""
    end = monotonic() + SOON
    while not condition():
        assert monotonic() < end, "it never happened"
        gevent.sleep(0.001)


def all_of(functions):
    """Run each function in a greenlet; return their values, or raise what one of them raised."""
    greenlets = [gevent.spawn(function) for function in functions]
    # The timeout of joinall() counts from when the event loop ran the last time, which may have
    # been in another test.
    with gevent.Timeout(2 * SOON, AssertionError("a greenlet does not end")):
        gevent.joinall(greenlets, raise_error=True)
    return [one.value for one in greenlets]


def beside_others(function, release, is_there=lambda: True):
    """Run a function that waits until ``release()``, which is called once others have run.

    :param is_there: tells whether it has come to the wait that is meant.
    :return: what the function returns.
    """
    waiting = gevent.spawn(function)
    await_green(lambda: is_there() or waiting.ready())
    for _ in range(5):
        gevent.sleep(0.001)
        assert not waiting.ready(), "it did not wait, or let nobody run meanwhile"
    release()
    return waiting.get(timeout=SOON)


def in_event_loop(function):
    """Call a function in the event loop itself; return what it returns, or raise."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    gevent.get_hub().loop.run_callback(call)
    await_green(lambda: outcome)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def noting_the_end(ends):
    """Return a server that notes how TLS ended, with a close-notify or without."""
    def function(tls):
        try:
            while True:
                tls.recv(65536)
        except SSL.Error as error:
            ends.append(type(error))
            tls.shutdown()

    return Server(over_tls(function), ignore=GONE)
