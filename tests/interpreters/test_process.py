"""Each process has a value of its own, whoever asks first."""

from __future__ import absolute_import, division, print_function

import threading

from apnsclient._process import PerProcess


def test_a_value_is_made_once():
    """And stays the same."""
    values, made = PerProcess(), []
    first = values.get(lambda: made.append(1) or object())

    assert values.get(lambda: made.append(2) or object()) is first
    assert made == [1]


def test_threads_that_ask_together_get_the_same_value():
    """However many values are made for it."""
    values, found = PerProcess(), []
    together = threading.Event()

    def make():
        together.wait(30)
        return object()

    def ask():
        found.append(values.get(make))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    together.set()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_forked_child_makes_its_own_and_discards_the_parents(in_forked_child):
    """The parent keeps what it has."""
    values, discarded = PerProcess(), []
    mine = values.get(object)

    def child():
        own = values.get(object, discarded.append)
        assert own is not mine
        assert discarded == [mine]
        assert values.get(object, discarded.append) is own
        assert discarded == [mine]

    in_forked_child(child)
    assert values.get(object, discarded.append) is mine
    assert discarded == []
