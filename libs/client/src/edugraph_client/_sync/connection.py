# Made from _async/connection.py by `make sync-client`: change that.
"""Requests to gateway and insights: addresses, refusals, and repetition of submissions."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, TypeVar, cast

import httpx
from pydantic import BaseModel
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from edugraph_client import _sync_io as io
from edugraph_client.errors import is_for_now, pause_seconds, refusal, unreachable
from edugraph_client.files import CHUNK_BYTES
from edugraph_common.contracts.api import Accepted
from edugraph_common.contracts.public_paths import is_of_insights

M = TypeVar("M", bound=BaseModel)

TRIES = 4  # in all, of one submission


class FileBody:
    """A file as the body of a request. It is read from its beginning again for each try, if the file can seek."""

    def __init__(self, file: IO[bytes], sent: Callable[[int], None]) -> None:
        self._file = file
        self._report_sent = sent
        self._begin: int | None = None
        if file.seekable():
            self._begin = file.tell()
        self._sent = 0

    @property
    def once(self) -> bool:
        """Whether the file can be sent only once, such as a pipe."""
        return self._begin is None

    def __iter__(self) -> Iterator[bytes]:
        if self._begin is not None:
            self._file.seek(self._begin)
        self._report_sent(-self._sent)
        self._sent = 0
        while chunk := io.read(self._file, CHUNK_BYTES):
            yield chunk
            self._sent += len(chunk)
            self._report_sent(len(chunk))


class Connection:
    """Connections to gateway and insights. Each request may raise Refused or Unreachable."""

    def __init__(
        self,
        http: httpx.Client,
        insights_url: str,
        *,
        sleep: io.Sleep,
        clock: Callable[[], float],
        new_key: Callable[[], str],
    ) -> None:
        self._http = http
        self._insights_url = insights_url
        self.sleep = sleep
        self.clock = clock
        self._new_key = new_key

    def close(self) -> None:
        self._http.close()

    def submit(self, path: str, *, body: FileBody | None = None, **request: Any) -> Accepted:
        """Submit work. It is sent again while the gateway does not answer or has too much work.

        The gateway accepts a submission once: it knows it by its Idempotency-Key. A file that can be read only once
        is sent only once.
        """
        headers = {"Idempotency-Key": self._new_key(), **request.pop("headers", {})}
        content = {}
        most_tries = TRIES
        if body:
            content["content"] = body
            if body.once:
                most_tries = 1
        tries = Retrying(
            retry=retry_if_exception(is_for_now),
            stop=stop_after_attempt(most_tries),
            wait=pause_seconds,
            sleep=self.sleep,
            reraise=True,
        )
        accepted: Accepted = tries(
            self.model, Accepted, path, "POST", headers=headers, **content, **request
        )
        return accepted

    def model(self, model: type[M], path: str, method: str = "GET", **request: Any) -> M:
        """Return an answer as a model. Fields that only a newer release has are left out."""
        answer = self.json(path, method, **request)
        return model.model_validate(answer, extra="ignore")

    def json(self, path: str, method: str = "GET", **request: Any) -> dict[str, Any]:
        with self.stream(path, method, **request) as answer:
            return cast("dict[str, Any]", json.loads(answer.read()))

    @contextmanager
    def stream(self, path: str, method: str = "GET", **request: Any) -> Iterator[httpx.Response]:
        """Yield the answer before its body is read. Raises Refused or Unreachable, also while the body is read."""
        # Without an address of its own, insights is reached at the same address as the gateway.
        insights_url = ""
        if is_of_insights(path):
            insights_url = self._insights_url
        try:
            with self._http.stream(method, insights_url + path, **request) as answer:
                if answer.is_error:
                    raise refusal(answer, answer.read())
                yield answer
        except httpx.HTTPError as error:
            address = insights_url or str(self._http.base_url)
            raise unreachable(address, error, of_insights=bool(insights_url)) from error


def given(**options: Any) -> Mapping[str, Any]:
    """Return the options without those that are None, empty or False."""
    return {name: value for name, value in options.items() if value}
