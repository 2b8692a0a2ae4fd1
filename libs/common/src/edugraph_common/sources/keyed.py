"""Gives rows the keys of their source. Every later part reads an id of a record as one key."""

from typing import Any, overload

from edugraph_common.contracts.record_keys import LONGEST_KEY, key_in_source
from edugraph_common.contracts.records import InvalidRecord, PostRecord, Record, Withdrawal


@overload
def keyed(row: Record, source: str) -> Record: ...


@overload
def keyed(row: Withdrawal, source: str) -> Withdrawal: ...


def keyed(row: Record | Withdrawal, source: str) -> Record | Withdrawal:
    """Return a record or a withdrawal as one of this source.

    Ids of records and threads, and ids of answered posts, belong to the source. Raises InvalidRecord if an id is too
    long together with the name of the source.
    """
    record_id = _key("record_id", source, row.record_id)
    if isinstance(row, Withdrawal):
        return row.model_copy(update={"record_id": record_id})
    changes: dict[str, Any] = {"record_id": record_id}
    if isinstance(row.data, PostRecord):
        changes["data"] = _keyed_post(row.data, source)
    if all(getattr(row, name) == value for name, value in changes.items()):
        return row
    # A copy would keep the cached properties of the record, and one of them contains its id.
    fields = {name: getattr(row, name) for name in Record.model_fields}
    return Record.model_construct(**{**fields, **changes})


def _keyed_post(post: PostRecord, source: str) -> PostRecord:
    changes = {}
    if post.thread_id is not None:
        changes["thread_id"] = _key("data.thread_id", source, post.thread_id)
    if post.reply_to is not None:
        changes["reply_to"] = _key("data.reply_to", source, post.reply_to)
    return post.model_copy(update=changes)


def _key(field: str, source: str, an_id: str) -> str:
    key = key_in_source(source, an_id)
    if len(key) > LONGEST_KEY:
        most = LONGEST_KEY - len(key) + len(an_id)
        raise InvalidRecord(
            field, f"at most {most} characters", an_id, f"is too long for the source {source}"
        )
    return key
