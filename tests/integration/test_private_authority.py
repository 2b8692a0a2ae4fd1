"""TLS to RabbitMQ, Redis and Neo4j with a private authority: SSL_CERT_FILE is all that the services need.

Each client is the services' own, with the settings as the environment gives them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import kombu.pools
import pytest
import redis
import trustme
from engines import CHECKOUT, PRIVACY_SECRET, Engine, missing
from secured_servers import secured_servers

from edugraph_cli.serving import Pools
from edugraph_common.contracts.errors import Retryable, ServerAway
from edugraph_common.contracts.events import Event
from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.runtime.messaging.celery_app import make_app, make_publisher
from edugraph_common.runtime.messaging.provisioning import apply_topology, management, pika_channel
from edugraph_common.runtime.messaging.publisher import emit
from edugraph_common.runtime.shared_state.job_store import Jobs, connect
from edugraph_gateway.settings import GatewaySettings
from edugraph_gateway.submission.async_publisher import AsyncPublisher
from edugraph_importer.graph.driver import Connection, GraphSettings
from edugraph_insights.graph import Graph
from edugraph_insights.settings import InsightsSettings
from tools import docker
from tools.common import ServerError

pytestmark = pytest.mark.real
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
REFUSED_WITHIN = 15  # seconds


def topology_by_pika() -> None:
    with pika_channel(GatewaySettings()):
        pass


def management_api() -> None:
    with management(GatewaySettings()) as api:
        api.get("/api/overview").raise_for_status()


def event_by_celery() -> None:
    event = Event(
        id="e", source="test", type="io.edugraph.batch.completed", subject="s", time=NOW, data={}
    )
    emit(make_publisher("tls", GatewaySettings()), event)


def task_by_the_gateway() -> None:
    async def send() -> None:
        settings = GatewaySettings()
        publisher = AsyncPublisher(make_publisher("tls", settings), settings, timeout_seconds=5)
        await publisher.send(
            "import_batch_task", ImportBatch(job_id="tls", batch=0, records=()), task_id="tls"
        )
        await publisher.close()

    asyncio.run(send())


def jobs_in_redis() -> None:
    Jobs(connect(GatewaySettings().redis_url.get_secret_value())).report("tls", NOW)


def results_of_celery() -> None:
    make_app("tls", GatewaySettings()).backend.client.ping()  # type: ignore[attr-defined] # of the Redis backend


def graph_of_the_importer() -> None:
    read_one(GraphSettings())


def graph_without_routing() -> None:
    settings = GraphSettings()
    read_one(settings.model_copy(update={"uri": settings.uri.replace("neo4j+s", "bolt+s")}))


def read_one(settings: GraphSettings) -> None:
    with closing(Connection(settings)) as connection:
        connection.read("RETURN 1 AS one")


def graph_of_insights() -> None:
    with closing(Graph(InsightsSettings())) as graph:
        graph.answers()


CLIENTS = (
    topology_by_pika,
    management_api,
    event_by_celery,
    task_by_the_gateway,
    jobs_in_redis,
    results_of_celery,
    graph_of_the_importer,
    graph_without_routing,
    graph_of_insights,
)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def addresses(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    if docker.answers():
        pytest.skip("the servers with TLS are made of Debian's packages; here images would be used")
    folder = tmp_path_factory.mktemp("secured")
    try:
        with secured_servers(folder, authority) as addresses:
            yield {**addresses, "EDUGRAPH_BLOB_URL": str(folder / "blobs"), "EDUGRAPH_AUTH": "off"}
    except ServerError as error:
        missing(str(error))


@pytest.fixture
def environment(addresses: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """That of a process, but for the authority. No connection is left from the test before."""
    kombu.pools.reset()
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDUGRAPH_PRIVACY_SECRET", PRIVACY_SECRET)
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = str(tmp_path / "bundle.pem")
    authority.cert_pem.write_to_path(path)
    return path


each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)


@each_client
def test_it_works_with_the_private_authority(
    client: Callable[[], None], environment: pytest.MonkeyPatch, bundle: str
) -> None:
    environment.setenv("SSL_CERT_FILE", bundle)
    apply_topology(make_publisher("tls", GatewaySettings()), GatewaySettings())
    client()


@pytest.mark.usefixtures("environment")
@each_client
def test_it_is_refused_without(client: Callable[[], None]) -> None:
    assert_refused(client)


@each_client
def test_it_is_refused_under_a_name_that_is_not_the_certificates(
    client: Callable[[], None],
    environment: pytest.MonkeyPatch,
    addresses: dict[str, str],
    bundle: str,
) -> None:
    environment.setenv("SSL_CERT_FILE", bundle)
    for name, value in addresses.items():
        environment.setenv(name, value.replace("localhost", "127.0.0.1"))
    assert_refused(client)


def assert_refused(client: Callable[[], None]) -> None:
    began = time.monotonic()
    with pytest.raises(
        (Retryable, ServerAway, redis.ConnectionError),
        match=r"certificate (was refused: .*SSL_CERT_FILE|verify failed)",
    ):
        client()
    assert time.monotonic() - began < REFUSED_WITHIN


def test_an_import_runs_with_tls_to_all_three(
    environment: pytest.MonkeyPatch, addresses: dict[str, str], bundle: str, tmp_path: Path
) -> None:
    environment.setenv("SSL_CERT_FILE", bundle)
    engine = Engine(name="secured", environment=addresses, folder=tmp_path)
    with engine.serve(Pools(importer=1, findings=1, analyzer=1)) as system:
        report = system.import_and_report(CHECKOUT / "examples" / "school_en.ndjson", "--analyze")
        assert report["state"] == "succeeded"
        assert all(check.ok for check in system.client.diagnosis().checks)
