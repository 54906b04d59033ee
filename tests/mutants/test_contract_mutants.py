"""A back-end with one rule broken on purpose fails that rule, and no other.

A suite that everybody passes proves nothing. So each mutant here is the documentation's back-end,
or the default one, with one thing changed. The table says which rules must fail: the one that was
broken, and where it cannot be broken alone, the rules that follow from it. All other rules must
pass.

A mutant runs against the subjects of the rules that it breaks, and where the environment variable
``CONTRACT_MUTANTS`` is ``whole``, against all rules, which takes ten times as long.
"""

from __future__ import absolute_import, division, print_function

import collections
import select

import pytest
from OpenSSL import SSL

from apnsclient.backends import stdio
from apnsclient.errors import CertificateError, ConnectionLost, Timeout
from contract_support import PATIENCE, example_steps, expect_broken, load_example, new_case

pytestmark = [
    pytest.mark.timeout(240),
    # A broken back-end leaves its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed"),
    pytest.mark.skipif(not hasattr(select, "poll"), reason="this system has no poll()"),
]

#: What is wrong with the mutant, the text that is changed and what it becomes (in pairs), and the
#: rules that it breaks, without ``test_``.
Mutant = collections.namedtuple("Mutant", "name changes rules")


def mutant(name, *rest):
    """Return a Mutant of ``name, old, new, old, new, ..., rules``."""
    changes, rules = rest[:-1], rest[-1]
    return Mutant(name, list(zip(changes[::2], changes[1::2])), rules.split())


CERTIFICATE = [
    mutant("ignores key_file",
           "read_pem(key_string, key_file)", "read_pem(key_string, None)",
           "the_key_may_stand_apart a_file_counts_where_a_string_is_given_as_well"),
    mutant("takes text of one type only",
           "def read_pem(text, name):\n",
           "def read_pem(text, name):\n    assert isinstance(text, (str, type(None)))\n",
           "the_text_may_be_bytes"),
    mutant("prefers the string",
           "if name is not None:  # goes before the text", "if text is None and name is not None:",
           "a_file_counts_where_a_string_is_given_as_well"),
    mutant("keeps intermediates to itself",
           "contexts = Contexts(pem, passphrase)",
           "contexts = Contexts(PEM.sub(b'', pem) + found.group(), passphrase)",
           "intermediates_are_sent_along"),
    mutant("takes passphrases of one type only",
           "        try:\n            pem = ",
           "        assert isinstance(passphrase, (str, type(None)))\n"
           "        try:\n            pem = ",
           "an_encrypted_key_is_loaded_with_its_passphrase"),
    mutant("lets the library's error through where the passphrase is wrong",
           "as error:\n            six.raise_from(CertificateError(",
           "as error:\n            if passphrase:\n                raise\n"
           "            six.raise_from(CertificateError(",
           "a_wrong_or_missing_passphrase_is_refused"),
    mutant("loads the key when it connects",
           "contexts.get((), None)", "pass",
           "a_certificate_without_its_key_is_refused a_wrong_or_missing_passphrase_is_refused"),
    mutant("lets the system's error through where a file is missing",
           "except (ValueError, EnvironmentError)", "except (ValueError, ssl.SSLError)",
           "a_file_that_cannot_be_read_is_refused"),
    mutant("says only of garbage that it is none",
           "raise ValueError(\"no certificate in PEM format\")",
           "raise TypeError(\"no certificate in PEM format\")",
           "what_is_no_certificate_is_refused"),
    mutant("takes all certificates for the same",
           "hashlib.new(digest, raw)", "hashlib.new(digest, b'')",
           "certificates_are_compared_by_content "
           "connections_are_told_apart_by_address_and_certificate"),
    mutant("tells the passphrase",
           "cannot be used: %s\" % error", "cannot be used: %s\" % ((passphrase, error),)",
           "errors_and_representations_tell_no_secret"),
]

EVENT = u"""
class Event(object):
    def __init__(self):
        self.event = threading.Event()

    def set(self):
        self.event.set()

    def wait(self, timeout):
        is_set = self.event.wait(%s)
        %s
        return is_set

"""
CREATE_EVENT = ("def create_lock(self):",
                "def create_event(self):\n        return Event()\n\n    def create_lock(self):")

