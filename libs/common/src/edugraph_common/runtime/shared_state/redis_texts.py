"""Rewriting of texts in Redis, for keys of any type. Only erasures in the importer do it."""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import redis

from edugraph_common.runtime.service.redis_errors import redis_errors

_AT_ONCE = 500  # keys

# The script replaces a text only if it is still the text that was read, and keeps its expiry. ARGV: type, field or
# index, old text, new text. An empty new text deletes the old one. It returns 1 if the text was replaced.
_REPLACE = """
local kind, place, old, new = unpack(ARGV)
local reads = {string = {'GET'}, hash = {'HGET', place}, list = {'LINDEX', place}}
local read = reads[kind]
if redis.call(read[1], KEYS[1], unpack(read, 2)) ~= old then return 0 end
if kind == 'hash' then
  if new == '' then redis.call('HDEL', KEYS[1], place) else redis.call('HSET', KEYS[1], place, new) end
elseif kind == 'list' then
  if new == '' then redis.call('LREM', KEYS[1], 1, old) else redis.call('LSET', KEYS[1], place, new) end
elseif new == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], new, 'KEEPTTL') end
return 1
"""

Change = Callable[[str], str]
"""A function that returns the new text for an old one, or an empty text to delete it."""


class RedisTexts:
    """Strings, fields of hashes and entries of lists. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client
        self._replace = client.register_script(_REPLACE)

    def rewrite(self, patterns: Sequence[str], change: Change, *, dry_run: bool = False) -> int:
        """Change the texts of all keys that match one of the patterns, and return the number of changed texts.

        With `dry_run` nothing is changed. A text that another process changes meanwhile is read again.
        """
        changed = 0
        with redis_errors():
            for pattern in patterns:
                for key, kind in self._keys(pattern):
                    for place, text in list(self._texts(key, kind)):
                        changed += self._changed(key, kind, place, text, change, dry_run=dry_run)
        return changed

    def read(self, patterns: Sequence[str]) -> Iterator[str]:
        """Yield the texts of all keys that match one of the patterns."""
        with redis_errors():
            for pattern in patterns:
                for key, kind in self._keys(pattern):
                    yield from (text for _, text in self._texts(key, kind))

    def _keys(self, pattern: str) -> Iterator[tuple[str, str]]:
        names = list(
            dict.fromkeys(cast("list[str]", self._redis.scan_iter(match=pattern, count=_AT_ONCE)))
        )
        for start in range(0, len(names), _AT_ONCE):
            page = names[start : start + _AT_ONCE]
            pipe = self._redis.pipeline(transaction=False)
            for name in page:
                pipe.type(name)
            yield from zip(page, cast("list[str]", pipe.execute()), strict=True)

    def _texts(self, key: str, kind: str) -> Iterator[tuple[str, str]]:
        if kind == "string":
            text = cast("str | None", self._redis.get(key))
            if text is not None:
                yield "", text
        elif kind == "hash":
            yield from cast(
                "Iterator[tuple[str, str]]", self._redis.hscan_iter(key, count=_AT_ONCE)
            )
        elif kind == "list":
            entries = cast("list[str]", self._redis.lrange(key, 0, -1))
            # The last entry comes first, so that a deleted entry does not move those that follow.
            for index in reversed(range(len(entries))):
                yield str(index), entries[index]

    def _changed(
        self, key: str, kind: str, place: str, text: str, change: Change, *, dry_run: bool
    ) -> bool:
        while True:
            new = change(text)
            if new == text:
                return False
            if dry_run or self._replace([key], [kind, place, text, new]):
                return True
            # Another process has changed the text meanwhile.
            current = dict(self._texts(key, kind)).get(place)
            if current is None:
                return False
            text = current
