"""A Redis of one test alone, with as little memory as the test says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from engines import real_servers
from guard import started_here

from tools.servers.checkout import Checkout
from tools.servers.redis import Redis


class OwnRedis(Redis):
    def given(self) -> None:
        """Whatever Redis the shell knows, this one is started."""


@contextmanager
def own_redis(folder: Path, maxmemory: str, kind: type[OwnRedis] = OwnRedis) -> Iterator[str]:
    """Give its address. It evicts nothing."""
    real_servers()  # skips the test where there are none
    checkout = Checkout(folder)
    checkout.state.mkdir(parents=True, exist_ok=True)
    server = kind(checkout)
    try:
        server.up()
        url = server.addresses()["REDIS_URL"]
        with started_here({"EDUGRAPH_REDIS_URL": url}), redis.Redis.from_url(url) as client:
            client.config_set("maxmemory", maxmemory)
            yield url
    finally:
        server.down()
