"""Memory does not grow with the number of tokens or of messages that are sent."""

from __future__ import absolute_import, division, print_function

import json

import pytest

from apnsclient.testing.simulator import Simulator
from net_support import Script

pytestmark = pytest.mark.timeout(240)

#: Bytes that a run may need beyond a much smaller one; all the frames of it, or all its messages,
#: would be several times as many.
TOLERANCE = 4 << 20

MEASURE = """
import gc, json, resource, sys
from apnsclient import APNs, Message, Session

def peak():
    # The high-water mark of this process alone; getrusage() knows that of its parent as well.
    try:
        with open("/proc/self/status") as status:
            [line] = [line for line in status if line.startswith("VmHWM:")]
        return int(line.split()[1]) << 10
    except IOError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

def make_client(where):
    if where is None:
        from apnsclient.backends.dummy import Backend
        session = Session(pool=Backend(push=[]), read_tail_timeout=0)
        return APNs(session.get_connection(cert_string="any"))
    session = Session(ca_string=where["ca"], read_tail_timeout=0, write_buffer_size=16384)
    return APNs(session.get_connection(tuple(where["address"]), cert_string=where["cert"]))

def send_tokens(count):
    result = client.send(Message(tokens[:count], alert="hello"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None), result

def send_messages(count):
    messages = (Message(token, alert="hello", extra={"number": number})
                for number, token in enumerate(tokens[:count]))
    assert sum(1 for result in client.send_many(messages) if result.retry() is None) == count

where = json.loads(sys.argv[1])
client = make_client(where)
small, large = int(sys.argv[3]), int(sys.argv[4])
tokens = ["%064x" % number for number in range(large)]
send = {"tokens": send_tokens, "messages": send_messages}[sys.argv[2]]
copies = [list(tokens) for _ in range(2)]
del copies
send(small)
before = peak()
send(large)
print(peak() - before)
"""


def measure(*argv):
    """Run the program, which has work for some seconds on a quiet machine; return the bytes."""
    status, output, errors = Script(MEASURE, *argv).finish(limit=200)
    assert (status, errors) == (0, "")
    return int(output)


@pytest.mark.parametrize("what, small, large", [
    ("tokens", 20000, 200000), ("messages", 3000, 20000)])
def test_memory_is_the_same_for_few_and_for_many(what, small, large):
    """Sending several times as much needs no more memory, apart from the network."""
    assert measure("null", what, str(small), str(large)) < TOLERANCE


@pytest.mark.parametrize("what, small, large", [
    ("tokens", 10000, 100000), ("messages", 2000, 12000)])
def test_memory_is_the_same_over_tls(what, small, large):
    """The same over a real connection."""
    with Simulator(record=False) as gateway:
        where = json.dumps({"address": gateway.gateway_address, "ca": gateway.ca_string,
                            "cert": gateway.cert_string})
        assert measure(where, what, str(small), str(large)) < TOLERANCE
        assert gateway.wait_for(lambda: gateway.accepted_count >= small + large, 60)
        assert gateway.accepted_count == small + large
