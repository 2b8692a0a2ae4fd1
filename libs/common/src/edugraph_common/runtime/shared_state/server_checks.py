"""Checks whether the servers of an importer or analyzer accept its login. Each check has a connection of its own."""

from urllib.parse import unquote, urlsplit

import redis

from edugraph_common.contracts.errors import Retryable, ServerAway, cause_of, what
from edugraph_common.runtime.service.redis_errors import LOGIN_ERRORS
from edugraph_common.runtime.service.settings import RedisSettings
from edugraph_common.runtime.shared_state.job_store import JOBS, redis_of
from edugraph_common.runtime.shared_state.object_store import Blobs

TIMEOUT_SECONDS = 4.0
# The key of a blob that nobody writes.
_ABSENT = "asked-by-a-worker"


def ask_redis(settings: RedisSettings) -> None:
    """Log in to Redis and read one key. Raise ServerAway if Redis does not answer or refuses the user."""
    user = unquote(urlsplit(settings.redis_url.get_secret_value()).username or "")
    try:
        with redis_of(settings, timeout=TIMEOUT_SECONDS, retries=0) as client:
            client.zcard(JOBS)
    except LOGIN_ERRORS as error:
        who = "a login without a user name"
        if user:
            who = f"the user {user}"
        raise ServerAway(
            f"Redis refuses {who} ({type(error).__name__})", "redis", "refused"
        ) from None
    except (redis.RedisError, OSError) as error:
        raise ServerAway(
            f"Redis does not answer ({what(error)})", "redis", cause_of(error)
        ) from None


def ask_blobs(url: str) -> None:
    """Look for a blob. Raise ServerAway if the store does not answer or refuses the credentials."""
    try:
        Blobs(url).exists(_ABSENT)
    except Retryable as error:
        name = type(error.__cause__).__name__
        if isinstance(error.__cause__, PermissionError) or "Credentials" in name:
            raise ServerAway(
                f"the blob store refuses the credentials ({name})", "blobs", "refused"
            ) from None
        raise ServerAway(error.reason, "blobs", cause_of(error)) from None
