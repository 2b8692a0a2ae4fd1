"""Flower asks again after the broker lost the node on which it was answered."""

from kombu import Connection

from edugraph_flower.main import make_app


def test_each_question_is_answered_to_a_new_queue() -> None:
    control = make_app({"EDUGRAPH_BROKER_URL": "amqp://"}).control
    with Connection("memory://") as connection:
        first, second = (control.mailbox(connection) for _ in range(2))
    assert first.reply_queue.name == f"{first.oid}.reply.celery.pidbox"
    assert first.reply_queue.routing_key == first.oid
    assert first.oid != second.oid
