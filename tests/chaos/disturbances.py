"""What chaos does: each kind once, in an order and at moments that the seed decides."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ground import Ground
from proxy import Proxy
from supervised import Supervised

SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 2.5  # seconds between two disturbances
LONGEST_ABSENCE = 4.0  # seconds that a server is away, its start not counted
LONGEST_TROUBLE = 5.0  # seconds that connections are delayed or swallowed
LONGEST_DELAY = 0.2  # seconds


class Disturbance(NamedTuple):
    name: str
    do: Callable[[random.Random], None]


def disturbances(
    ground: Ground, system: Supervised, rng: random.Random, beginnings: Sequence[str] = ("",)
) -> Iterator[Disturbance]:
    """Wait before each disturbance and yield it; the caller does it.

    Only the disturbances whose names start with one of the `beginnings` are yielded: "kill" kills each process and server.
    """
    all_kinds = [
        *_of_processes(system),
        *_within_batches(ground, system),
        *_of_servers(ground),
        *_of_connections(ground),
    ]
    kinds = [kind for kind in all_kinds if kind.name.startswith(tuple(beginnings))]
    rng.shuffle(kinds)
    for kind in kinds:
        time.sleep(rng.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
        yield kind


def _of_processes(system: Supervised) -> Iterator[Disturbance]:
    for name in system.workers:
        yield Disturbance(f"kill {name}", partial(_kill, system, name))
        yield Disturbance(f"kill a child of {name}", partial(system.kill_child, name))
    yield Disturbance("kill gateway", lambda _: system.kill("gateway", children_too=True))


def _kill(system: Supervised, name: str, rng: random.Random) -> None:
    system.kill(name, children_too=rng.random() < 0.5)


def _within_batches(ground: Ground, system: Supervised) -> Iterator[Disturbance]:
    """A batch is written within milliseconds, so a kill at a random moment hardly ever meets one."""
    if "importer" in system.workers:
        yield Disturbance(
            "kill importer within a batch", partial(_kill_within_a_batch, ground, system)
        )


def _kill_within_a_batch(ground: Ground, system: Supervised, rng: random.Random) -> None:
    graph = ground.proxies["neo4j"]
    graph.swallow()
    time.sleep(rng.uniform(1, 2))
    system.kill("importer", children_too=True)
    graph.heal()


def _of_servers(ground: Ground) -> Iterator[Disturbance]:
    for name in ground.servers:
        yield Disturbance(f"kill {name}", partial(_away, ground, name, ground.kill))
        yield Disturbance(f"stop {name}", partial(_away, ground, name, ground.stop))


def _away(ground: Ground, name: str, end: Callable[[str], None], rng: random.Random) -> None:
    end(name)
    time.sleep(rng.uniform(0, LONGEST_ABSENCE))
    ground.up(name)


def _of_connections(ground: Ground) -> Iterator[Disturbance]:
    for name, proxy in ground.proxies.items():
        yield Disturbance(f"cut {name}", partial(_without_chance, proxy.cut))
        yield Disturbance(f"half-open {name}", partial(_without_chance, proxy.half_open))
        yield Disturbance(f"swallow {name}", partial(_for_a_while, proxy.swallow, proxy.heal))
        yield Disturbance(f"delay {name}", partial(_delay, proxy))


def _without_chance(do: Callable[[], None], _: random.Random) -> None:
    do()


def _delay(proxy: Proxy, rng: random.Random) -> None:
    _for_a_while(
        partial(proxy.delay, rng.uniform(0.01, LONGEST_DELAY)), partial(proxy.delay, 0.0), rng
    )


def _for_a_while(begin: Callable[[], None], end: Callable[[], None], rng: random.Random) -> None:
    begin()
    time.sleep(rng.uniform(1, LONGEST_TROUBLE))
    end()
