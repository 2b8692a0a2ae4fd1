"""Files and batches of a provider, in the form of OpenAI's Batch API.

No request takes a slot of the rate limiter, because providers count batches separately. Exceptions of the SDK are
translated here. None of them uses up a try of the pack, since a batch may be under way for hours.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import httpx2
import openai

from edugraph_analyzer.llm.access import Access
from edugraph_analyzer.llm.refusals import NOT_FOUND, meaning_of, refusal, retry_after, words_of
from edugraph_analyzer.llm.responses import AnsweredError, Asked, Unreadable, response_of
from edugraph_analyzer.prompting.questions import LLMResponse
from edugraph_common.contracts.errors import ProviderBusy, Refused

# A failure without a Retry-After header is tried again after this time.
_PAUSE_SECONDS = 30.0
# The provider's clock and ours differ by at most this time.
_SKEW_SECONDS = 3_600
# At most this number of entries of a list is read, since a list may never end.
_MOST_LISTED = 1_000
_OK = 200
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})


class NotThere(Exception):
    """The provider has no such file or batch, does not offer batches, or does not accept this form of a batch."""


@dataclass(frozen=True)
class BatchState:
    """The state of a batch. `files` are the ids of the files with its answers, if it is over."""

    is_over: bool
    files: tuple[str, ...]


class ProviderBatches:
    """The files and batches of one key at its endpoint. `sdk` must not retry requests.

    All methods raise Wait, and Refused if the key or the account is at fault.
    """

    def __init__(self, sdk: openai.OpenAI, access: Access, now: Callable[[], float]) -> None:
        self._sdk = sdk
        self._access = access
        self._now = now

    def upload(self, name: str, lines: bytes, kept_seconds: int) -> str:
        """Upload the requests of a batch and return the file's id. Raises NotThere."""
        with self._verdicts():
            file = (_file_name(name), lines, "application/jsonl")
            expiry: Any = {"anchor": "created_at", "seconds": kept_seconds}
            created = self._sdk.files.create(file=file, purpose="batch", expires_after=expiry)
            return _id_of(created)

    def uploads(self, name: str, since: float) -> list[str]:
        """Return the ids of the files that were uploaded under a name. Raises NotThere."""
        found = []
        with self._verdicts():
            files = self._sdk.files.list(purpose="batch", order="desc", limit=100)
            for file in islice(files, _MOST_LISTED):
                if file.created_at < since - _SKEW_SECONDS:
                    break
                if file.filename == _file_name(name):
                    found.append(_id_of(file))
        return found

    def create(self, file_id: str, name: str, kept_seconds: int) -> str:
        """Start a batch and return its id. Raises NotThere if none was started."""
        with self._verdicts():
            expiry: Any = {"anchor": "created_at", "seconds": kept_seconds}
            created = self._sdk.batches.create(
                input_file_id=file_id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"edugraph": name},
                output_expires_after=expiry,
            )
            return _id_of(created)

    def find(self, name: str, since: float) -> str | None:
        """Return the id of the batch that was started under a name, if there is one."""
        with self._verdicts():
            for batch in islice(self._sdk.batches.list(limit=100), _MOST_LISTED):
                if batch.created_at < since - _SKEW_SECONDS:
                    break
                if (batch.metadata or {}).get("edugraph") == name:
                    return _id_of(batch)
        return None

    def look(self, batch_id: str) -> BatchState:
        """Return the state of a batch. Raises NotThere."""
        with self._verdicts():
            batch = self._sdk.batches.retrieve(batch_id)
            is_over = batch.status in _OVER
            files = [each for each in (batch.output_file_id, batch.error_file_id) if each]
            if not all(isinstance(each, str) for each in files):
                raise TypeError("the id of a file is not a text")
        return BatchState(is_over, tuple(files))

    def cancel(self, batch_id: str) -> None:
        """Stop a batch. A batch that is over, or is being stopped, is left as it is."""
        try:
            with self._verdicts():
                self._sdk.batches.cancel(batch_id)
        except NotThere:
            return

    def answers(self, file_id: str, asked_tokens: Mapping[str, int]) -> dict[str, LLMResponse]:
        """Return the responses of a file by the name of their request. Failed requests have none. Raises NotThere.

        `asked_tokens` has the estimated tokens of each request. An answer that is not a chat completion was paid for.
        It is returned as a response without a text.
        """
        found = {}
        with self._verdicts():
            for line in self._sdk.files.content(file_id).iter_lines():
                try:
                    entry = json.loads(line)
                    name = str(entry["custom_id"])
                    http_response = entry["response"]
                    if http_response["status_code"] != _OK:
                        continue
                    body = http_response["body"]
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue
                tokens = asked_tokens.get(name, 0)
                try:
                    found[name] = response_of(body, Asked(tokens))
                except AnsweredError:
                    continue
                except Unreadable as error:
                    found[name] = LLMResponse("", True, tokens, error.output_tokens, estimated=True)
        return found

    def delete(self, file_id: str) -> None:
        """Delete a file. A file that does not exist is ignored."""
        try:
            with self._verdicts():
                self._sdk.files.delete(file_id)
        except NotThere:
            return

    @contextmanager
    def _verdicts(self) -> Iterator[None]:
        """Translate the exceptions of the SDK."""
        try:
            yield
        except openai.APIStatusError as error:
            words = words_of(error.body, error.message)
            meaning = meaning_of(error.status_code, words)
            if meaning in ("limit", "fault"):
                asked_seconds = retry_after(error.response.headers, self._now())
                reason = f"the provider's batches answered {error.status_code}"
                raise ProviderBusy(reason, max(asked_seconds or 0.0, _PAUSE_SECONDS)) from None
            if meaning != "account" or error.status_code == NOT_FOUND:
                raise NotThere from None
            sentence = refusal(error.status_code, words, self._access.name)
            self._access.memory.remember_refusal(self._access.name, sentence)
            raise Refused(sentence) from None
        # The SDK does not check the values of a body, so a value of another type raises one of the others.
        except (
            openai.OpenAIError,
            httpx2.HTTPError,
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
            RecursionError,
        ) as error:
            reason = f"the provider's batches do not answer ({type(error).__name__})"
            raise ProviderBusy(reason, _PAUSE_SECONDS) from None


def _id_of(created: Any) -> str:
    """Return the id of a file or batch. Raises ValueError if the provider gave none."""
    if not isinstance(created.id, str) or not created.id:
        raise ValueError("the id is not a text")
    return created.id


def _file_name(name: str) -> str:
    return f"edugraph-{name}.jsonl"
