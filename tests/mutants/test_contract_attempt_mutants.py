"""A back-end whose attempts to connect break one rule on purpose fails that rule, and no other.

For what the documentation's back-end does not have: connections that are opened beside others. How
the mutants are run is said in ``test_contract_mutants.py``.
"""

from __future__ import absolute_import, division, print_function

import select
import socket
import threading

import pytest
from test_contract_mutants import OF_THE_EXAMPLE

from apnsclient.backends import BaseConnectionAttempt, stdio
from apnsclient.backends._tls_backend import ConnectionAttempt
from apnsclient.errors import ConnectError, ConnectTimeout
from contract_support import RULES, expect_broken, new_case

pytestmark = [
    pytest.mark.timeout(240),
    # A broken back-end leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed"),
    pytest.mark.skipif(not hasattr(select, "poll"), reason="this system has no poll()"),
]


def is_attempt(waited):
    """Return True if what is waited for is a connection that is being opened."""
    return isinstance(waited, ConnectionAttempt)


class OfAttempt(stdio.Backend):
    """Has attempts of the class ``Attempt``."""

    def start_connecting(self, *args, **options):
        attempt = super(OfAttempt, self).start_connecting(*args, **options)
        attempt.__class__ = self.Attempt
        return attempt


class Patient(OfAttempt):
    """Waits a moment for TLS when it goes on."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            found, waiting = super(Patient.Attempt, self).advance(), stdio.Backend.waiting
            if found is None and any(not is_writer for _, is_writer in self.interests()):
                waiting.wait(self.interests(), 0.6)
            return found


class Devoted(OfAttempt):
    """Waits for TCP when it goes on."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            found, waiting = super(Devoted.Attempt, self).advance(), stdio.Backend.waiting
            if found is None and any(is_writer for _, is_writer in self.interests()):
                waiting.wait(self.interests(), 60)
            return found


class Resolving(stdio.Backend):
    """Waits for the resolver."""

    class Resolver(type(stdio.Backend.waiting)):
        def start_lookup(self, host, port):
            lookup = super(Resolving.Resolver, self).start_lookup(host, port)
            getattr(lookup, "done", self).wait()
            return lookup

        def wait(self, *args):
            return super(Resolving.Resolver, self).wait(*args) if args else None

    waiting = Resolver()


class Restless(OfAttempt):
    """Takes an attempt for ready each time."""

    class Attempt(ConnectionAttempt):
        def time_to_wait(self):
            return 0.0


class Single(stdio.Backend):
    """Waits for nothing else where there is an attempt."""

    def wait(self, connections, timeout, waker):
        attempts = [one for one in connections if is_attempt(one)]
        return super(Single, self).wait(attempts or connections, timeout, waker)


class Starving(stdio.Backend):
    """Reports an attempt when nothing else is ready."""

    def wait(self, connections, timeout, waker):
        ready = super(Starving, self).wait(connections, timeout, waker)
        return [one for one in ready if not is_attempt(one)] or ready


class Orderly(stdio.Backend):
    """Waits for what comes first, where there is an attempt."""

    def wait(self, connections, timeout, waker):
        first = connections[:1] if any(map(is_attempt, connections)) else connections
        return super(Orderly, self).wait(first, timeout, waker)


class Sleepy(OfAttempt):
    """Waits on when the time of an attempt is over."""

    class Attempt(ConnectionAttempt):
        def time_to_wait(self):
            return None if self.interests() else super(Sleepy.Attempt, self).time_to_wait()


class Timeless(stdio.Backend):
    """Gives an attempt all the time in the world."""

    def start_connecting(self, address, certificate, timeout=None, alpn=()):
        return super(Timeless, self).start_connecting(address, certificate, None, alpn)


class Tardy(stdio.Backend):
    """Begins when it is asked to go on."""

    class Attempt(BaseConnectionAttempt):
        def __init__(self, begin):
            super(Tardy.Attempt, self).__init__()
            self.begin, self.begun = begin, None

        def advance(self):
            self.begun = self.begun or self.begin()
            return self.begun.advance()

        def close(self):
            if self.begun is not None:
                self.begun.close()

    def start_connecting(self, *args, **options):
        return self.Attempt(lambda: super(Tardy, self).start_connecting(*args, **options))

    def wait(self, connections, timeout, waker):
        idle = [one for one in connections if isinstance(one, self.Attempt) and not one.begun]
        owners = {getattr(one, "begun", one): one for one in connections if one not in idle}
        return idle or [owners[one] for one in super(Tardy, self).wait(
            list(owners), timeout, waker)]


class Vague(OfAttempt):
    """Has another name for a timeout."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            try:
                return super(Vague.Attempt, self).advance()
            except ConnectTimeout as error:
                raise ConnectError(str(error))


class Raw(OfAttempt):
    """Lets the system's refusal through."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            try:
                return super(Raw.Attempt, self).advance()
            except ConnectError as error:
                if "refused" in str(error):
                    raise EnvironmentError("refused")
                raise


class Credulous(stdio.Backend):
    """Verifies no server of an attempt."""

    def start_connecting(self, *args, **options):
        return stdio.Backend(verify=False).start_connecting(*args, **options)


