"""A connector for OneRoster by REST, 1.1 and 1.2: classes, their members and terms.

The lists are read as a whole, since an enrollment names its user and its class by ids only. They are submitted if
something has changed. https://www.imsglobal.org/spec/oneroster/v1p2
"""

import csv
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr

from edugraph_cli.pulling.rest import RestApi, Row, access_token, rows_with
from edugraph_cli.pulling.rounds import CannotRead, Part, file_of, short_hash
from edugraph_common.sources.ndjson import MalformedFile
from edugraph_common.sources.oneroster import RosterSettings, read_roster

_ROWS_OF_A_PAGE = 1_000
# Name of a list -> the fields that each row must have.
_LISTS: Mapping[str, Sequence[str]] = {
    "academicSessions": (
        "sourcedId",
        "status",
        "dateLastModified",
        "title",
        "startDate",
        "endDate",
    ),
    "users": ("sourcedId", "status", "dateLastModified", "givenName", "familyName"),
    "classes": ("sourcedId", "status", "dateLastModified", "title", "course", "terms"),
    "enrollments": ("sourcedId", "status", "dateLastModified", "user", "class", "role"),
}
# Name of a column -> the field with a link, or a list of links, to other objects.
_LINKS = {
    "userSourcedId": "user",
    "classSourcedId": "class",
    "courseSourcedId": "course",
    "termSourcedIds": "terms",
}


@dataclass(frozen=True)
class OneRoster:
    """The rosters of a system. `address` ends before /users."""

    api: RestApi
    address: str
    settings: RosterSettings

    def parts(self, _places: Mapping[str, str]) -> Iterator[Part]:
        """Yield the roster. Raises CannotRead."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as packed:
            for name, fields in _LISTS.items():
                packed.writestr(f"{name}.csv", _as_csv(self._rows(name, fields)))
        try:
            roster = read_roster(archive, self.settings)
        except MalformedFile as problem:
            raise CannotRead(f"The roster cannot be read: {problem}.") from None
        lines = []
        for record in sorted(roster.records, key=lambda each: str(each["record_id"])):
            lines.append(json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n")
        if lines:
            place = short_hash(self.address, self.settings.person_key)
            yield Part(place, short_hash(*lines), "roster", partial(file_of, lines), "ndjson")

    def _rows(self, name: str, fields: Sequence[str]) -> list[Row]:
        """Return all rows of a list. A server may send fewer rows than it was asked for, and no link to the next."""
        found: list[Row] = []
        while True:
            asked = {"limit": str(_ROWS_OF_A_PAGE), "offset": str(len(found))}
            page = next(self.api.pages(f"/{name}", asked))
            listed = page.get(name) if isinstance(page, dict) else None
            rows = rows_with(listed, fields, name)
            if not rows:
                return found
            if found and rows[0]["sourcedId"] == found[0]["sourcedId"]:
                raise CannotRead(
                    f"The server sends the first page of {name} again; it ignores offset."
                )
            found += rows


def _as_csv(rows: Sequence[Row]) -> str:
    """Return rows in the form of a OneRoster file."""
    flat = [_flat(row) for row in rows]
    columns: dict[str, None] = {}
    for row in flat:
        columns.update(dict.fromkeys(row))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _flat(row: Row) -> dict[str, str]:
    """Return the texts of a row, and the ids of the objects that it links to."""
    flat = {name: value for name, value in row.items() if isinstance(value, str)}
    for column, name in _LINKS.items():
        links = row.get(name)
        if isinstance(links, dict):
            links = [links]
        if isinstance(links, list):
            ids = [str(link.get("sourcedId", "")) for link in links if isinstance(link, dict)]
            flat[column] = ",".join(ids)
    return flat


def token_of_client(
    token_url: str, client_id: SecretStr, client_secret: SecretStr, scope: str
) -> SecretStr:
    """Return an access token for the credentials of a client (OAuth 2). Raises CannotRead."""
    credentials = (client_id.get_secret_value(), client_secret.get_secret_value())
    form = {"grant_type": "client_credentials", "scope": scope}
    return access_token(token_url, form, credentials)
