"""The owner of each id of a person, as a function of all claims.

- An id that nobody claims owns itself.
- A claimed id belongs to the owner of those who claim it, so chains of claims are followed.
- If they have several owners, the id is contested: nobody knows whose it is, and it owns itself.
- Ids that claim each other in a circle are one person, under the smallest of them. The rules above then hold for all
  ids of the circle together.
- If an operator decided about an id, only decisions count among the claims to this id. A decision can also say that
  an id means nobody else: then the id claims itself.

The result does not depend on the order of the claims. A claim of one person never joins two others: two persons who
claim one id, such as `0` or the address of a family, stay two.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class IdOwners:
    """The owners of all ids in some claims.

    `owners` maps each id to its owner. `contested` maps each contested id to the owners that claim it, sorted.
    """

    owners: Mapping[str, str]
    contested: Mapping[str, tuple[str, ...]]

    def of(self, person_id: str) -> str:
        """Return the owner of any id."""
        return self.owners.get(person_id, person_id)


def id_owners(
    claims: Iterable[tuple[str, str]], decisions: Iterable[tuple[str, str]] = ()
) -> IdOwners:
    """Return the owners that follow from claims and decisions. Each of them is (id of the person, claimed id)."""
    claimants: dict[str, set[str]] = defaultdict(set)  # claimed id -> the persons who claim it
    for person_id, claimed in claims:
        claimants[claimed].add(person_id)
    deciders: dict[str, set[str]] = defaultdict(set)  # decided id -> the persons who get it
    for person_id, decided in decisions:
        deciders[decided].add(person_id)
    claimants.update(deciders)
    owners: dict[str, str] = {}
    contested: dict[str, tuple[str, ...]] = {}
    for circle in _circles(claimants):
        claiming_owners: set[str] = set()
        for member in circle:
            for claimant in claimants.get(member, set()) - circle:
                claiming_owners.add(owners[claimant])
        owner = min(circle)
        if len(claiming_owners) == 1:
            [owner] = claiming_owners
        for member in circle:
            owners[member] = owner
            if len(claiming_owners) > 1:
                contested[member] = tuple(sorted(claiming_owners))
    return IdOwners(owners, contested)


def _circles(claimants: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """Yield the ids that claim each other in a circle together, and each other id alone.

    All claimants of ids come before these ids, or with them. This is the algorithm of Tarjan for strongly connected
    components, without recursion, since a chain of claims may be long.
    """
    visits: dict[str, int] = {}  # id -> its place in the order of visits
    earliest: dict[str, int] = {}  # id -> the earliest visit that is known to be in its circle
    waiting: list[str] = []  # visited ids whose circle is not complete
    complete: set[str] = set()  # ids whose circle was yielded
    for start in sorted(claimants):
        if start in visits:
            continue
        # The ids from the start to the present one, each with its claimants that were not followed yet.
        path: list[tuple[str, Iterator[str]]] = []
        following: str | None = start
        while following is not None or path:
            if following is not None:
                visits[following] = len(visits)
                earliest[following] = visits[following]
                waiting.append(following)
                path.append((following, iter(sorted(claimants.get(following, ())))))
            current, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                if path:
                    before, _ = path[-1]
                    earliest[before] = min(earliest[before], earliest[current])
                if earliest[current] == visits[current]:
                    circle = _taken_until(waiting, current)
                    complete |= circle
                    yield circle
            elif following in visits:
                if following not in complete:
                    earliest[current] = min(earliest[current], visits[following])
                following = None


def _taken_until(waiting: list[str], last: str) -> set[str]:
    """Take ids from the end of a list up to `last`, and return them."""
    taken: set[str] = set()
    while last not in taken:
        taken.add(waiting.pop())
    return taken
