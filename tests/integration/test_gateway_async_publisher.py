"""The async publisher on a real broker: many messages on their way, each one confirmed, few writes."""

import asyncio

import pytest
from gateway_alone import virtual_host
from pika.adapters.base_connection import BaseConnection

from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings
from edugraph_gateway.submission.async_publisher import AsyncPublisher

pytestmark = pytest.mark.real
MESSAGES = 200


def test_messages_of_one_turn_of_the_loop_are_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: `_adapter_emit_data` of GatheringConnection (three writes for each message)."""
    write, writes = BaseConnection._adapter_emit_data, []

    def counted(connection: BaseConnection, data: bytes) -> None:
        writes.append(len(data))
        write(connection, data)

    async def publish(settings: Settings) -> int:
        publisher = AsyncPublisher(make_publisher("test", settings), settings, timeout_seconds=10)

        async def send(number: int) -> None:
            message = ImportBatch(job_id="j", batch=number, records=())
            await publisher.send("import_batch_task", message, task_id=f"t-{number}")

        await send(0)  # it connects
        monkeypatch.setattr(BaseConnection, "_adapter_emit_data", counted)
        await asyncio.gather(*(send(number) for number in range(1, MESSAGES)))
        publisher.close()
        return len(writes)

    with virtual_host() as addresses:
        fields = ("broker_url", "broker_management_url", "redis_url")
        settings = Settings.model_validate(
            {
                "blob_url": "/tmp",
                **{field: addresses[f"EDUGRAPH_{field.upper()}"] for field in fields},
            }
        )
        assert asyncio.run(publish(settings)) < MESSAGES / 10
        with pika_channel(settings) as channel:
            assert (
                channel.queue_declare("data_import", passive=True).method.message_count == MESSAGES
            )
