"""The analyzer's keys on a Redis that is a node of a cluster: it refuses a command whose keys are in two places."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from analyzer_bench import Provider, chats, pipeline
from own_redis import OwnRedis, own_redis
from waiting import until

from edugraph_cli.processes import free_port

pytestmark = pytest.mark.real
SLOTS = 16_384


class ClusterNode(OwnRedis):
    def _configuration(self, **extra: str) -> str:
        # Without it, the nodes of a cluster talk on the port that is 10,000 higher, which another server may have.
        port_of_cluster = str(free_port())
        cluster = {"cluster-enabled": "yes", "cluster-port": port_of_cluster}
        return super()._configuration(**extra, **cluster)


@pytest.fixture
def node(tmp_path: Path) -> Iterator["redis.Redis"]:
    with own_redis(tmp_path, "32mb", ClusterNode) as url, redis.Redis.from_url(url) as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
        until(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"))
        with pytest.raises(redis.ResponseError, match=r"CROSSSLOT|same slot"):
            client.mset({"one": "1", "two": "2"})
        yield client


def test_a_pack_is_asked_cached_limited_and_paused_on_a_cluster(
    node: "redis.Redis", provider: Provider
) -> None:
    """Out: the braces in a name, or one script for all questions of a pack."""
    name = uuid4().hex
    provider.script(faults=[{"kind": "missing_item", "first": 1}])
    one = pipeline(node, provider, name, tokens_per_minute=10_000_000, budget_per_job=5.0)
    assert len(one.analyse(chats(name, 10)).findings) == 10
    again = one.analyse(chats(name, 10, job=f"{name}-2"))
    assert all(found.origin.cached for found in again.findings)
    provider.script(faults=[{"kind": "429", "retry_after": 30}])
    with pytest.raises(Exception, match="429"):
        one.analyse(chats(name, 1, prefix="other "))
