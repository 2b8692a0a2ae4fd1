"""A browser at the page. What must never happen fails the test at its end: an error of the console, a violation of the
policy, or a request to another server.
"""

from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize

DESKTOP = ViewportSize(width=1280, height=800)


def _values(state: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value)}" for name, value in state.items())


class Visitor:
    """`key` goes with what the test itself asks of the API; the browser has only what is typed into it."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser, self.address = browser, address
        self.wrong: list[str] = []
        self.allowed: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        self._context = self._browser.new_context(
            viewport=DESKTOP, locale="en-GB", accept_downloads=True
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error('policy', e.violatedDirective, e.blockedURI))"
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._context.close()
        if kind is None and self.wrong:
            pytest.fail("; ".join(self.wrong))

    def open(self, page: str, **state: str) -> Page:
        """Show a page and wait until all of its answers are there."""
        if self.page.url.startswith(self.address):  # a change after the # alone would load nothing
            self.page.goto("about:blank")
        self.page.goto(f"{self.address}/ui/#{page}?{_values(state)}")
        return self.ready()

    def add(self, **state: str) -> None:
        """Add to what the address says, as a link of the page does. The page is not loaded again."""
        self.page.evaluate("more => { location.hash += `&${more}`; }", _values(state))

    def ready(self) -> Page:
        """Wait until nothing is asked any more."""
        # A click that changes the address queues an event. Until the page has handled that, it is the old page that is
        # ready. A message to itself is handled after what was queued before; no timer is used, since tests stop the clock.
        self.page.evaluate(
            "() => new Promise(done => { const { port1, port2 } = new MessageChannel();"
            " port1.onmessage = () => done(); port2.postMessage(''); })"
        )
        self.page.wait_for_selector("main[data-ready]")
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function("() => !document.querySelector('.waits')")
        return self.page

    def answer(self, question: str, key: str = "", **parameters: str) -> dict[str, Any]:
        """What the API itself says."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        found = httpx.get(
            f"{self.address}/v1/insights/{question}", params=parameters, headers=headers
        )
        found.raise_for_status()
        body: dict[str, Any] = found.json()
        return body

    def job_list(self) -> list[dict[str, Any]]:
        """What the gateway at the same address says of its jobs, the newest first."""
        found = httpx.get(f"{self.address}/v1/jobs", params={"limit": 200})
        found.raise_for_status()
        jobs: list[dict[str, Any]] = found.json()["jobs"]
        return jobs

    def values(self, selector: str) -> list[str]:
        """The exact numbers that the elements carry."""
        return [
            str(each.get_attribute("value"))
            for each in self.page.query_selector_all(f"{selector} data")
        ]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(
            each in message.text for each in self.allowed
        ):
            self.wrong.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        where = urlsplit(request.url)
        if f"{where.scheme}://{where.netloc}" != self.address and where.scheme not in {
            "about",
            "blob",
        }:
            self.wrong.append(f"a request to {request.url}")
