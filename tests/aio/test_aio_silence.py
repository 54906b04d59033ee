"""A server that says nothing, which is another thing than a connection that is lost.

In a world whose time is set: see :mod:`aio_world`.
"""

import pytest

from aio_world import Plan, World
from apnsclient.aio.errors import Closed, Kind, Timeout
from sender_peer import ACCEPT, IGNORE, Script

READ_TIMEOUT = 8.0


def outcomes_of(script, *plans, **options):
    """Return the outcomes of all notifications that go to a server, in order."""
    world = World([script], plans, read_timeout=READ_TIMEOUT, **options).run()
    assert not world.loop.crashes
    return [caller.outcomes[name] for caller in world.callers for name in caller.names]


@pytest.mark.parametrize("kind", ["single", "many"])
@pytest.mark.parametrize("script, type_, text", [
    (Script(acts=[(0, "silence", None)]), Timeout, "no response within 8.0 s"),
    (Script(first=[(IGNORE, 0.0)], then=(ACCEPT, 1.0)), Timeout, "no response within 8.0 s"),
    (Script(then=(ACCEPT, 1.0), acts=[(3, "hang up", None)]), Closed,
     "the request was written, and there was no response: the server ended the connection"),
], ids=["connection", "request", "lost"])
def test_silence_is_told_from_a_lost_connection(kind, script, type_, text):
    """The classes differ, the kind is the same: what was written may have been processed."""
    first, _, last = outcomes_of(script, Plan(kind, 3))

    assert (first.kind, type(first.error), str(first.error)) == (Kind.unknown, type_, text)
    assert last.is_accepted == (script.first != ())


def test_a_ping_without_a_response_is_silence():
    """A caller gives up before read_timeout is over; then the others learn of it, too."""
    given_up, other = outcomes_of(
        Script(acts=[(0, "deaf", None)]), Plan("single", timeout=2.0), Plan("single"))

    assert (given_up.kind, type(given_up.error)) == (Kind.unknown, Timeout)
    assert (other.kind, type(other.error)) == (Kind.unknown, Timeout)
    assert str(other.error) == "no response within 1.0 s to a PING"
