"""What the gateway tells of the queues."""

from prometheus_client import Metric

from edugraph_common.contracts.errors import Retryable
from edugraph_gateway.operations.broker_figures import (
    LOOK_INTERVAL_SECONDS,
    BrokerFigures,
    HeadAge,
    Look,
    QueueFigures,
)


def value(found: list[Metric], name: str, **labels: str) -> float | None:
    for family in found:
        for sample in family.samples:
            if sample.name == f"edugraph_{name}" and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_the_age_of_the_first_message_follows_the_queue() -> None:
    head = HeadAge()
    assert head.age(0, published=0, ready=0) == 0
    assert head.age(10, published=5, ready=5) == 10, (
        "published since the last look, at most 10 s ago"
    )
    assert head.age(20, published=8, ready=8) == 20, "nobody takes: the first still waits"
    assert head.age(30, published=8, ready=3) == 20, (
        "five were taken: the first is one of those seen at 20"
    )
    assert head.age(40, published=8, ready=0) == 0
    assert head.age(50, published=9, ready=1) == 10


def test_a_message_that_came_back_is_as_old_as_it_is() -> None:
    head = HeadAge()
    head.age(0, published=0, ready=0)
    head.age(10, published=5, ready=5)
    head.age(20, published=9, ready=9)
    assert head.age(30, published=9, ready=9) == 30


def test_a_broker_that_counts_anew_is_followed() -> None:
    head = HeadAge()
    head.age(0, published=100, ready=0)
    assert head.age(10, published=2, ready=2) == 0


def test_it_looks_once_in_five_seconds() -> None:
    now, looks = [0.0], [0]

    def look() -> Look:
        looks[0] += 1
        return Look(
            {
                "data_import": QueueFigures(
                    ready=3,
                    dead=1,
                    unacked=2,
                    consumers=0,
                    published=3,
                    redelivered=4,
                    bytes=700,
                    most_bytes=900,
                )
            }
        )

    stored = {"data_import": 4}
    figures = BrokerFigures(look, lambda: stored, clock=lambda: now[0])
    for now[0] in (0, 1, LOOK_INTERVAL_SECONDS - 0.1, LOOK_INTERVAL_SECONDS):
        found = list(figures.collect())
    assert looks[0] == 2
    assert value(found, "broker_read") == 1
    assert value(found, "queue_messages", queue="data_import", state="unacked") == 2
    assert value(found, "queue_consumers", queue="data_import") == 0
    assert value(found, "queue_oldest_seconds", queue="data_import") == LOOK_INTERVAL_SECONDS
    assert value(found, "dead_letters", queue="data_import") == 5
    assert value(found, "queue_bytes", queue="data_import") == 700
    assert value(found, "queue_most_bytes", queue="data_import") == 900
    assert value(found, "queue_redelivered_total", queue="data_import") == 4


def test_letters_are_not_told_where_nobody_knows_how_many_are_stored() -> None:
    def away() -> dict[str, int]:
        raise Retryable("away")

    found = list(
        BrokerFigures(lambda: Look({"data_import": QueueFigures(ready=3, dead=1)}), away).collect()
    )
    assert value(found, "dead_letters", queue="data_import") is None
    assert value(found, "queue_messages", queue="data_import", state="ready") == 3


def test_a_broker_that_is_away_is_said_to_be() -> None:
    def look() -> Look:
        raise Retryable("away")

    found = list(BrokerFigures(look, dict).collect())
    assert [family.name for family in found] == ["edugraph_broker_read"]
    assert value(found, "broker_read") == 0
