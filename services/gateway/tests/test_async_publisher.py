"""pika still calls the private method that the async publisher overrides. These tests fail when a new version does not.

docs/adr/0011-async-publisher.md says why the method is overridden and why pika's version is pinned.
"""

import asyncio
import inspect
from importlib.metadata import requires, version
from typing import Any

import pika
from packaging.requirements import Requirement
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.base_connection import BaseConnection

from edugraph_gateway.submission.async_publisher import GatheringConnection

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


class Transport:
    """Keeps what is written to it, write by write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))


def _writes_of_three_frames(
    connection_class: type[AsyncioConnection],
) -> tuple[list[bytes], list[bytes]]:
    """What pika writes when a connection is made and two frames follow, at once and after the turn of the loop."""

    async def run() -> tuple[list[bytes], list[bytes]]:
        transport = Transport()
        connection = connection_class(
            pika.ConnectionParameters(), internal_connection_workflow=False
        )
        connection._proto_connection_made(transport)
        connection._output_marshaled_frames([b"one", b"two"])
        at_once = list(transport.writes)
        await asyncio.sleep(0)
        return at_once, transport.writes

    return asyncio.run(run())


def test_what_pika_writes_in_one_turn_of_the_loop_is_one_write() -> None:
    """Out: `_adapter_emit_data` of GatheringConnection, or its call in pika (the frames are three writes)."""
    at_once, after_the_turn = _writes_of_three_frames(GatheringConnection)
    assert at_once == []
    assert after_the_turn == [PROTOCOL_HEADER + b"onetwo"]


def test_pika_itself_writes_each_frame_alone() -> None:
    """When this fails, pika gathers writes itself, and GatheringConnection can go."""
    at_once, _ = _writes_of_three_frames(AsyncioConnection)
    assert at_once == [PROTOCOL_HEADER, b"one", b"two"]


def test_the_private_method_is_the_one_that_was_looked_at() -> None:
    assert list(inspect.signature(BaseConnection._adapter_emit_data).parameters) == ["self", "data"]
    body = (
        inspect.getsource(BaseConnection._adapter_emit_data).rpartition('"""')[2].partition("#")[0]
    )
    assert body.split() == ["self._transport.write(data)"]


def test_pika_is_pinned_to_versions_that_were_looked_at() -> None:
    wanted: list[Any] = [Requirement(text) for text in requires("edugraph-gateway") or ()]
    (pin,) = (requirement.specifier for requirement in wanted if requirement.name == "pika")
    assert pin.contains(version("pika"))
    assert not pin.contains("1.5.0")
