"""The depth of a queue where a Redis or Valkey is the broker, as in the demo."""

from uuid import uuid4

from celery import Celery

from edugraph_common.runtime.messaging.queue_depth import queue_depth


def test_a_queue_without_messages_has_the_depth_zero(redis_url: str) -> None:
    """Out: ChannelError in `look`: such a queue is no key, and each pack of an analysis failed in the demo."""
    name = f"test-{uuid4().hex}"
    app = Celery("depth", broker=redis_url)
    look = queue_depth(app)
    assert look(name) == 0
    with app.connection_for_write() as connection, connection.SimpleQueue(name) as queue:
        queue.put({"some": "thing"})
        assert look(name) == 1
        queue.clear()
    assert look(name) == 0
