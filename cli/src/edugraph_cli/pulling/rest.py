"""Requests to the API of a platform: paging, patience with limits, and one sentence for each failure."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from edugraph_cli.pulling.rounds import CannotRead

TIMEOUT_SECONDS = 60.0
MOST_TRIES = 6
LONGEST_PAUSE_SECONDS = 300.0
# Statuses of a server that asks for patience. Canvas answers 403 with this text when the limit of a token is used up.
_FOR_NOW = (429, 502, 503, 504)
_CANVAS_LIMIT = "Rate Limit Exceeded"
_MOST_PAGES = 100_000

Row = dict[str, Any]


class RestApi:
    """The API of a platform at an address. Each request carries the token; it is sent to this address only.

    `accept` is the media type of the answers.
    """

    def __init__(self, address: str, token: SecretStr, *, accept: str = "application/json") -> None:
        self._address = address.rstrip("/")
        self._http = httpx.Client(
            headers={
                "Authorization": f"Bearer {token.get_secret_value()}",
                "Accept": accept,
            },
            timeout=TIMEOUT_SECONDS,
        )

    def pages(self, path: str, parameters: Mapping[str, str | list[str]]) -> Iterator[Any]:
        """Yield the JSON of each page, following the links to the next one. Raises CannotRead."""
        url = f"{self._address}{path}"
        asked: Mapping[str, str | list[str]] | None = parameters
        for _ in range(_MOST_PAGES):
            answer = self._answer(url, asked)
            try:
                yield answer.json()
            except ValueError:
                raise CannotRead(f"{url} did not answer with JSON.") from None
            following = answer.links.get("next", {}).get("url")
            if following is None:
                return
            url = str(answer.url.join(following))
            # The link has the parameters of the next page.
            asked = None
            if _origin(url) != _origin(self._address):
                raise CannotRead(
                    f"{self._address} links to another server for its next page; the token is not sent there."
                )
        raise CannotRead(f"{self._address}{path} has more than {_MOST_PAGES:,} pages.")

    def _answer(self, url: str, parameters: Mapping[str, str | list[str]] | None) -> httpx.Response:
        """Return an answer with a status of success. A server that asks for patience is asked again."""
        place = url.split("?", maxsplit=1)[0]
        reason = ""
        for number in range(MOST_TRIES):
            try:
                # Empty parameters would replace those that the address itself has.
                answer = self._http.get(url, params=parameters or None)
            except httpx.HTTPError as error:
                reason = f"it does not answer ({type(error).__name__})"
                self._pause(number, None)
                continue
            is_limit = answer.status_code == 403 and _CANVAS_LIMIT in answer.text
            if answer.status_code in _FOR_NOW or is_limit:
                reason = f"it answers {answer.status_code}"
                self._pause(number, answer)
                continue
            if answer.status_code in (401, 403):
                raise CannotRead(f"{place} refuses the token ({answer.status_code}).")
            if not answer.is_success:
                raise CannotRead(f"{place} answers {answer.status_code}.")
            return answer
        raise CannotRead(f"{place} cannot be read now: {reason}.")

    def _pause(self, number: int, answer: httpx.Response | None) -> None:
        """Wait before the next try: as the server asks, or else 1, 2, 4, … seconds."""
        if number == MOST_TRIES - 1:
            return
        seconds = float(2**number)
        if answer is not None:
            asked_seconds = retry_after_seconds(answer.headers.get("retry-after", ""), time.time())
            if asked_seconds is not None:
                seconds = asked_seconds
        wait(min(seconds, LONGEST_PAUSE_SECONDS))


def wait(seconds: float) -> None:
    """Wait before a request is sent again. Tests replace this function."""
    time.sleep(seconds)


def retry_after_seconds(header: str, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, as a number or a date, or None. `now` is in epoch seconds."""
    text = header.strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - now, 0.0)
    except (ValueError, TypeError):
        return None


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def rows_with(page: Any, fields: Sequence[str], what: str) -> list[Row]:
    """Return the rows of a page. Raises CannotRead if one of them lacks a field: the platform has changed its API."""
    if not isinstance(page, list):
        raise CannotRead(
            f"The platform does not answer with a list of {what}; its API has changed."
        )
    for row in page:
        lacking = [name for name in fields if not isinstance(row, dict) or name not in row]
        if lacking:
            raise CannotRead(
                f"The platform sends {what} without {', '.join(lacking)}; its API has changed."
            )
    return page


def access_token(
    token_url: str, form: Mapping[str, str], credentials: tuple[str, str] | None = None
) -> SecretStr:
    """Ask for an access token (OAuth 2), and return it. Raises CannotRead."""
    try:
        with httpx.Client(timeout=TIMEOUT_SECONDS, auth=credentials) as http:
            answer = http.post(token_url, data=dict(form))
    except httpx.HTTPError as error:
        raise CannotRead(f"{token_url} does not answer ({type(error).__name__}).") from None
    try:
        token = answer.json()["access_token"]
    except (ValueError, KeyError, TypeError):
        token = None
    if not answer.is_success or not isinstance(token, str):
        raise CannotRead(f"{token_url} gives no token: it answers {answer.status_code}.")
    return SecretStr(token)


def secret_from_environment(name: str) -> SecretStr:
    """Return the token in a variable, or in the file that the variable with _FILE at its end names.

    Raises CannotRead.
    """
    value = text_from_environment(name)
    if not value or not value.isascii() or not value.isprintable():
        raise CannotRead(
            f"Set {name} to the token of the platform, or {name}_FILE to a file with it."
        )
    return SecretStr(value)


def text_from_environment(name: str) -> str:
    """Return the text in a variable or in the file that is named for it, or an empty one. Raises CannotRead."""
    value = os.environ.get(name, "")
    file = os.environ.get(f"{name}_FILE", "")
    if not value and file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise CannotRead(f"The file that {name}_FILE names cannot be read.") from None
    return value
