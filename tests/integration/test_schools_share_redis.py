"""Two schools on one Redis: each service works with its school's prefix and user, and reaches no other key."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
import redis
from own_redis import own_redis

from edugraph_analyzer.cache.store import AnswerStore, clear, stats
from edugraph_cli.serving import REDIS, with_redis_users
from edugraph_common.contracts.personal_data import PLACES, Store
from edugraph_common.runtime.messaging.celery_app import make_app
from edugraph_common.runtime.service.settings import Settings
from edugraph_common.runtime.shared_state.api_keys import KEYS
from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.job_store import connect, redis_of
from edugraph_common.runtime.shared_state.rate_limiter import RateLimiter
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.runtime.shared_state.redis_users import SERVICES, RedisService

pytestmark = pytest.mark.real
PREFIXES = ("school-a:", "school-b:")
School = dict[RedisService, Settings]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis that two schools and an installation without a prefix share."""
    with own_redis(tmp_path_factory.mktemp("shared"), "64mb") as url:
        yield url


@pytest.fixture(scope="module")
def schools(server: str) -> dict[str, School]:
    """The settings of each school's services, by its prefix."""
    found: dict[str, School] = {}
    for prefix in ("", *PREFIXES):
        passwords = {service: secrets.token_hex(16) for service in SERVICES}
        own = with_redis_users(server, passwords, prefix)
        found[prefix] = {
            service: Settings.model_validate(
                {
                    "broker_url": "amqp://",
                    "redis_url": own[service][REDIS],
                    "redis_key_prefix": prefix,
                    "blob_url": "/blobs",
                }
            )
            for service in SERVICES
        }
    return found


def refused(client: "redis.Redis", *command: str) -> bool:
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return True
    except redis.exceptions.ResponseError:
        return False  # a wrong type: the user may use the key
    return False


@pytest.mark.parametrize("mine", ["", *PREFIXES])
def test_a_user_reaches_no_key_of_another_school(
    schools: dict[str, School], mine: str, server: str
) -> None:
    """Out: `prefix` in any of the four kinds of rules in `rules_of`."""
    del server
    patterns = []
    for place in PLACES:
        if place.store is Store.REDIS:
            patterns += place.patterns
    reached = []
    for service in SERVICES:
        url = schools[mine][service].redis_url.get_secret_value()
        with connect(url) as client:
            for other in ("", *PREFIXES):
                for pattern in patterns:
                    key = f"{other}{pattern.replace('*', 'x')}"
                    if other == mine:
                        if not refused(client, "GET", key):
                            reached.append(key)
                        continue
                    assert refused(client, "GET", key), (service, key)
                    assert refused(client, "RPUSH", key, "x"), (service, key)
                    assert refused(client, "PUBLISH", key, "x"), (service, key)
    assert reached


def test_each_store_puts_the_prefix_before_its_keys(
    schools: dict[str, School], server: str
) -> None:
    """Commands, pipelines, transactions, scripts, locks, scans and Celery's results.

    Out: `execute_command` of the pipeline or of the client, `name_in_redis` in audit.py, or Celery's option.
    """
    school = schools["school-a:"]
    with connect(server) as operator, ExitStack() as open_:
        operator.flushdb()
        clients = {
            service: open_.enter_context(redis_of(settings)) for service, settings in school.items()
        }
        gateway, analyzer, importer = (
            clients["gateway"],
            clients["analyzer"],
            clients["importer"],
        )
        audit = Audit(gateway, "0123456789abcdef")
        for number in range(2):
            audit.record("k1", "student.forget", str(number), datetime.now(UTC))
        assert (audit.verify().entries, audit.verify().fault) == (2, None)
        assert RateLimiter(gateway, 60, 1).take("somebody") == 0
        with gateway.lock("edugraph:reaping", timeout=5), gateway.pipeline() as pipe:
            pipe.watch("edugraph:turns:x")
            assert pipe.get("edugraph:turns:x") is None
            pipe.multi()
            pipe.set("edugraph:turns:x", "1")
            pipe.execute()
        answers = AnswerStore(analyzer, ttl_seconds=60, lease_ttl_seconds=5)
        answers.look("error", ["k"], "me")
        answers.keep("error", "k", {"text": "of school a"})
        assert stats(analyzer).entries == {"error": 1}
        texts = RedisTexts(importer)
        assert list(texts.read(("edugraph:llm:answer:*",))) == ['{"text":"of school a"}']
        app = make_app("edugraph-importer", school["importer"])
        app.backend.store_result("t-1", {"x": 1}, "SUCCESS")
        assert app.backend.get_task_meta("t-1")["result"] == {"x": 1}
        names = set(operator.scan_iter())
        assert names
        assert {name for name in names if not name.startswith("school-a:")} == set()
        # Another school sees none of it.
        with redis_of(schools["school-b:"]["analyzer"]) as other:
            assert stats(other).entries == {}
            assert clear(other) == 0
        assert clear(analyzer) == 1


def test_the_lease_of_an_answer_is_on_its_node(schools: dict[str, School], server: str) -> None:
    """Out: the prefix within the braces of `_lease_key`."""
    with redis_of(schools["school-a:"]["analyzer"]) as client, connect(server) as operator:
        operator.flushdb()
        answers = AnswerStore(client, ttl_seconds=60, lease_ttl_seconds=5)
        answers.look("error", ["k"], "me")
        (lease,) = operator.scan_iter()
        tag = lease[lease.index("{") + 1 : lease.rindex("}")]
        answers.keep("error", "k", {})
        assert set(operator.scan_iter()) == {lease, tag}


def test_the_names_of_users_and_keys_without_the_setting_stay(
    schools: dict[str, School], server: str
) -> None:
    with redis_of(schools[""]["gateway"]) as client:
        assert client.get_connection_kwargs()["username"] == "edugraph-gateway"
        client.set("edugraph:task-owner:x", "1")
        assert client.hgetall(KEYS) == {}
    with connect(server) as operator:
        assert operator.get("edugraph:task-owner:x") == "1"
