"""A first page of a teacher: what the browser loads for it. The goal of a load is 150 KB."""

import pytest
from page.test_pages import TERM
from page.visitor import Visitor
from playwright.sync_api import Request

pytestmark = pytest.mark.embedded

MOST_BYTES = 150 * 1024
# There were 37 when the code of each page was parted. The goal is 12, which needs fewer files.
MOST_REQUESTS = 40


def test_the_first_page_loads_what_it_shows_and_no_more(visit: Visitor) -> None:
    """To take the guard out: import a module of `pages/` at the top of main.js, or charts.js in a module of Today."""
    requests: list[Request] = []

    def keep(request: Request) -> None:
        requests.append(request)

    visit.page.on("requestfinished", keep)
    visit.open("today", lang="en", course="ALG", term=TERM)
    loaded_bytes = 0
    for request in requests:
        sizes = request.sizes()
        loaded_bytes += sizes["responseHeadersSize"] + sizes["responseBodySize"]
    paths = [request.url.partition("/ui/")[2].partition("#")[0] for request in requests]
    pages = {path for path in paths if path.startswith("pages/")}
    assert pages == {"pages/today.js", "pages/due.js", "pages/weeks.js"}
    assert [path for path in paths if path.startswith("vendor/") and "js" in path] == []
    assert loaded_bytes <= MOST_BYTES
    assert len(requests) <= MOST_REQUESTS
