"""The same seed gives the same faults: on every Python, in any order, with any timing."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.handlers.base import BaseHandler
from apnsclient.testing.chaos.randomness import Dice, new_seed
from chaos_support import await_end, connected, echoing, exchange, registered

BEHAVIOR = "30:delay,30:other"


class Other(BaseHandler):
    """Notes a random number."""

    name = "other"

    def on_connect(self, client_sock, backend_sock):
        self.note("%d" % self.random.randint(0, 10 ** 6))
        return True


def run(seed, count=12):
    """Return handler and faults of each connection, all of them open at once."""
    with registered(Other), echoing(BEHAVIOR, {"delay": {"sleep": 0}}, seed=seed) as proxy:
        clients = [connected(proxy) for _ in range(count)]
        for each in clients:
            each.__enter__()
        assert proxy.wait_for(lambda: proxy.connection_count == count, 20)
        for each in clients:
            each.__exit__(None, None, None)
        await_end(proxy, count)
        return [(each.handler, each.faults[:1] if each.handler == "other" else [])
                for each in proxy.connections]


def test_the_numbers_are_fixed():
    """What a seed gave once it gives on Python 2.7 and 3, today and in the next release."""
    dice = Dice(7, 3, "corrupt")
    assert [round(dice.random(), 12) for _ in range(3)] == [
        0.628848635268, 0.283423471082, 0.184239168037]
    assert [dice.randint(1, 6) for _ in range(8)] == [2, 3, 1, 3, 6, 4, 4, 2]
    assert bytearray(dice.bytes(4)) == bytearray([123, 162, 32, 223])
    assert [dice.choice("abc") for _ in range(5)] == list("babbb")
    assert round(dice.random(), 12) == 0.761099523507
    assert Dice(u"seed").random() == Dice("seed").random() != Dice("seed", 1).random()


def test_the_choices_are_fixed():
    """The draw of a connection depends on the seed and its number alone."""
    assert [name for name, _ in run(2026)] == [
        "delay", "other", "dummy", "other", "delay", "delay", "delay", "dummy",
        "delay", "delay", "other", "other"]


def test_a_run_can_be_replayed():
    """All of it: which connections are concerned, and what happens to them."""
    assert run(7) == run(7)
    assert run(7) != run(8)


def test_each_connection_has_numbers_of_its_own():
    """What one handler draws changes nothing for another one."""
    found = [faults[0] for name, faults in run(11, 16) if name == "other"]
    assert len(found) > 1
    assert len(set(found)) == len(found)


def test_shares_are_kept():
    """Of many connections, each handler gets about its percentage."""
    with registered(Other):
        proxy = ChaosProxy(("127.0.0.1", 1), BEHAVIOR, seed=1)
        names = [proxy.plan.draw(number)[0] for number in range(1, 4001)]
    for name, share in (("delay", 0.3), ("other", 0.3), ("dummy", 0.4)):
        assert abs(names.count(name) / 4000.0 - share) < 0.05


def test_the_seed_is_shown():
    """A run that found something can be seen again."""
    assert "seed 7" in repr(ChaosProxy(("127.0.0.1", 1), seed=7))
    proxy = ChaosProxy(("127.0.0.1", 1))
    assert "seed %r" % proxy.seed in repr(proxy)
    assert 0 <= new_seed() < 10 ** 9
    assert len(set(new_seed() for _ in range(20))) > 1


def test_a_seed_may_be_text():
    """The name of a test, for example."""
    with echoing("50:delay", seed="test_x") as proxy:
        assert exchange(proxy, b"x") == b"x"
        assert "seed 'test_x'" in repr(proxy)
