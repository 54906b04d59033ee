"""The record of what was sent under which identifier, against a model that keeps everything."""

from __future__ import absolute_import, division, print_function

from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.ledger import Ledger
from effort import examples

MODULUS = 1 << 32


class Owner(object):
    pass


class Model(object):
    """One list of all identifiers that were ever given out."""

    def __init__(self, first, keep_owners, keep_identifiers):
        self.next = first
        self.limits = keep_owners, keep_identifiers
        self.owners = []
        self.forgotten = 0
        self.settled = 0
        self.issued = set()

    def record(self, owner, count):
        identifiers = [(self.next + index) % MODULUS for index in range(count)]
        self.owners.append((owner, identifiers))
        self.issued.update(identifiers)
        self.next = (self.next + count) % MODULUS
        return identifiers[0]

    def known(self):
        return self.owners[self.forgotten:]

    def settle(self):
        self.settled += 1
        while self.settled - self.forgotten > 1 and (
                self.settled - self.forgotten > self.limits[0]
                or sum(len(one[1]) for one in self.owners[self.forgotten:self.settled])
                > self.limits[1]):
            self.forgotten += 1


def do(step, ledger, model):
    """Do the same with both: record so many identifiers (int), or settle somebody (str)."""
    unsettled = [owner for owner, _ in model.owners[model.settled:]]
    if step == "settle stranger":
        ledger.settle(Owner())
    elif step == "settle last" and len(unsettled) > 1:
        # Others are before it.
        ledger.settle(unsettled[-1])
    elif step == "settle" and unsettled:
        ledger.settle(unsettled[0])
        model.settle()
    elif isinstance(step, int):
        owner = Owner()
        assert ledger.record(owner, step) == model.record(owner, step)


steps = st.lists(st.one_of(st.integers(1, 40), st.just("settle"), st.just("settle stranger"),
                           st.just("settle last")), max_size=30)
near_the_end = st.one_of(st.integers(0, 50), st.integers(MODULUS - 100, MODULUS - 1))


@examples(200)
@given(near_the_end, steps, st.integers(1, 4), st.integers(0, 60),
       st.lists(st.integers(-200, 400), max_size=10))
def test_it_agrees_with_a_model_that_keeps_everything(first, steps, owners, identifiers, probes):
    """Also where identifiers wrap around, and whatever is settled."""
    ledger = Ledger(first, owners, identifiers)
    model = Model(first, owners, identifiers)
    for step in steps:
        do(step, ledger, model)
        assert ledger.next_identifier == model.next
        assert ledger.owners() == [owner for owner, _ in model.known()]
    for position, (owner, identifiers) in enumerate(model.known()):
        for index in {0, len(identifiers) // 2, len(identifiers) - 1}:
            assert ledger.find(identifiers[index]) == (owner, index)
        assert ledger.owners_after(owner) == [
            one for one, _ in model.known()[position + 1:]]
    known = set(one for _, identifiers in model.known() for one in identifiers)
    for probe in probes:
        probe = (first + probe) % MODULUS
        assert (ledger.find(probe) is not None) == (probe in known)
        assert ledger.was_issued(probe) == (probe in model.issued)


def test_owners_after_a_stranger_are_none():
    """Nothing is thrown away behind a message that was not sent here."""
    ledger = Ledger()
    ledger.record(Owner(), 1)
    assert ledger.owners_after(Owner()) == []


def test_an_identifier_that_was_given_out_twice_belongs_to_the_last_owner():
    """A connection that lives for 2 to the power 32 notifications starts over."""
    ledger = Ledger(first_identifier=5)
    early, late = Owner(), Owner()
    ledger.record(early, 10)
    ledger.record(Owner(), MODULUS - 10)
    ledger.record(late, 10)
    assert ledger.find(5) == (late, 0)
    assert all(ledger.was_issued(one) for one in (0, 4, 5, MODULUS - 1))


def test_the_last_settled_owner_stays_however_large_it_is():
    """Its late error frame is the most likely one."""
    ledger = Ledger(keep_owners=10, keep_identifiers=5)
    small, large = Owner(), Owner()
    for owner, count in ((small, 1), (large, 1000)):
        ledger.record(owner, count)
        ledger.settle(owner)
    assert ledger.owners() == [large]


def test_it_does_not_grow_with_the_number_of_owners():
    """Whoever has its result is kept only as long as there is room."""
    ledger = Ledger(keep_owners=10)
    for _ in range(1000):
        owner = Owner()
        ledger.record(owner, 3)
        ledger.settle(owner)
    assert len(ledger.owners()) == 10


def test_identifiers_start_at_1():
    """0 is what a gateway names that shuts down before it accepted anything."""
    ledger = Ledger()
    assert not ledger.was_issued(0)
    assert ledger.record(Owner(), 2) == 1
    assert ledger.was_issued(2) and not ledger.was_issued(0) and not ledger.was_issued(3)