class Shy(stdio.Backend):
    """Offers no protocols in an attempt."""

    def start_connecting(self, address, certificate, timeout=None, alpn=()):
        return super(Shy, self).start_connecting(address, certificate, timeout)


class Numeric(OfAttempt):
    """Has another address in the connection than it was to connect to."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            connection = super(Numeric.Attempt, self).advance()
            if connection is not None:
                connection.address = "127.0.0.1", connection.address[1]
            return connection


class Leaky(OfAttempt):
    """Closes nothing."""

    class Attempt(ConnectionAttempt):
        def close(self):
            pass


class Careless(OfAttempt):
    """Closes nothing when it has failed."""

    class Attempt(ConnectionAttempt):
        is_going_on = False

        def advance(self):
            self.is_going_on = True
            found = super(Careless.Attempt, self).advance()
            self.is_going_on = False
            return found

        def close(self):
            if not self.is_going_on:
                super(Careless.Attempt, self).close()


class Final(OfAttempt):
    """Raises when it is closed again."""

    class Attempt(ConnectionAttempt):
        is_closed = False

        def close(self):
            assert not self.is_closed
            self.is_closed = True
            super(Final.Attempt, self).close()


class Possessive(OfAttempt):
    """Closes the connection as well."""

    class Attempt(ConnectionAttempt):
        connection = None

        def advance(self):
            self.connection = super(Possessive.Attempt, self).advance()
            return self.connection

        def close(self):
            if self.connection is not None:
                self.connection.close()
            super(Possessive.Attempt, self).close()


class Loyal(stdio.Backend):
    """Has attempts that belong to the thread that made them."""

    class Attempt(ConnectionAttempt):
        def advance(self):
            assert self.owner is threading.current_thread()
            return super(Loyal.Attempt, self).advance()

    def start_connecting(self, *args, **options):
        attempt = super(Loyal, self).start_connecting(*args, **options)
        attempt.__class__, attempt.owner = self.Attempt, threading.current_thread()
        return attempt


class Childish(OfAttempt):
    """Goes on in a child."""

    class Attempt(ConnectionAttempt):
        def check_process(self):
            pass


class Rude(OfAttempt):
    """Ends the stream when it is closed, also in a child."""

    class Attempt(ConnectionAttempt):
        def close(self):
            for waited, _ in self.interests():
                waited.shutdown(socket.SHUT_RDWR)
            super(Rude.Attempt, self).close()


OF_ATTEMPTS = [
    (Patient, ["an_attempt_waits_for_no_handshake"]),
    (Devoted, ["an_attempt_waits_for_no_connect", "an_attempt_is_given_up_in_time"]),
    (Resolving, ["an_attempt_waits_for_no_resolver"]),
    (Restless, ["a_silent_attempt_is_waited_for", "an_attempt_waits_for_no_resolver"]),
    (Single, ["a_connection_is_read_beside_a_silent_attempt"]),
    (Starving, ["an_attempt_goes_on_beside_a_busy_connection"]),
    (Orderly, ["a_connection_is_read_beside_a_silent_attempt",
               "an_attempt_goes_on_beside_a_silent_connection",
               "an_attempt_goes_on_beside_a_busy_connection"]),
    (Sleepy, ["an_attempt_is_given_up_in_time"]),
    (Timeless, ["an_attempt_is_given_up_in_time", "the_time_of_an_attempt_runs_from_its_start"]),
    (Tardy, ["the_time_of_an_attempt_runs_from_its_start"]),
    (Vague, ["an_attempt_is_given_up_in_time", "the_time_of_an_attempt_runs_from_its_start"]),
    (Raw, ["an_attempt_that_is_refused_is_a_connect_error"]),
    (Credulous, ["an_attempt_verifies_the_server"]),
    (Shy, ["an_attempt_offers_protocols"]),
    (Numeric, ["an_attempt_ends_in_a_connection"]),
    (Leaky, ["an_attempt_may_be_closed_at_any_time",
             "a_failed_attempt_to_connect_leaves_no_socket_open"]),
    (Careless, ["a_failed_attempt_to_connect_leaves_no_socket_open"]),
    (Final, ["an_attempt_may_be_closed_at_any_time"]),
    (Possessive, ["an_attempt_that_is_over_leaves_its_connection_alone"]),
    (Loyal, ["another_one_may_go_on_with_an_attempt"]),
    (Childish, ["a_child_leaves_an_attempt_to_its_parent"]),
    (Rude, ["a_child_leaves_an_attempt_to_its_parent"]),
]


@pytest.mark.parametrize("backend, rules", OF_ATTEMPTS)
def test_a_mutant_of_an_attempt_breaks_its_rules_and_no_others(backend, rules):
    """What it should wait for takes longer than a second only if it is broken."""
    expect_broken(new_case(backend), rules, 1.0)


def test_there_are_mutants_of_every_subject():
    """Of the example, and of attempts."""
    broken = set(RULES["test_" + rule] for each in OF_THE_EXAMPLE for rule in each.rules)
    broken.update(RULES["test_" + rule] for _, rules in OF_ATTEMPTS for rule in rules)
    assert broken == set(RULES.values())
