"""The analyzer's own tools for its operator: they run here, with this environment's settings, from its package."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edugraph_cli.display import INVALID, stop
from edugraph_common.contracts.findings import KIND_OF_SUBJECT, Subject

if TYPE_CHECKING:
    import redis

    from edugraph_analyzer.estimate import Estimate
    from edugraph_analyzer.settings import AnalyzerSettings


@contextmanager
def analyzer_needed() -> Iterator[None]:
    """Its package is an extra: a client that only sends work does without it."""
    try:
        yield
    except ModuleNotFoundError as absent:
        stop(f"This command needs the analyzer ({absent.name} is missing): install edugraph-cli[analyzer].", INVALID)


def analyzer_settings() -> "AnalyzerSettings":
    from pydantic import ValidationError

    from edugraph_analyzer.settings import AnalyzerSettings

    try:
        return AnalyzerSettings()
    except ValidationError as error:
        wrong = "; ".join(f"{detail['loc'][0]}: {detail['msg']}" for detail in error.errors(include_input=False))
        stop(f"The analyzer's settings cannot be used: {wrong}", INVALID)


@contextmanager
def own_redis() -> "Iterator[redis.Redis]":
    """Raises Retryable when Redis does not answer."""
    import redis

    from edugraph_cli.commands.topology import broker_settings
    from edugraph_common.contracts.errors import Retryable, what
    from edugraph_common.platform.job_store import connect

    with connect(broker_settings().redis_url.get_secret_value(), timeout=4, retries=1) as client:
        try:
            yield client
        except redis.RedisError as error:
            raise Retryable(f"Redis does not answer ({what(error)}); check EDUGRAPH_REDIS_URL.") from error


def estimate_of(subject: Subject, records: Sequence[dict[str, Any]]) -> "Estimate":
    """What is in the cache is left out where EDUGRAPH_REDIS_URL says which Redis has it."""
    from edugraph_analyzer.cache.store import AnswerStore
    from edugraph_analyzer.estimate import estimate
    from edugraph_common.contracts.messages import Analysis

    settings, kind = analyzer_settings(), KIND_OF_SUBJECT[subject]
    packs = [
        Analysis(job_id="estimate", pack=str(start), kind=kind, records=tuple(records[start : start + 100]))
        for start in range(0, len(records), 100)
    ]
    with _redis_if_set() as server:
        if server is None:
            return estimate(packs, settings)
        store = AnswerStore(
            server, ttl_seconds=settings.cache_ttl_seconds, lease_ttl_seconds=settings.lease_ttl_seconds
        )
        return estimate(packs, settings, store.kept)


@contextmanager
def _redis_if_set() -> "Iterator[redis.Redis | None]":
    import os

    if not os.environ.get("EDUGRAPH_REDIS_URL"):
        yield None
        return
    with own_redis() as server:
        yield server