LOCKS = [
    mutant("has locks that are not reentrant",
           "threading.RLock()", "threading.Lock()",
           "a_lock_is_reentrant"),
    mutant("has one lock for all",
           "return threading.RLock()", "return ONE", "class Backend(",
           "ONE = threading.RLock()\nclass Backend(",
           "each_lock_is_another_one"),
    mutant("forgets an event after it was waited for",
           "class Backend(", EVENT % ("timeout", "self.event.clear()") + u"class Backend(",
           CREATE_EVENT[0], CREATE_EVENT[1],
           "an_event_ends_a_wait"),
    mutant("waits for an event without an end",
           "class Backend(", EVENT % ("60", "pass") + u"class Backend(",
           CREATE_EVENT[0], CREATE_EVENT[1],
           "a_wait_for_an_event_ends_in_time"),
]

OPENING = [
    mutant("bounds TCP and not TLS",
           "complete(sock, deadline, sock.do_handshake)", "complete(sock, None, sock.do_handshake)",
           "a_server_that_is_silent_is_given_up_in_time a_server_that_drips_is_given_up_in_time "
           "a_failed_attempt_leaves_no_socket_open"),
    mutant("starts its clock again with each wait",
           "    while True:\n        try:\n            return operation",
           "    whole = seconds_to(deadline)\n"
           "    while True:\n        try:\n            return operation",
           "left = seconds_to(deadline)\n        if left == 0:",
           "left = whole\n        if left == 0:",
           "        poller.poll(milliseconds(left))",
           "        if not poller.poll(milliseconds(left)):\n"
           "            raise Timeout('the time is up')",
           "a_server_that_drips_is_given_up_in_time the_time_of_a_read_is_for_the_whole_call "
           "the_time_of_a_write_is_for_the_whole_call"),
    mutant("lets the system's refusal through",
           "    raise explain(failure, address, ConnectTimeout",
           "    if 'refused' in str(failure):\n        raise failure\n"
           "    raise explain(failure, address, ConnectTimeout",
           "a_refused_connection_is_a_connect_error"),
    mutant("lets the resolver's error through",
           "except (socket.error, UnicodeError) as error:", "except ZeroDivisionError as error:",
           "a_name_that_cannot_be_looked_up_is_a_connect_error"),
    mutant("takes each failure for a timeout",
           "ConnectTimeout if is_timeout(failure) else ConnectError", "ConnectTimeout",
           "a_refused_connection_is_a_connect_error a_server_that_hangs_up_is_a_connect_error "
           "a_server_without_tls_is_a_connect_error"),
    mutant("takes no failure for a timeout",
           "ConnectTimeout if is_timeout(failure) else ConnectError", "ConnectError",
           "a_host_that_does_not_respond_is_given_up_in_time "
           "a_server_that_is_silent_is_given_up_in_time a_server_that_drips_is_given_up_in_time"),
    mutant("leaves the socket of an attempt open",
           "        sock.close()\n        raise", "        LEFT.append(sock)\n        raise",
           "def connect_to(", "LEFT = []\ndef connect_to(",
           "a_failed_attempt_leaves_no_socket_open"),
    mutant("knows no attempt without a timeout",
           "deadline, failure = None if timeout is None else now() + timeout, None",
           "deadline, failure = now() + timeout, None",
           "each_connection_is_a_new_one"),
    mutant("looks a name up once",
           "candidates = socket.getaddrinfo(address[0], address[1], 0, socket.SOCK_STREAM)",
           "if address not in FOUND:\n"
           "            FOUND[address] = socket.getaddrinfo(\n"
           "                address[0], address[1], 0, socket.SOCK_STREAM)\n"
           "        candidates = FOUND[address]",
           "def connect_to(", "FOUND = {}\ndef connect_to(",
           "the_name_is_looked_up_for_each_connection"),
    mutant("waits no longer than it might have connected",
           "        deadline = None if timeout is None else now() + timeout\n        try:\n"
           "            return complete",
           "        deadline = now() + (0.1 if timeout is None else timeout)\n        try:\n"
           "            return complete",
           "the_time_to_connect_ends_with_connecting"),
]

