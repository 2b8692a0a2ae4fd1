"""Back up Redis and the graph as docs/operations.md describes it by hand, lose the servers, and restore them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import redis
from ground import Ground
from waiting import until

from tools import cache
from tools.servers.neo4j import Neo4j, find_java
from tools.servers.server import clean_env

ADMIN_ENDS_WITHIN_SECONDS = 1_800


def copy_redis(ground: Ground, folder: Path) -> None:
    """Begin a new append-only file, and copy it while no other one is begun."""
    with redis.Redis.from_url(ground.direct["EDUGRAPH_REDIS_URL"]) as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.bgrewriteaof()
        until(lambda: not _rewriting(client), 30)
        shutil.copytree(_folder_of_redis(ground), folder / "appendonlydir")
        client.config_set("auto-aof-rewrite-percentage", 100)


def restore_redis(ground: Ground, folder: Path) -> None:
    """Put the copy into the place of a Redis that does not run, and start it."""
    shutil.copytree(folder / "appendonlydir", _folder_of_redis(ground))
    ground.up("redis")


def dump_graph(ground: Ground, folder: Path) -> None:
    """Stop Neo4j and write `neo4j.dump` into the folder."""
    ground.stop("neo4j")
    neo4j_admin(ground, "database", "dump", "neo4j", f"--to-path={folder}")


def load_graph(ground: Ground, folder: Path) -> None:
    """Replace the graph by `neo4j.dump` of the folder. A new Neo4j starts twice, since its first start sets the password."""
    ground.up("neo4j")
    ground.stop("neo4j")
    load = ("database", "load", "neo4j", f"--from-path={folder}", "--overwrite-destination=true")
    neo4j_admin(ground, *load)
    ground.up("neo4j")


def lose_everything(ground: Ground) -> None:
    """Kill all servers and delete what they hold."""
    for server in ground.servers.values():
        server.kill()
        server.down()
        server.wipe()


def neo4j_admin(ground: Ground, *arguments: str) -> None:
    """Run Neo4j's administration program on the server of the ground, which must not run."""
    server = ground.servers["neo4j"]
    assert isinstance(server, Neo4j)
    jars = cache.folder() / f"neo4j-{server.version}"
    home = server.home
    command = [find_java(17), "-cp", f"{jars}/*", "org.neo4j.cli.AdminTool", *arguments]
    done = subprocess.run(
        command,
        env=clean_env(HOME=str(home), NEO4J_HOME=str(home), NEO4J_CONF=str(home / "conf")),
        capture_output=True,
        text=True,
        check=False,
        timeout=ADMIN_ENDS_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _folder_of_redis(ground: Ground) -> Path:
    return ground.servers["redis"].checkout.folder("redis") / "appendonlydir"


def _rewriting(client: "redis.Redis") -> bool:
    state: dict[str, Any] = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])
