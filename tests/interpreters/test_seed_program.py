"""A program in the manner of the documents of apns-client 0.2 runs unchanged.

It makes every call that the getting-started page and the API reference of 0.2 show, with the
imports, arguments and names that they show; ``print`` is a function here. It delivers to Apple as
Apple is today, in whose place there is a simulator: the resolver of the child process leads the
names of Apple's hosts there, and the simulator has a certificate for these names. The rest is given
the way a user would give it: the provider's certificate lies in a file, and ``SSL_CERT_FILE`` names
the authority.
"""

from __future__ import absolute_import, division, print_function

import io
import json
import os
import subprocess
import sys

import pytest

from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Simulator

PROGRAM = u'''\
from __future__ import print_function

from apnsclient import *

# What the program keeps somewhere else: the database.
import database
get_last_update_of_token = database.get_last_update_of_token
remove_token = delete_token = database.remove_token
db_certificate = database.read_certificate()

# Connections.
con = Session().new_connection("feedback_sandbox", cert_file="sandbox.pem")
session = Session()
con = session.get_connection("push_sandbox", cert_file="sandbox.pem")

# Sending.
message = Message(@TOKENS@, alert="My message", badge=10)
srv = APNs(con)
try:
    res = srv.send(message)
except:
    print("Can't connect to APNs, looks like network is down")
else:
    for token, reason in res.failed.items():
        code, errmsg = reason
        print("Device failed: {0}, reason: {1}".format(token, errmsg))

    for code, errmsg in res.errors:
        print("Error: {}".format(errmsg))

    if res.needs_retry():
        retry_message = res.retry()
        print("Retry: {}".format(",".join(retry_message.tokens)))

# State of a message.
state = message.__getstate__()
message_copy = Message(**state)

# Maintenance.
import datetime

delta = datetime.timedelta(minutes=5)
session.outdate(delta)
session.shutdown()

# Feedback.
con = Session().new_connection("feedback_sandbox", cert_file="sandbox.pem")
srv = APNs(con)
try:
    for token, when in srv.feedback():
        last_update = get_last_update_of_token(token)
        if last_update < when:
            remove_token(token)
except:
    print("Can't connect to APNs, looks like network is down")

# The same with a certificate from a string, as the reference shows it.
session = Session()
con = session.new_connection("feedback_production", cert_string=db_certificate)
service = APNs(con)
try:
    for token, when in service.feedback():
        last_update = get_last_update_of_token(token)
        if last_update < when:
            remove_token(token)
except:
    print("Check your network, I could not connect to APNs")

session = Session()
con = session.get_connection("push_production", cert_string=db_certificate)
message = Message(@TOKENS@, alert="Message")
service = APNs(con)
try:
    result = service.send(message)
except:
    print("Check your network, I could not connect to APNs")
else:
    for token, (reason, explanation) in result.failed.items():
        delete_token(token)

    for reason, explanation in result.errors:
        pass

    if result.needs_retry():
        message = result.retry()

print("Result: {}".format(sorted(message.tokens)))
'''

#: What the user has beside the program.
DATABASE = u'''\
import datetime

removed = []

def get_last_update_of_token(token):
    assert isinstance(token, bytes)
    return datetime.datetime(2014, 1, 1)

def remove_token(token):
    print("Removed: {}".format(token if isinstance(token, str) else token.decode("ascii")))

def read_certificate():
    with open("sandbox.pem") as stream:
        return stream.read()
'''

#: Runs the program where the names of Apple's hosts lead to the simulator. The wait for an error
#: frame is longer there than any machine needs to bring one about.
RUNNER = u'''\
import json
import runpy
import socket
import sys

from apnsclient import Session

places = dict((tuple(apples), ours) for apples, ours in json.loads(sys.argv[1]))
getaddrinfo = socket.getaddrinfo

def lead_astray(host, port, *arguments):
    ours = places[host if isinstance(host, str) else host.decode("ascii"), port]
    return getaddrinfo(str(ours[0]), ours[1], *arguments)

socket.getaddrinfo = lead_astray
Session.DEFAULT_READ_TAIL_TIMEOUT = 30
runpy.run_path("program.py", run_name="__main__")
'''

TOKENS = ["%02x" % number * 32 for number in range(3)]

#: The hosts that the program connects to, by the protocol of its sessions, and the simulator's
#: attributes with what stands in their place.
HOSTS = {
    None: {("api.sandbox.push.apple.com", 443): "provider_address",
           ("api.push.apple.com", 443): "provider_address"},
    "binary": {("gateway.sandbox.push.apple.com", 2195): "gateway_address",
               ("gateway.push.apple.com", 2195): "gateway_address",
               ("feedback.sandbox.push.apple.com", 2196): "feedback_address",
               ("feedback.push.apple.com", 2196): "feedback_address"},
}
WARNING = ("feedback() has only tokens that this process found dead when it sent to them; "
           "to include those of other processes, have APNSCLIENT_FEEDBACK_STORE name a file in all "
           "of them, or give their sessions a feedback_store")


class Apples(Authority):
    """Makes certificates for servers that stand in the place of Apple's."""

    def issue(self, common_name, dns=(), **options):
        """Add Apple's names to those of a server."""
        if options.get("usage") == "server":
            dns = [host for hosts in HOSTS.values() for host, _ in hosts]
        return super(Apples, self).issue(common_name, dns=dns, **options)


def in_apples_place():
    return Simulator(authority=Apples())