TRUST = [
    mutant("compares no host names",
           "    if hasattr(ssl, \"TLSVersion\"):",
           "    context.check_hostname = False\n    if hasattr(ssl, \"TLSVersion\"):",
           "a_server_of_another_name_is_refused a_server_of_another_address_is_refused"),
    mutant("compares no addresses",
           "        sock = context.wrap_socket(\n",
           "        context.check_hostname = not host.startswith('127')\n"
           "        sock = context.wrap_socket(\n",
           "a_server_of_another_address_is_refused"),
    mutant("verifies nothing unless it is told whom to trust",
           "    if hasattr(ssl, \"TLSVersion\"):",
           "    if ca_string is None:\n        context.check_hostname = False\n"
           "        context.verify_mode = ssl.CERT_NONE\n"
           "    if hasattr(ssl, \"TLSVersion\"):",
           "servers_are_verified_unless_told_otherwise"),
    mutant("verifies nothing",
           "    if hasattr(ssl, \"TLSVersion\"):",
           "    context.check_hostname = False\n    context.verify_mode = ssl.CERT_NONE\n"
           "    if hasattr(ssl, \"TLSVersion\"):",
           "a_server_of_an_unknown_authority_is_refused a_server_of_another_name_is_refused "
           "a_server_of_another_address_is_refused "
           "a_server_whose_certificate_has_expired_is_refused "
           "servers_are_verified_unless_told_otherwise "
           "whom_to_trust_is_up_to_the_back_end a_provider_token_presents_no_certificate"),
    mutant("trusts whomever the first who used the certificate trusted",
           "(alpn, ca_string) not in self._made", "alpn not in self._made",
           "self._made[alpn, ca_string] = new_context", "self._made[alpn] = new_context",
           "return self._made[alpn, ca_string]", "return self._made[alpn]",
           "contexts.get((), None)", "new_context((), None, pem, passphrase)",
           "whom_to_trust_is_up_to_the_back_end"),
    mutant("takes a refusal while it reads for a loss",
           "explain(error, self.address, ConnectionLost)", "ConnectionLost(str(error))",
           "a_refusal_of_our_certificate_is_told"),
    mutant("takes each alert for a refusal",
           "elif REFUSED.search(reason):", "elif 'ALERT' in reason:",
           "an_alert_about_something_else_is_no_refusal"),
    mutant("knows no refusal",
           "elif REFUSED.search(reason):", "elif False:",
           "a_refusal_of_our_certificate_is_told "
           "a_refusal_over_tls_1_2_is_told_while_opening"),
]

READ = "        return self._receive(size, timeout) or None"
READING = [
    mutant("takes the end for a failure",
           READ, READ.replace("return", "data =") + "\n"
           "        if data is None:\n            raise ConnectionLost('the end')\n"
           "        return data",
           "the_end_of_the_stream_is_none an_end_without_close_notify_is_an_end "
           "a_connection_is_closed_after_the_end_was_read read_returns_everything_in_order"),
    mutant("takes silence for a failure",
           READ,
           "        try:\n    " + READ + "\n        except Timeout:\n"
           "            raise ConnectionLost('silence')",
           "a_read_ends_when_its_time_is_over the_time_of_a_read_is_for_the_whole_call "
           "a_message_is_delivered a_connection_that_died_is_replaced"),
    mutant("writes nothing more after a timeout",
           READ,
           "        try:\n    " + READ + "\n        except Timeout:\n"
           "            self._has_failed = True\n            raise",
           "a_connection_is_usable_after_a_timeout"),
    mutant("returns a byte too many",
           READ, READ.replace("size", "size + 1"),
           "read_returns_no_more_than_asked_for read_returns_everything_in_order "
           "peek_sees_what_a_read_has_left a_connection_is_closed_after_the_end_was_read "
           "what_is_held_back_is_reported"),
]

PEEK = "            return self._receive(size, 0)"
PEEKING = [
    mutant("waits a moment",
           PEEK, "            return self._receive(size, 1.5)",
           "peek_does_not_wait peek_does_not_wait_for_the_rest_of_a_record"),
    mutant("asks the system whether there is anything",
           PEEK,
           "            return (None if not select.select([self._tls], [], [], 0)[0] else\n"
           "                    self._receive(size, 0))",
           "peek_sees_what_a_read_has_left what_is_held_back_is_reported"),
    mutant("keeps what is stale",
           "while not self._has_ended and self._tls.pending():", "while False:",
           "reset_drops_what_is_stale"),
    mutant("raises from reset()",
           "        while not self._has_ended and self._tls.pending():",
           "        self._tls.getpeername()\n"
           "        while not self._has_ended and self._tls.pending():",
           "reset_raises_nothing"),
]

