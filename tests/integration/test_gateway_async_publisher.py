"""The async publisher on a real broker: many messages on their way, each one confirmed, over connections that fail."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import uvloop
from gateway_alone import virtual_host
from proxy import Proxy

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.messages import ImportBatch
from edugraph_common.runtime.messaging.celery_app import make_publisher
from edugraph_common.runtime.messaging.provisioning import pika_channel
from edugraph_common.runtime.service.settings import Settings
from edugraph_gateway.submission.async_publisher import AsyncPublisher

pytestmark = pytest.mark.real
MESSAGES = 100
TRIES = 50
TIMEOUT_SECONDS = 3.0


@pytest.fixture
def settings() -> Iterator[Settings]:
    with virtual_host() as addresses:
        fields = ("broker_url", "broker_management_url", "redis_url")
        given = {field: addresses[f"EDUGRAPH_{field.upper()}"] for field in fields}
        yield Settings.model_validate({"blob_url": "/tmp", **given})


def with_broker(settings: Settings, *addresses: str) -> Settings:
    given = settings.model_dump()
    return Settings.model_validate({**given, "broker_url": ";".join(addresses)})


def waiting_messages(settings: Settings) -> int:
    with pika_channel(settings) as channel:
        return int(channel.queue_declare("data_import", passive=True).method.message_count)


async def send(publisher: AsyncPublisher, number: int) -> None:
    message = ImportBatch(job_id="j", batch=number, records=())
    await publisher.send("import_batch_task", message, task_id=f"t-{number}")


def run(settings: Settings, act: Callable[[AsyncPublisher], Awaitable[None]]) -> None:
    """Let `act` use a publisher on the event loop of a gateway, and close the publisher."""

    async def run_and_close() -> None:
        publisher = AsyncPublisher(
            make_publisher("test", settings), settings, timeout_seconds=TIMEOUT_SECONDS
        )
        try:
            await act(publisher)
        finally:
            await publisher.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_and_close())


def test_many_messages_are_on_their_way_at_once(settings: Settings) -> None:
    """A confirm comes 0.2 s later here, so one after the other they would take 20 s. Out: a lock around publish."""

    async def send_all(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)  # it connects
        proxy.delay(0.1)
        begun = time.monotonic()
        await asyncio.gather(*(send(publisher, number) for number in range(1, MESSAGES)))
        assert time.monotonic() - begun < TIMEOUT_SECONDS

    with Proxy(settings.broker_url.get_secret_value()) as proxy:
        run(with_broker(settings, proxy.address), send_all)
    assert waiting_messages(settings) == MESSAGES


@pytest.mark.parametrize("fault", [Proxy.cut, Proxy.half_open, Proxy.refuse])
def test_a_lost_connection_refuses_what_waits_and_is_opened_again(
    settings: Settings, fault: Callable[[Proxy], None]
) -> None:
    """Refused messages may be in the queue. Out: `_LOST` in AsyncPublisher.send, `is_closed` in `_opened`."""

    async def lose(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        # Nothing arrives, so all of these wait for their confirm.
        proxy.hold()
        waiting = asyncio.gather(
            *(send(publisher, number) for number in range(1, MESSAGES)), return_exceptions=True
        )
        await asyncio.sleep(0.2)
        begun = time.monotonic()
        fault(proxy)
        assert {type(answer) for answer in await waiting} == {Retryable}
        assert time.monotonic() - begun < TIMEOUT_SECONDS / 2
        if fault is Proxy.refuse:
            with pytest.raises(Retryable):
                await send(publisher, MESSAGES)
        proxy.heal()
        await send(publisher, MESSAGES)

    with Proxy(settings.broker_url.get_secret_value()) as proxy:
        run(with_broker(settings, proxy.address), lose)
    assert waiting_messages(settings) >= 2


def test_a_connection_that_ends_while_nothing_waits_costs_no_message(settings: Settings) -> None:
    """Out: `is_closed` in `_opened` (then the next message is refused)."""

    async def lose(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        proxy.cut()
        await asyncio.sleep(0.5)
        await send(publisher, 1)

    with Proxy(settings.broker_url.get_secret_value()) as proxy:
        run(with_broker(settings, proxy.address), lose)
    assert waiting_messages(settings) == 2


def test_a_request_that_is_cancelled_ends_and_the_others_are_sent(settings: Settings) -> None:
    """Out: BaseException in place of the errors of AsyncPublisher.send (all others lose their connection)."""

    async def cancel(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        proxy.delay(0.3)
        sending = [asyncio.create_task(send(publisher, number)) for number in range(1, 5)]
        await asyncio.sleep(0.1)
        sending[0].cancel()
        answers = await asyncio.gather(*sending, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [None, None, None]

    with Proxy(settings.broker_url.get_secret_value()) as proxy:
        run(with_broker(settings, proxy.address), cancel)


def test_a_silent_node_costs_its_share_of_the_time_and_the_next_one_is_asked(
    settings: Settings,
) -> None:
    """Out: TimeoutError in `_opened`; the time of one node (then the whole time is spent at the silent one)."""

    async def send_twice(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        begun = time.monotonic()
        await send(publisher, 1)
        assert time.monotonic() - begun < TIMEOUT_SECONDS / 2

    address = settings.broker_url.get_secret_value()
    with Proxy(address) as silent:
        silent.swallow()
        run(with_broker(settings, silent.address, address), send_twice)
    assert waiting_messages(settings) == 2


def test_after_a_silent_connection_the_other_node_is_asked(settings: Settings) -> None:
    """Out: `_give_up` after a time-out."""

    async def lose(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        first.swallow()
        with pytest.raises(Retryable, match="did not confirm"):
            await send(publisher, 1)
        begun = time.monotonic()
        await send(publisher, 2)
        assert time.monotonic() - begun < TIMEOUT_SECONDS / 2

    address = settings.broker_url.get_secret_value()
    with Proxy(address) as first:
        run(with_broker(settings, first.address, address), lose)
    assert waiting_messages(settings) == 2


def test_a_connection_that_is_given_up_refuses_what_waits_on_it(settings: Settings) -> None:
    """The second message waits for a second less. Out: `_LOST` in AsyncPublisher.send."""

    async def lose(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)
        proxy.swallow()
        first = asyncio.create_task(send(publisher, 1))
        await asyncio.sleep(1)
        second = asyncio.create_task(send(publisher, 2))
        answers = await asyncio.gather(first, second, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Retryable}

    with Proxy(settings.broker_url.get_secret_value()) as proxy:
        run(with_broker(settings, proxy.address), lose)


def test_a_node_that_hangs_up_before_its_greeting_is_passed_over(settings: Settings) -> None:
    """Out: StopAsyncIteration in `_LOST`."""

    async def send_past(publisher: AsyncPublisher) -> None:
        await send(publisher, 0)

    async def send_nowhere(publisher: AsyncPublisher) -> None:
        # The library raises another error if the end comes a moment later.
        for _ in range(TRIES):
            with pytest.raises(Retryable):
                await send(publisher, 1)

    def hang_up() -> None:
        with suppress(OSError):
            while True:
                listener.accept()[0].close()

    address = settings.broker_url.get_secret_value()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=hang_up, daemon=True).start()
        port = listener.getsockname()[1]
        rude = urlsplit(address)._replace(netloc=f"127.0.0.1:{port}").geturl()
        run(with_broker(settings, rude, address), send_past)
        run(with_broker(settings, rude), send_nowhere)
        listener.shutdown(socket.SHUT_RDWR)
    assert waiting_messages(settings) == 1


def test_a_message_without_a_queue_is_refused_and_others_are_sent(settings: Settings) -> None:
    """Out: `mandatory` or `on_return_raises`: the message would be lost with a confirm."""
    with pika_channel(settings) as channel:
        channel.queue_delete("import_splits")

    async def send_both(publisher: AsyncPublisher) -> None:
        batch = ImportBatch(job_id="j", batch=0, records=())
        sending = asyncio.gather(
            *(send(publisher, number) for number in range(10)),
            publisher.send("split_source_task", batch, task_id="lost"),
            return_exceptions=True,
        )
        answers = await sending
        assert answers[:10] == [None] * 10
        assert isinstance(answers[10], Retryable)
        assert "no queue takes this message" in str(answers[10])

    run(settings, send_both)
    assert waiting_messages(settings) == 10
