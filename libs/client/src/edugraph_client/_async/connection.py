"""Requests to gateway and insights: the address, the key, what is refused, and what is sent again."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import IO, Any, TypeVar, cast

import httpx
from pydantic import BaseModel
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

from edugraph_client import _async_io as io
from edugraph_client.errors import is_for_now, pause_seconds, refusal, unreachable
from edugraph_client.files import CHUNK_BYTES
from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.doors import is_of_insights

M = TypeVar("M", bound=BaseModel)

TRIES = 4  # of a submission


class FileBody:
    """A file as the body of a request, which begins anew each time that it is sent, if the file can."""

    def __init__(self, file: IO[bytes], sent: Callable[[int], None]) -> None:
        self._file, self._told = file, sent
        self._begin = file.tell() if file.seekable() else None
        self._sent = 0

    @property
    def once(self) -> bool:
        return self._begin is None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._begin is not None:
            self._file.seek(self._begin)
        self._told(-self._sent)
        self._sent = 0
        while chunk := await io.read(self._file, CHUNK_BYTES):
            yield chunk
            self._sent += len(chunk)
            self._told(len(chunk))


class AsyncConnection:
    """Holds connections. Every request raises Refused or Unreachable."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        insights_url: str,
        *,
        sleep: io.Sleep,
        clock: Callable[[], float],
        new_key: Callable[[], str],
    ) -> None:
        self._http, self._insights = http, insights_url
        self.sleep, self.clock, self._new_key = sleep, clock, new_key

    async def close(self) -> None:
        await self._http.aclose()

    async def submit(self, path: str, *, body: FileBody | None = None, **request: Any) -> Accepted:
        """Send work, again while the gateway is away or has too much of it. It is done once.

        The gateway knows it by its Idempotency-Key. What can be read only once, such as a pipe, is sent once.
        """
        headers = {**request.pop("headers", {}), "Idempotency-Key": self._new_key()}
        content = {"content": body} if body else {}
        tries = AsyncRetrying(
            retry=retry_if_exception(is_for_now),
            stop=stop_after_attempt(1 if body and body.once else TRIES),
            wait=pause_seconds,
            sleep=self.sleep,
            reraise=True,
        )
        accepted: Accepted = await tries(self.model, Accepted, path, "POST", headers=headers, **content, **request)
        return accepted

    async def model(self, model: type[M], path: str, method: str = "GET", **request: Any) -> M:
        """Return an answer, without what a newer release says beyond what this client knows."""
        return model.model_validate(await self.json(path, method, **request), extra="ignore")

    async def json(self, path: str, method: str = "GET", **request: Any) -> dict[str, Any]:
        async with self.stream(path, method, **request) as answer:
            return cast("dict[str, Any]", json.loads(await answer.aread()))

    @asynccontextmanager
    async def stream(self, path: str, method: str = "GET", **request: Any) -> AsyncIterator[httpx.Response]:
        """Yield the answer before its body is read. Raises Refused or Unreachable, also while the body is read."""
        # What insights answers is asked at its own address, or at the one that leads to both.
        own = self._insights if is_of_insights(path) else ""
        try:
            async with self._http.stream(method, own + path, **request) as answer:
                if answer.is_error:
                    raise refusal(answer, await answer.aread())
                yield answer
        except httpx.HTTPError as error:
            raise unreachable(own or str(self._http.base_url), error, of_insights=bool(own)) from error


def given(**options: Any) -> Mapping[str, Any]:
    """Return the options that are not None, "" or False."""
    return {name: value for name, value in options.items() if value}