WRITING = [
    mutant("starts its clock again with each record",
           "self._run(seconds_to(deadline), self._tls.write, rest)",
           "self._run(timeout, self._tls.write, rest[:16384])",
           "the_time_of_a_write_is_for_the_whole_call"),
    mutant("takes a slow peer for a failure",
           "        except BaseException:\n            self._has_failed = True\n            raise",
           "        except BaseException as error:\n            self._has_failed = True\n"
           "            raise ConnectionLost(str(error))",
           "a_write_ends_when_its_time_is_over the_time_of_a_write_is_for_the_whole_call"),
    mutant("reads nothing after a failed write",
           "        if self._has_ended:\n            return b\"\"",
           "        if self._has_failed:\n            raise ConnectionLost('failed')\n"
           "        if self._has_ended:\n            return b\"\"",
           "what_had_come_is_read_after_a_failed_write what_had_come_is_read_after_a_hang_up"),
    mutant("throws away what comes while it writes",
           "        self._has_written = True\n", "        self._has_written = True\n"
           "        if len(data) > 100001:\n            self.peek(100)\n",
           "both_directions_are_independent what_had_come_is_read_after_a_failed_write"),
    mutant("knows no write without a timeout",
           "None if timeout is None else now() + timeout, memoryview(data)",
           "now() + timeout, memoryview(data)",
           "what_is_written_arrives"),
    mutant("keeps quiet about a peer that is gone",
           "        except BaseException:\n            self._has_failed = True\n            raise",
           "        except ConnectionLost:\n            self._has_failed = False\n"
           "            if self.is_inherited:\n                raise\n"
           "        except BaseException:\n            self._has_failed = True\n            raise",
           "a_write_to_a_peer_that_is_gone_fails what_had_come_is_read_after_a_hang_up"),
]

CLOSING = [
    mutant("raises when it is closed again",
           "        if self._is_closed:\n            return",
           "        if self._is_closed:\n            raise ValueError('closed')",
           "close_may_be_called_again a_closed_connection_is_not_kept"),
    mutant("raises when it is broken",
           "        except Exception:\n            pass\n        finally:\n"
           "            self._tls.close()",
           "        except socket.timeout:\n            pass\n"
           "        finally:\n            self._tls.close()",
           "a_broken_connection_is_closed_without_noise"),
    mutant("closes without further ado",
           "self._finish(now() + 1.0)", "pass",
           "what_was_written_before_close_arrives close_says_so_to_the_peer "
           "close_gives_the_peer_time"),
    mutant("gives up soon when it closes",
           "self._finish(now() + 1.0)", "self._finish(now() + 0.1)",
           "close_gives_the_peer_time"),
    mutant("says no good-bye",
           "self._tls.unwrap()", "pass",
           "close_says_so_to_the_peer"),
    mutant("waits for the peer without an end",
           "self._tls.settimeout(seconds_to(deadline))", "self._tls.settimeout(None)",
           "close_does_not_wait_for_ever"),
    mutant("reads what it was to leave",
           "if self._has_written and not (", "if not (",
           "an_abandoned_stream_is_not_read_to_its_end"),
    mutant("asks the system of the peer of what may be gone",
           "        return self._is_closed or self._has_ended",
           "        return self._is_closed or self._has_ended or not self._tls.getpeername()",
           "a_broken_connection_is_closed_without_noise"),
    mutant("keeps what came while it closed as it came",
           "            if not self._tls.recv(16384):\n                break",
           "            data = self._tls.recv(16384)\n"
           "            self.received_on_close += data\n"
           "            if not data:\n                break",
           # A second may be over before the peer has said anything.
           "self._finish(now() + 1.0)", "self._finish(now() + 6.0)",
           "close_says_so_to_the_peer close_does_not_wait_for_ever"),
    mutant("goes on after the end",
           "return self._is_closed or self._has_ended", "return self._is_closed",
           "a_connection_is_closed_after_the_end_was_read"),
]

