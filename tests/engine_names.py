"""What answers at an address that tests were given: an embedded engine must not pass for the real one."""

from collections.abc import Callable, Mapping


def rabbitmq(addresses: Mapping[str, str]) -> str:
    import httpx

    with httpx.Client(base_url=addresses["EDUGRAPH_BROKER_MANAGEMENT_URL"], timeout=5) as api:
        return f"{api.get('/api/overview').json()['rabbitmq_version']} (real)"


def redis_server(addresses: Mapping[str, str]) -> str:
    """Valkey also calls itself a Redis, of the version that it was made from."""
    import redis

    with redis.Redis.from_url(addresses["EDUGRAPH_REDIS_URL"], socket_timeout=5) as client:
        told = client.info("server")
    if "valkey_version" in told:
        return f"Valkey {told['valkey_version']} (the embedded engine, not Redis)"
    return f"{told['redis_version']} (real)"


def graph(addresses: Mapping[str, str]) -> str:
    import neo4j

    auth = (addresses["EDUGRAPH_NEO4J_USER"], addresses["EDUGRAPH_NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(addresses["EDUGRAPH_NEO4J_URI"], auth=auth) as driver:
        agent = driver.get_server_info().agent
        if "ArcadeDB" in agent:
            return "ArcadeDB (the embedded engine, not Neo4j)"
        # Neo4j 2026 lists Cypher, too.
        asked = (
            "CALL dbms.components() YIELD name, edition WHERE name = 'Neo4j Kernel' RETURN edition"
        )
        [row] = driver.execute_query(asked).records
    return f"{agent.removeprefix('Neo4j/')} {row['edition']} (real)"


ENGINES: dict[str, tuple[str, Callable[[Mapping[str, str]], str]]] = {
    "RabbitMQ": ("EDUGRAPH_BROKER_MANAGEMENT_URL", rabbitmq),
    "Redis": ("EDUGRAPH_REDIS_URL", redis_server),
    "Neo4j": ("EDUGRAPH_NEO4J_URI", graph),
}
