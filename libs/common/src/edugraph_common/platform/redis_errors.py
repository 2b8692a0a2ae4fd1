"""Redis' exceptions, translated once."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import OutOfMemoryError

from edugraph_common.contracts.errors import RedisFull, Retryable, what


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raises Retryable when Redis does not answer, RedisFull when it has no room.

    An OSError is one that Celery's result backend lets through.
    """
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull from error
    except (redis.RedisError, OSError) as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
