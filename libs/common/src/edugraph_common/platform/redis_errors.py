"""Redis' exceptions, translated once."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from edugraph_common.contracts.errors import Retryable, what


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raises Retryable when Redis does not answer. An OSError is one that Celery's result backend lets through."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