REGISTER = "    poller.register(waker.receiver, select.POLLIN)\n"
HOLDING = "    holding = [each for each in connections if each.holds_input()]\n"
READY = "each in holding or each.fileno() in found]"
SHARING = [
    mutant("waits for a tenth of that",
           "milliseconds(timeout)))", "milliseconds(timeout and timeout / 10)))",
           "a_wait_ends_when_its_time_is_over a_silent_connection_is_waited_for "
           "a_wake_is_used_up a_waker_wakes_its_own_waits_only a_child_does_not_wake_its_parent"),
    mutant("waits for longer than that",
           "milliseconds(timeout)))", "milliseconds(timeout and timeout + 60)))",
           "a_wait_ends_when_its_time_is_over a_silent_connection_is_waited_for "
           "a_wake_is_used_up a_waker_wakes_its_own_waits_only a_child_does_not_wake_its_parent"),
    mutant("takes no time for no limit",
           "milliseconds(timeout)))", "milliseconds(timeout or None)))",
           "a_wait_of_no_time_returns_at_once"),
    mutant("takes no limit for no time",
           "milliseconds(timeout)))", "milliseconds(timeout or 0)))",
           "a_wait_may_last_for_ever"),
    mutant("looks at its waker before it waits",
           REGISTER,
           "    if select.select([waker.receiver], [], [], 0)[0]:\n        waker.use_up()\n"
           "        timeout = 0\n",
           "a_wake_ends_a_wait a_wait_may_last_for_ever one_that_shares_the_back_end_may_wake"),
    mutant("forgets what woke it before it waits",
           REGISTER, "    waker.use_up()\n" + REGISTER,
           "a_wake_before_a_wait_ends_it a_wake_is_used_up wake_never_waits "
           "a_waker_wakes_its_own_waits_only another_one_may_wait_next "
           "a_child_does_not_wake_its_parent"),
    mutant("uses no wake up",
           "        waker.use_up()", "        pass",
           "a_wake_is_used_up"),
    mutant("uses one wake of several up",
           "            while self.receiver.recv(4096):\n                pass",
           "            self.receiver.recv(1)",
           "a_wake_is_used_up"),
    mutant("waits while it wakes",
           "self._sender.setblocking(False)", "self._sender.setblocking(True)",
           "wake_never_waits"),
    mutant("raises when it is woken too late",
           "            pass  # closed, or full",
           "            if self._sender.fileno() == -1:\n                raise\n"
           "            pass  # closed, or full",
           "a_closed_waker_may_be_woken"),
    mutant("has one waker for all",
           "return Waker()", "return self.__dict__.setdefault('one', Waker())",
           "a_waker_wakes_its_own_waits_only a_child_does_not_wake_its_parent"),
    mutant("wakes its parent",
           "            return  # the sockets", "            pass  # the sockets",
           "a_child_does_not_wake_its_parent"),
    mutant("keeps quiet about failures",
           "set(number for number, _ in poller", "set(number for number, event in poller",
           "milliseconds(timeout)))",
           "milliseconds(timeout))\n"
           "                if not event & (select.POLLERR | select.POLLHUP))",
           "a_failure_is_reported"),
    mutant("asks the system only",
           HOLDING, "    holding = []\n",
           "what_is_held_back_is_reported all_that_are_ready_are_reported"),
    mutant("tells the end once",
           "self.is_inherited or self._has_ended\n                or", "self.is_inherited or",
           "        if each not in holding:",
           "        if each not in holding and not each._has_ended:",
           "an_end_is_reported"),
    mutant("takes each connection for ready",
           READY, "True]",
           "a_silent_connection_is_waited_for"),
    mutant("waits for the first of several",
           "    for each in connections:\n        if each not in holding",
           "    for each in connections[:1]:\n        if each not in holding",
           "each_of_several_connections_is_waited_for all_that_are_ready_are_reported"),
    mutant("is content with what it holds",
           HOLDING, HOLDING + "    if holding:\n        return holding\n",
           "all_that_are_ready_are_reported"),
    mutant("reports one of several",
           READY, READY + "[:1]",
           "all_that_are_ready_are_reported"),
    mutant("reports nothing when it is woken",
           "        waker.use_up()", "        waker.use_up()\n        return []",
           "a_wake_hides_nothing"),
    mutant("is waited with by the thread that made it",
           "        self._process = os.getpid()\n",
           "        self._process = os.getpid()\n        self.owner = threading.current_thread()\n",
           REGISTER, REGISTER + "    assert waker.owner is threading.current_thread()\n",
           "one_that_shares_the_back_end_may_wake another_one_may_wait_next"),
]

