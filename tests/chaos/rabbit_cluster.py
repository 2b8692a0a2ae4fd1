"""Three RabbitMQ nodes as one cluster on the loopback; each may be killed and started again."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tools import docker
from tools.common import ServerError, write_private
from tools.servers.checkout import Checkout
from tools.servers.rabbitmq import RabbitMQ

NODES = 3
COOKIE = "chaosoftheloopback"  # of the loopback alone; Erlang wants one that all nodes share
PASSWORD = "chaos"
IN_STEP_WITHIN = 60  # seconds from a node's start until it has all that it missed


class Node(RabbitMQ):
    """One of several: the name server and the cookie are those of all."""

    epmd_port: int

    def _env(self, folder: Path) -> dict[str, str]:
        return {**super()._env(folder), "ERL_EPMD_PORT": str(self.epmd_port)}

    @property
    def node(self) -> str:
        return f"edugraph-{self.checkout.id}@localhost"


class Cluster:
    """`urls`: the addresses of all nodes, as EDUGRAPH_BROKER_URL takes them."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = {node.node: node for node in nodes}
        self.urls = ";".join(node.addresses()["AMQP_URL"] for node in nodes)

    @property
    def management(self) -> str:
        """Of a node that runs."""
        running = next(node for node in self.nodes.values() if node.running())
        return running.addresses()["RABBITMQ_MANAGEMENT_URL"]

    def leader(self, queue: str) -> str:
        return str(self._queue(queue)["leader"])

    def at(self, port: int) -> str:
        """The node that listens for AMQP on this port."""
        return next(
            name
            for name, node in self.nodes.items()
            if urlsplit(node.addresses()["AMQP_URL"]).port == port
        )

    def kill(self, node: str) -> None:
        self.nodes[node].kill()

    def start(self, node: str) -> None:
        """Returns when every queue has all its members again."""
        self.nodes[node].up()
        end = time.monotonic() + IN_STEP_WITHIN
        while not self._in_step() and time.monotonic() < end:
            time.sleep(0.2)

    def _in_step(self) -> bool:
        with (
            suppress(httpx.HTTPError, KeyError),
            httpx.Client(base_url=self.management, timeout=5) as api,
        ):
            queues = api.get("/api/queues/%2F").raise_for_status().json()
            return all(
                len(queue["online"]) == NODES for queue in queues if queue["type"] == "quorum"
            )
        return False

    def _queue(self, queue: str) -> dict[str, Any]:
        with httpx.Client(base_url=self.management, timeout=10) as api:
            return dict(api.get(f"/api/queues/%2F/{quote(queue)}").raise_for_status().json())


@contextmanager
def rabbit_cluster(folder: Path) -> Iterator[Cluster]:
    if docker.answers():
        raise ServerError(
            "the cluster is made of Debian's packages; here a Docker daemon would be used"
        )
    nodes = [_node(folder / f"node-{number}") for number in range(1, NODES + 1)]
    with ExitStack() as ending:
        for node in nodes:
            node.epmd_port = nodes[0].port["epmd"]
            ending.callback(_away, node)
            _away(node)
            _with_cookie(node)
            node.up()
        for node in nodes[1:]:
            _join(node, nodes[0].node)
        yield Cluster(nodes)


def _node(folder: Path) -> Node:
    checkout = Checkout(folder)
    checkout.state.mkdir(parents=True, exist_ok=True)
    checkout.ports()
    write_private(checkout.state / "rabbitmq.password", PASSWORD)
    return Node(checkout)


def _with_cookie(node: Node) -> None:
    cookie = node.checkout.folder(node.name) / ".erlang.cookie"
    write_private(cookie, COOKIE)
    cookie.chmod(0o400)


def _join(node: Node, first: str) -> None:
    for command in (["stop_app"], ["reset"], ["join_cluster", first], ["start_app"]):
        if node.control("rabbitmqctl", ["--quiet", *command]):
            raise ServerError(
                f"{node.node} could not join {first}: rabbitmqctl {command[0]} failed"
            )


def _away(node: Node) -> None:
    node.kill()
    node.down()
    node.wipe()
