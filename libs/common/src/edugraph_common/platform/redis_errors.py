"""Redis' exceptions, translated once."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, OutOfMemoryError

from edugraph_common.contracts.errors import RedisFull, Retryable, what

# What Redis says to a login that it does not take, and to a command or a key that the user may not use.
LOGIN_ERRORS = (AuthenticationError, AuthorizationError, NoPermissionError)


class LoginRefused(Retryable):
    """Redis answers, and refuses the user. It lasts until an operator repairs the login."""


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raises Retryable when Redis does not answer, LoginRefused when it refuses the user, RedisFull without room.

    An OSError is one that Celery's result backend lets through.
    """
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull from error
    except LOGIN_ERRORS as error:
        raise LoginRefused(f"Redis refuses the login ({type(error).__name__})") from error
    except (redis.RedisError, OSError) as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
