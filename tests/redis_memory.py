"""To fill a Redis to its last byte, and to give it room again."""

import pytest
import redis
from redis.exceptions import OutOfMemoryError


def fill(client: "redis.Redis") -> None:
    """Leave no room for whatever needs memory."""
    # Most of what it holds, and made there: half of the memory in use now must be less than what stays for good,
    # whatever buffers clients give back.
    client.setrange("ballast", 8_000_000, "x")
    # Memory that clients and buffers give back must not become room meanwhile.
    client.config_set("maxmemory", str(int(client.info("memory")["used_memory"]) // 2))
    with pytest.raises(OutOfMemoryError):
        client.set("one more", "x")


def give_room(client: "redis.Redis", maxmemory: str) -> None:
    """Take back what `fill` did."""
    client.config_set("maxmemory", maxmemory)
    client.delete("ballast")
