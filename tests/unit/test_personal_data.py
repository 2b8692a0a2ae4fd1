"""The registry of personal data is whole: what the code can write is listed, and every entry says what serves it."""

import shared_state_page
from privacy_page import CHINESE, ENGLISH, inventory, page

from edugraph_common.contracts.graph_schema import LABELS, RELATIONSHIPS
from edugraph_common.contracts.personal_data import PLACES, Store, place_of
from edugraph_common.contracts.routes import QUEUES, dead_queue_name
from edugraph_common.runtime.shared_state.job_store import PARTS
from edugraph_common.runtime.shared_state.redis_users import ACCESS, SERVICES, rules_of


def test_the_pages_are_current() -> None:
    for language in (ENGLISH, CHINESE):
        assert language.page.read_text(encoding="utf-8") == page(language), "run: make privacy-page"


def test_the_page_of_shared_state_is_current() -> None:
    written = shared_state_page.PAGE.read_text(encoding="utf-8")
    assert written == shared_state_page.page(), "run: make shared-state-page"


def test_a_row_has_as_many_cells_as_the_head() -> None:
    for language in (ENGLISH, CHINESE):
        assert len({line.count("|") for line in inventory(language).splitlines()}) == 1


def test_every_label_relationship_queue_and_part_of_a_job_is_listed() -> None:
    of_graph = [*(f"{name}.id" for name in (*LABELS, *RELATIONSHIPS))]
    of_jobs = [f"edugraph:job:{{J}}{':' if part else ''}{part}" for part in PARTS]
    of_queues = [name for queue in QUEUES for name in (queue, dead_queue_name(queue))]
    given = {Store.GRAPH: of_graph, Store.REDIS: of_jobs, Store.QUEUES: of_queues}
    missing = [
        place
        for store, places in given.items()
        for place in places
        if place_of(store, place) is None
    ]
    assert missing == []


def test_names_are_used_once_and_patterns_do_not_hide_each_other() -> None:
    assert len({place.name for place in PLACES}) == len(PLACES)
    for place in PLACES:
        for pattern in place.patterns:
            assert place_of(place.store, pattern.replace("*", "x")) is place, pattern


def test_what_is_not_erased_says_why() -> None:
    silent = [
        place.name
        for place in PLACES
        if place.level != "none" and not place.eraser and not place.left
    ]
    assert silent == []


def test_every_key_in_redis_is_used_by_a_service_and_no_service_may_use_all() -> None:
    """The embedded run has no users: nobody else has a broker in Redis."""
    given = {
        name
        for access in ACCESS.values()
        for name in (*access.uses, *access.reads, *access.appends)
    }
    listed = {place.name for place in PLACES if place.store is Store.REDIS}
    assert given == listed - {"redis.embedded_broker"}
    for service in SERVICES:
        keys = {
            rule.partition("~")[2].removesuffix(")") for rule in rules_of(service) if "~" in rule
        }
        assert keys <= {
            pattern for place in PLACES if place.store is Store.REDIS for pattern in place.patterns
        }
        assert not any(pattern.startswith(("*", "edugraph:*")) for pattern in keys)
