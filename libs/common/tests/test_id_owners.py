"""The owner of an id follows from the claims alone. The reference repeats the rule without its algorithm."""

import time
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.id_owners import id_owners

Claims = set[tuple[str, str]]

ids = st.sampled_from(["a", "b", "c", "d", "e", "0"])
claim_sets = st.lists(st.tuples(ids, ids).filter(lambda pair: pair[0] != pair[1]), max_size=12)


def by_the_rule(claims: Claims) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return the owner of each id and the contested ids.

    The persons who claim an id, and those who claim these persons, stand above it. Two ids that stand above each other are in one
    circle. The owners of all claimants outside of the circle decide.
    """
    named = {each for claim in claims for each in claim}
    above = {each: {person for person, claimed in claims if claimed == each} for each in named}
    for between, low, high in product(sorted(named), repeat=3):
        if between in above[low] and high in above[between]:
            above[low].add(high)
    circles = {
        each: {each} | {other for other in above[each] if each in above[other]} for each in named
    }

    def owners_above(each: str) -> set[str]:
        circle = circles[each]
        claimants = {person for person, claimed in claims if claimed in circle} - circle
        return {owner(person) for person in claimants}

    def owner(each: str) -> str:
        owners = owners_above(each)
        return owners.pop() if len(owners) == 1 else min(circles[each])

    found = {each: owner(each) for each in named}
    contested = {
        each: tuple(sorted(owners_above(each))) for each in named if len(owners_above(each)) > 1
    }
    return found, contested


@settings(max_examples=500, deadline=None)
@given(claims=claim_sets, data=st.data())
def test_owners_are_those_of_the_rule_in_any_order(
    claims: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Out: `- circle`, `min`, the case of one owner, or `complete`."""
    shuffled = data.draw(st.permutations(claims + claims[:3]))
    found = id_owners(shuffled)
    owners, contested = by_the_rule(set(claims))
    assert found.owners == owners
    assert found.contested == contested
    assert found.of("somebody else") == "somebody else"


# Each claim as "person id". Name -> (claims, owners of the ids that are not their own, contested ids).
CASES: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "nobody claims": ("", {}, {}),
    "one claim": ("S05-17", {"17": "S05"}, {}),
    "a chain from its lower end": ("17-uuid S05-17", {"17": "S05", "uuid": "S05"}, {}),
    "three lists of one person": ("S05-17 17-uuid S05-uuid", {"17": "S05", "uuid": "S05"}, {}),
    "two persons claim one id": ("S05-uuid S06-uuid", {}, {"uuid": "S05 S06"}),
    "claims of a contested id": ("S05-0 S06-0 0-1", {"1": "0"}, {"0": "S05 S06"}),
    "a circle": ("a-b b-a", {"b": "a"}, {}),
    "a circle that claims another id": ("b-a a-b a-c", {"b": "a", "c": "a"}, {}),
    "a circle that one person claims": ("b-c c-b z-c", {"b": "z", "c": "z"}, {}),
    "a circle that two persons claim": (
        "b-c c-b y-b z-c",
        {"c": "b"},
        {"b": "y z", "c": "y z"},
    ),
    "two claimants that are one person": ("S05-17 S05-uuid 17-x uuid-x", {"17": "S05", "uuid": "S05", "x": "S05"}, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cases_of_the_rule(name: str) -> None:
    text, joined, contested = CASES[name]
    claims = [tuple(each.split("-")) for each in text.split()]
    for order in permutations(claims):
        found = id_owners(order)  # type: ignore[arg-type]  # each claim has two ids
        assert {each: owner for each, owner in found.owners.items() if each != owner} == joined
        assert found.contested == {each: tuple(by.split()) for each, by in contested.items()}


@settings(max_examples=300, deadline=None)
@given(
    claims=claim_sets,
    decisions=st.lists(st.tuples(ids, ids), max_size=4),
    data=st.data(),
)
def test_only_decisions_count_for_an_id_that_an_operator_decided_about(
    claims: list[tuple[str, str]], decisions: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Out: `claimants.update`."""
    decided = {each for _, each in decisions}
    counting = set(decisions) | {claim for claim in claims if claim[1] not in decided}
    owners, contested = by_the_rule(counting)
    found = id_owners(claims, data.draw(st.permutations(decisions)))
    for each in {*owners, *(claimed for _, claimed in claims)}:
        assert found.of(each) == owners.get(each, each)
    assert found.contested == contested


DECIDED: dict[str, tuple[str, str, str, str]] = {
    # name: claims, decisions, owner of 17, contested ids
    "one of two claimants": ("S05-17 S06-17", "S05-17", "S05", ""),
    "somebody whom no list names": ("S05-17", "S07-17", "S07", ""),
    "nobody else": ("S05-17", "17-17", "17", ""),
    "nobody else, and the claims of the id stay": ("S05-17 17-x", "17-17", "17", ""),
    "two decisions that differ": ("S05-17", "S05-17 S06-17", "17", "17"),
}


@pytest.mark.parametrize("name", DECIDED)
def test_a_decision_gives_a_contested_id_to_one_person(name: str) -> None:
    claims, decisions, owner, contested = DECIDED[name]
    found = id_owners(pairs(claims), pairs(decisions))
    assert found.of("17") == owner
    assert " ".join(found.contested) == contested


def pairs(text: str) -> list[tuple[str, str]]:
    found = []
    for each in text.split():
        person, claimed = each.split("-")
        found.append((person, claimed))
    return found


def test_two_hundred_claims_to_0_join_nobody() -> None:
    found = id_owners((f"S{number}", "0") for number in range(200))
    assert all(each == owner for each, owner in found.owners.items())
    assert found.contested.keys() == {"0"}
    assert len(found.contested["0"]) == 200


def test_long_chains_and_circles_take_seconds_and_not_hours() -> None:
    """Out: the loop in place of recursion."""
    chain = [(f"{number:06}", f"{number + 1:06}") for number in range(100_000)]
    start = time.process_time()
    assert set(id_owners(chain).owners.values()) == {"000000"}
    assert set(id_owners([*chain, ("100000", "000000")]).owners.values()) == {"000000"}
    assert time.process_time() - start < 30