POOL = [
    mutant("closes what is in use",
           "    def create_lock(self):",
           "    def outdate(self, delta):\n        for each in ALL:\n            each.close()\n\n"
           "    def create_lock(self):",
           "        tls = connect(address", "        tls = connect(address",
           "        return Connection(address, certificate, tls)",
           "        ALL.append(Connection(address, certificate, tls))\n        return ALL[-1]",
           "class Backend(", "ALL = []\nclass Backend(",
           "outdate_closes_what_has_been_idle"),
    mutant("keeps one where it is to keep none",
           "        super(Backend, self).__init__(**options)",
           "        options['pool_size'] = options.get('pool_size', 5) or 1\n"
           "        super(Backend, self).__init__(**options)",
           "a_pool_of_0_keeps_none a_pool_of_none_keeps_any_number"),
    mutant("keeps what is closed",
           "    def create_lock(self):",
           "    def store(self, connection):\n        connection.closed = lambda: False\n"
           "        try:\n            return super(Backend, self).store(connection)\n"
           "        finally:\n            del connection.closed\n\n    def create_lock(self):",
           "a_closed_connection_is_not_kept"),
    mutant("belongs to the thread that opened it",
           "        self._tls = tls\n",
           "        self._tls = tls\n        self._owner = threading.current_thread()\n",
           "        if self._is_closed or self.is_inherited:",
           "        assert self._owner is threading.current_thread()\n"
           "        if self._is_closed or self.is_inherited:",
           "a_connection_may_be_used_by_another_thread another_one_may_wait_next"),
]

FORK = [
    mutant("says good-bye in the child",
           "(self._has_failed or self.is_inherited)", "(self._has_failed)",
           "a_child_writes_nothing_when_it_closes a_child_leaves_the_parents_pool_alone"),
    mutant("goes on in the child",
           "if self._is_closed or self.is_inherited:", "if self._is_closed:",
           "a_child_cannot_use_what_it_inherited"),
]

ALPN = [
    mutant("offers in another order",
           "list(alpn)", "list(alpn)[::-1]",
           "protocols_are_offered_in_order"),
    mutant("always offers",
           "    if alpn:\n        context.set_alpn_protocols(list(alpn))",
           "    context.set_alpn_protocols(list(alpn) or ['h2'])",
           "nothing_is_offered_unless_asked_for the_pool_tells_protocols_apart"),
    mutant("insists on a choice",
           "        return Connection(address, certificate, tls)",
           "        if alpn and tls.selected_alpn_protocol() is None:\n"
           "            raise ConnectError('no protocol')\n"
           "        return Connection(address, certificate, tls)",
           "a_server_that_chooses_none_is_no_failure"),
    mutant("knows no provider tokens",
           "contexts = Contexts(None)", "raise TypeError('no certificate')",
           "a_provider_token_presents_no_certificate a_message_is_delivered_over_http2"),
    mutant("verifies nothing for a provider token",
           "    if pem is not None:",
           "    if pem is None:\n        context.check_hostname = False\n"
           "        context.verify_mode = ssl.CERT_NONE\n    if pem is not None:",
           "a_provider_token_presents_no_certificate"),
]

OF_THE_EXAMPLE = (CERTIFICATE + LOCKS + OPENING + TRUST + READING + PEEKING + WRITING + CLOSING
                  + SHARING + POOL + FORK + ALPN)


class OfConnection(stdio.Backend):
    """Has connections of the class ``Connection``."""

    def get_new_connection(self, *args, **options):
        connection = super(OfConnection, self).get_new_connection(*args, **options)
        connection.__class__ = self.Connection
        return connection


class Blind(OfConnection):
    """Says that it can detect closing, and does not look."""

    class Connection(stdio.Connection):
        def closed(self):
            return self._is_closed or (self._has_ended and not self._stash)


class Hopeful(OfConnection):
    """Takes a reset for silence, when it reads."""

    class Connection(stdio.Connection):
        def read(self, size, timeout):
            try:
                return super(Hopeful.Connection, self).read(size, timeout)
            except ConnectionLost:
                if self.is_inherited:
                    raise
                raise Timeout("nothing came")


