"""The Lua scripts that Redis runs for the limiter and the cache: each is one atomic step, in the file of its name."""

from functools import lru_cache
from importlib import resources
from typing import Any

import redis


def run(server: "redis.Redis", name: str, keys: list[str], *arguments: float | str) -> Any:
    """Raises redis.RedisError. The script is sent once and called by its digest after that, by any process."""
    text, digest = _script(name)
    try:
        return server.evalsha(digest, len(keys), *keys, *arguments)
    except redis.exceptions.NoScriptError:
        return server.eval(text, len(keys), *keys, *arguments)


@lru_cache
def _script(name: str) -> tuple[str, str]:
    text = resources.files(__package__ or "").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return text, _sha1(text)


def _sha1(text: str) -> str:
    import hashlib

    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()  # Redis names scripts by it