@pytest.fixture
def run(tmpdir):
    """A function that runs the program with a list of tokens against a simulator."""
    def run_with(simulator, tokens, protocol=None, store=""):
        program = PROGRAM.replace(u"@TOKENS@", u"%s" % json.dumps(tokens))
        if protocol is not None:
            program = program.replace(u"Session()", u"Session(protocol=%s)" % json.dumps(protocol))
        for name, text in (("program.py", program), ("database.py", DATABASE),
                           ("runner.py", RUNNER), ("ca.pem", simulator.ca_string),
                           ("sandbox.pem", simulator.cert_string)):
            with io.open(str(tmpdir.join(name)), "w", encoding="ascii") as stream:
                stream.write(u"%s" % text)
        places = [(apples, getattr(simulator, ours)) for apples, ours in HOSTS[protocol].items()]
        child = subprocess.Popen(
            [sys.executable, "-W", "error", "-W", "ignore:Python", "runner.py",
             json.dumps(places)],
            cwd=str(tmpdir),
            env=dict(os.environ, SSL_CERT_FILE="ca.pem", APNSCLIENT_FEEDBACK_STORE=store),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, noise = (text.decode("utf-8", "replace") for text in child.communicate())
        # Python 2.7 says that once, where nobody has configured logging, in place of a warning.
        noise = noise.replace("No handlers could be found for logger \"apnsclient.feedback_store\"",
                              WARNING).strip()
        assert (child.returncode, noise) == (0, "" if protocol or store else WARNING), noise
        return output.splitlines()
    return run_with


def test_the_program_reports_what_a_gateway_refused(run):
    """Where it is told to speak the binary protocol: one bad token is reported and given up, the
    rest is to be retried, the feedback is read."""
    with in_apples_place() as simulator:
        simulator.devices.bad(TOKENS[1])
        simulator.devices.uninstall(TOKENS[0])

        lines = run(simulator, TOKENS, "binary")

        assert lines == [
            "Device failed: %s, reason: Invalid token" % TOKENS[1],
            "Retry: %s" % TOKENS[2],
            "Removed: %s" % TOKENS[0],
            "Removed: %s" % TOKENS[1],
            "Result: %r" % [TOKENS[2]],
        ]
        assert simulator.accepted_tokens() == [TOKENS[0]] * 2
        assert simulator.feedback_connections == 2


def test_the_placeholders_of_the_documents_are_reported_one_by_one(run):
    """What is no token is in the result, and nothing is sent."""
    placeholders = ["my", "device", "tokens"]
    no_token = ("Device failed: %s, reason: Invalid token: the token is not hexadecimal: \"%s\" is "
                "number %d of its %d characters")
    with in_apples_place() as simulator:
        lines = run(simulator, placeholders)

        assert sorted(lines[:3]) == [
            no_token % ("device", "v", 3, 6), no_token % ("my", "m", 1, 2),
            no_token % ("tokens", "t", 1, 6),
        ]
        assert sorted(lines[3:6]) == ["Removed: device", "Removed: my", "Removed: tokens"]
        assert lines[6:] == ["Result: %r" % sorted(placeholders)]
        assert simulator.accepted_count == 0


@pytest.mark.parametrize("store", ["", "feedback.db"], ids=["memory", "file"])
def test_the_program_delivers_to_apple(run, store):
    """Unchanged: each token has a response, and a dead one is in the feedback as well."""
    with in_apples_place() as simulator:
        simulator.devices.bad(TOKENS[1])
        simulator.devices.uninstall(TOKENS[0], 1700000000)

        lines = run(simulator, TOKENS, store=store)

        assert sorted(lines[:2]) == [
            "Device failed: %s, reason: Invalid token: Unregistered" % TOKENS[0],
            "Device failed: %s, reason: Invalid token: BadDeviceToken" % TOKENS[1],
        ]
        assert lines[2] == "Removed: %s" % TOKENS[0]
        assert sorted(lines[3:5]) == ["Removed: %s" % TOKENS[0], "Removed: %s" % TOKENS[1]]
        assert lines[5:] == ["Result: %r" % TOKENS]
        assert simulator.accepted_tokens() == [TOKENS[2]] * 2
        assert simulator.provider_connections == 2


@pytest.mark.parametrize("protocol", [None, "binary"])
def test_the_program_without_a_gateway_says_so(run, protocol):
    """Where nothing can be connected to, every call raises, and the program goes on."""
    simulator = Simulator().start()
    simulator.stop()

    lines = run(simulator, TOKENS, protocol)

    feedback_fails = protocol is not None  # Over HTTP/2 nothing is connected for it.
    assert lines == [
        "Can't connect to APNs, looks like network is down",
    ] + ["Can't connect to APNs, looks like network is down"] * feedback_fails + [
        "Check your network, I could not connect to APNs",
    ] + ["Check your network, I could not connect to APNs"] * feedback_fails + [
        "Result: %r" % TOKENS,
    ]


def test_a_program_with_its_own_addresses_runs_as_well(tmpdir):
    """The same calls with ``(host, port)``, a certificate file and the option for the authority."""
    from apnsclient import APNs, Message, Session

    certificate = tmpdir.join("sandbox.pem")
    with Simulator() as simulator:
        certificate.write(simulator.cert_string)
        simulator.devices.bad(TOKENS[0])
        session = Session(ca_string=simulator.ca_string, read_tail_timeout=20)
        con = session.get_connection(simulator.gateway_address, cert_file=str(certificate))

        result = APNs(con).send(Message(TOKENS, alert="My message", badge=10))

        assert result.failed == {TOKENS[0]: (8, "Invalid token")}
        assert result.retry().tokens == TOKENS[1:]
        session.shutdown()