class Formal(OfConnection):
    """Takes an end without a close-notify for a failure."""

    class Connection(stdio.Connection):
        def read(self, size, timeout):
            data = super(Formal.Connection, self).read(size, timeout)
            if data is None and not self._engine.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN:
                raise ConnectionLost("the stream was cut off")
            return data


class Unaware(OfConnection):
    """Takes a reset for silence, when it peeks."""

    class Connection(stdio.Connection):
        def peek(self, size):
            try:
                return super(Unaware.Connection, self).peek(size)
            except ConnectionLost:
                if self.is_inherited:
                    raise
                return None


class Endless(OfConnection):
    """Takes the end of the stream for silence, when it peeks."""

    class Connection(stdio.Connection):
        def peek(self, size):
            return super(Endless.Connection, self).peek(size) or None


class Unsure(OfConnection):
    """Takes an end without a close-notify for silence, when it peeks."""

    class Connection(stdio.Connection):
        def peek(self, size):
            data = super(Unsure.Connection, self).peek(size)
            was_told = self._engine.tls.get_shutdown() & SSL.RECEIVED_SHUTDOWN
            return data if data or was_told else None


class Stubborn(OfConnection):
    """Writes on after a failure."""

    class Connection(stdio.Connection):
        def write(self, data, timeout):
            self._write_problem = None
            super(Stubborn.Connection, self).write(data, timeout)


class Buried(OfConnection):
    """Does not know of an end that TLS has come across."""

    class Connection(stdio.Connection):
        def interests(self):
            wanted = super(Buried.Connection, self).interests()
            return [(self._socket, False)] if self._engine._problem is not None else wanted


class Strict(stdio.Backend):
    """Takes ``verify`` and verifies all the same."""

    def __init__(self, verify=True, **options):
        super(Strict, self).__init__(**options)


class Picky(stdio.Backend):
    """Refuses a certificate that has expired, by its own clock."""

    def get_certificate(self, cert_params):
        certificate = super(Picky, self).get_certificate(cert_params)
        if certificate.identity.validity_problem() is not None:
            raise CertificateError("the certificate has expired")
        return certificate


OF_STDIO = [
    (Blind, ["closed_tells_that_the_peer_has_hung_up",
             "a_connection_that_died_in_the_pool_is_not_handed_out"]),
    (Hopeful, ["a_reset_is_no_silence"]),
    (Formal, ["an_end_without_close_notify_is_an_end"]),
    (Unaware, ["peek_tells_that_the_connection_is_gone", "a_failure_is_reported"]),
    (Endless, ["peek_tells_the_end_of_the_stream", "an_end_is_reported",
               "an_end_that_is_held_back_is_reported"]),
    (Unsure, ["peek_tells_the_end_of_the_stream", "an_end_is_reported"]),
    (Stubborn, ["nothing_is_written_after_a_failed_write"]),
    (Buried, ["an_end_that_is_held_back_is_reported"]),
    (Strict, ["verification_can_be_switched_off"]),
    (Picky, ["an_expired_certificate_is_loaded"]),
]


#: Seconds that a rule waits for a mutant that has to be slower, and must not take all day.
SHORT_PATIENCE = dict({each.name: 1.0 for each in SHARING}, **{"waits a moment": 1.2})


def mutate(changes):
    """Return the text of the documentation's back-end after changes, each of one place."""
    text = example_steps()[-1]
    for old, new in changes:
        assert text.count(old) == 1, "%d places have %r" % (text.count(old), old)
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("broken", OF_THE_EXAMPLE, ids=lambda each: each.name.replace(" ", "_"))
def test_a_mutant_of_the_example_breaks_its_rules_and_no_others(broken):
    """One thing is changed in the text of the documentation's back-end."""
    module = load_example(mutate(broken.changes))
    expect_broken(new_case(module.Backend), broken.rules,
                  SHORT_PATIENCE.get(broken.name, PATIENCE))


@pytest.mark.parametrize("backend, rules", OF_STDIO)
def test_a_mutant_of_the_default_back_end_breaks_its_rules_and_no_others(backend, rules):
    """For what the example does not have: detection of closing, and a switch for verification."""
    expect_broken(new_case(backend, {"verify": False}), rules)


def test_there_are_enough_mutants():
    """And no two of them have the same name."""
    names = [each.name for each in OF_THE_EXAMPLE]
    assert len(set(names)) == len(names) and len(names) + len(OF_STDIO) >= 25
