"""The translation of Redis' exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    OutOfMemoryError,
)

from edugraph_common.contracts.errors import RedisFull, Retryable, what

# Redis' errors for a refused login, and for a command or a key that the user may not use.
LOGIN_ERRORS = (AuthenticationError, AuthorizationError, NoPermissionError)


class LoginRefused(Retryable):
    """Redis answers and refuses the user. The error lasts until an operator repairs the login."""


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise Retryable when Redis does not answer, LoginRefused when it refuses the user, RedisFull when it is full.

    Celery's result backend may also raise an OSError.
    """
    try:
        yield
    except OutOfMemoryError as error:
        raise RedisFull from error
    except LOGIN_ERRORS as error:
        raise LoginRefused(f"Redis refuses the login ({type(error).__name__})") from error
    except (redis.RedisError, OSError) as error:
        raise Retryable(f"Redis does not answer ({what(error)})") from error
