"""The registry of sources in Redis. The gateway writes it and reads it (docs/adr/0106)."""

from datetime import datetime
from typing import TypeGuard, cast

import redis

from edugraph_common.contracts.data_sources import (
    FORMATS_OF_KIND,
    DataSource,
    NewSource,
    SourceCursor,
    SourceSettings,
)
from edugraph_common.contracts.messages import Format
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.runtime.service.redis_errors import redis_errors

SOURCES = "edugraph:sources"
# The names of the sources of accepted imports.
USED = "edugraph:sources-used"


# Name of a source -> its cursor.
CURSORS = "edugraph:source-cursors"


class SourceExists(Exception):
    """There is a source with this name."""


class UnknownSource(Exception):
    """There is no source with this name."""


class KindIsFixed(Exception):
    """The kind of a source with records would change."""


class CursorChanged(Exception):
    """Another caller has written the cursor since this one read it."""


class NotOwnSource(Exception):
    """A caller names a source that is not theirs. The answer does not tell whether the source exists."""


class SeveralSources(Exception):
    """A caller with several sources names none of them. `names` are their sources."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(", ".join(names))
        self.names = names


class WrongFormat(Exception):
    """A source does not take files of this format. The text says which formats it takes."""


class SourceRegistry:
    """The sources in Redis. Each method raises Retryable when Redis does not answer."""

    def __init__(self, client: "redis.Redis") -> None:
        self._redis = client

    def create(self, new: NewSource, now: datetime) -> DataSource:
        """Create a source. Raises SourceExists, also for all but one of concurrent calls."""
        source = DataSource(**new.model_dump(), created=now)
        with redis_errors():
            if not self._redis.hsetnx(SOURCES, new.name, _stored(source)):
                raise SourceExists(new.name)
        return source

    def change(self, name: str, settings: SourceSettings) -> DataSource:
        """Replace the settings of a source. Raises UnknownSource, and KindIsFixed for a source in use."""

        def changed(pipe: "redis.client.Pipeline") -> DataSource:
            text = cast("str | None", pipe.hget(SOURCES, name))
            in_use = bool(pipe.sismember(USED, name))
            if text is None:
                raise UnknownSource(name)
            before = DataSource.model_validate_json(text)
            if in_use and settings.kind != before.kind:
                raise KindIsFixed(before.kind)
            given = settings.model_dump()
            after = DataSource(**given, name=name, created=before.created, in_use=in_use)
            pipe.multi()
            pipe.hset(SOURCES, name, _stored(after))
            return after

        with redis_errors():
            # An import that begins to use the source meanwhile makes the transaction start again.
            return cast(
                "DataSource",
                self._redis.transaction(changed, SOURCES, USED, value_from_callable=True),  # type: ignore[arg-type]  # the stub forgets the value
            )

    def find(self, name: str) -> DataSource | None:
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hget(SOURCES, name)
            pipe.sismember(USED, name)
            text, in_use = pipe.execute()
        if text is None:
            return None
        return DataSource.model_validate_json(text).model_copy(update={"in_use": bool(in_use)})

    def cursor(self, name: str) -> SourceCursor:
        """Return how far a source was pulled. The cursor of a source that was never pulled is empty."""
        with redis_errors():
            text = cast("str | None", self._redis.hget(CURSORS, name))
        if text is None:
            return SourceCursor()
        return SourceCursor.model_validate_json(text)

    def save_cursor(self, name: str, cursor: SourceCursor) -> SourceCursor:
        """Replace the cursor with the version of `cursor`, and return it with the next version.

        Raises CursorChanged if the stored cursor has another version.
        """

        def saved(pipe: "redis.client.Pipeline") -> SourceCursor:
            text = cast("str | None", pipe.hget(CURSORS, name))
            stored = SourceCursor()
            if text is not None:
                stored = SourceCursor.model_validate_json(text)
            if stored.version != cursor.version:
                raise CursorChanged(name)
            after = cursor.model_copy(update={"version": cursor.version + 1})
            pipe.multi()
            pipe.hset(CURSORS, name, after.model_dump_json())
            return after

        with redis_errors():
            return cast(
                "SourceCursor",
                self._redis.transaction(saved, CURSORS, value_from_callable=True),  # type: ignore[arg-type]  # the stub forgets the value
            )

    def all(self) -> list[DataSource]:
        """Return all sources in the order of their names."""
        with redis_errors():
            pipe = self._redis.pipeline()
            pipe.hgetall(SOURCES)
            pipe.smembers(USED)
            texts, used = pipe.execute()
        found = []
        for name in sorted(texts):
            source = DataSource.model_validate_json(texts[name])
            found.append(source.model_copy(update={"in_use": name in used}))
        return found

    def use(
        self,
        client_id: str,
        named: str | None,
        file_format: Format | None,
        *,
        may_any: bool = False,
        is_live: bool = False,
    ) -> DataSource | None:
        """Return the source of work of this client, and note that it is in use. None means the default source.

        An import has a `file_format`. Live work (`is_live`) writes nothing in a source that is paused or observed, so
        the source is not in use by it.

        Raises WrongFormat and the errors of `choose`.
        """

        def usable() -> DataSource | None:
            source = self.choose(client_id, named, may_any=may_any)
            if source is None or file_format is None:
                return source
            formats = FORMATS_OF_KIND[source.kind]
            if file_format not in formats:
                raise WrongFormat(
                    f"The source {source.name} is of the kind {source.kind} and takes "
                    f"{', '.join(sorted(formats))}; the file is sent as {file_format}."
                )
            return source

        def must_be_noted(source: DataSource | None) -> TypeGuard[DataSource]:
            if source is None or source.in_use:
                return False
            return not is_live or source.live == "on"

        def used(pipe: "redis.client.Pipeline") -> DataSource | None:
            source = usable()
            if must_be_noted(source):
                pipe.multi()
                pipe.sadd(USED, source.name)
            return source

        with redis_errors():
            # A source is in use for good. So most work needs one round trip.
            source = usable()
            if not must_be_noted(source):
                return source
            # A source that is changed meanwhile makes the transaction start again.
            return cast(
                "DataSource | None",
                self._redis.transaction(used, SOURCES, value_from_callable=True),  # type: ignore[arg-type]  # the stub forgets the value
            )

    def choose(
        self, client_id: str, named: str | None, *, may_any: bool = False
    ) -> DataSource | None:
        """Return the source of an import of this client. None means the default source.

        A client that `may_any` writes every source, since nobody has to log in. Raises NotOwnSource and
        SeveralSources.
        """
        own = {}
        for source in self.all():
            if may_any or client_id in source.keys:
                own[source.name] = source
        if named in own:
            return own[named]
        if named == DEFAULT_SOURCE and (may_any or not own):
            return None
        if named is not None:
            raise NotOwnSource(named)
        if may_any or not own:
            return None
        if len(own) > 1:
            raise SeveralSources(tuple(own))
        return next(iter(own.values()))

    def analysed_by(self, client_id: str, *, may_any: bool = False) -> tuple[str, ...]:
        """Return the names of the sources whose texts this client may have analysed. `may_any`: see `choose`."""
        own = [source for source in self.all() if may_any or client_id in source.keys]
        names = [source.name for source in own if source.analyse]
        if may_any or not own:
            names.append(DEFAULT_SOURCE)
        return tuple(names)


def _stored(source: DataSource) -> str:
    return source.model_dump_json(exclude={"in_use"})
