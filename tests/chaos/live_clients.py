"""Clients that send live at a steady rate, and send again as an LMS does until they are answered."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

import httpx
from live_load import RECORD_SOURCES, USUAL_SECONDS, XAPI_SOURCES, LiveRequest, requests_of

# A client for each of these. Statements come more often than records. Neighbours share the ids of their records, since
# an id belongs to its source.
CLIENTS = (*XAPI_SOURCES, *XAPI_SOURCES, *XAPI_SOURCES, *RECORD_SOURCES, *RECORD_SOURCES)
SENDS_AGAIN_AFTER = 0.3  # seconds
# A patient client that is not accepted within this time after its first try ends the run with a problem.
PATIENCE_SECONDS = 240.0
# The answers after which a sender tries again. Any other one makes it drop what it has.
TRY_AGAIN = (408, 429, 502, 503, 504)


@dataclass(frozen=True)
class Sent:
    """A request that was sent, and the ids in its answer. `answer` is None if the client never had a good one."""

    request: LiveRequest
    answer: tuple[str, ...] | None

    @property
    def is_accepted(self) -> bool:
        return self.answer is not None


@dataclass
class LiveClients:
    """`headers` are those of each source. `wrong` counts answers that make a sender drop a request.

    `without_answer` counts the tries that ended without an answer: each may have been accepted.
    """

    url: str
    headers: Mapping[str, dict[str, str]]
    seed: int
    rate: float
    sent: list[Sent] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    sent_again: int = 0
    without_answer: int = 0
    longest_stall: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for number, source in enumerate(CLIENTS):
            thread = threading.Thread(target=self._keep_sending, args=(number, source), daemon=True)
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        """Begin no further request, and wait until each that was begun is accepted or given up."""
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS + 60)

    def _keep_sending(self, number: int, source: str) -> None:
        between = len(CLIENTS) / self.rate
        began = time.monotonic()
        with httpx.Client(base_url=self.url) as http:
            for turn, request in zip(count(), requests_of(self.seed, number, source), strict=False):
                # After an outage the client is late, and sends without a pause until it is not.
                if self._ending.wait(max(0.0, began + turn * between - time.monotonic())):
                    return
                answer = self._send(http, request)
                with self._lock:
                    self.sent.append(Sent(request, answer))

    def _send(self, http: httpx.Client, request: LiveRequest) -> tuple[str, ...] | None:
        """Return the ids in the answer when the request is accepted, or None when it was given up."""
        began = time.monotonic()
        timeout = request.timeout
        while True:
            answer = self._try(http, request, timeout)
            timeout = USUAL_SECONDS
            waited = time.monotonic() - began
            if answer is not None and answer.status_code in (200, 202):
                with self._lock:
                    self.longest_stall = max(self.longest_stall, waited)
                return _ids(answer, request)
            if answer is not None and self._is_dropped(answer):
                return None
            if not request.is_patient:
                return None
            if waited > PATIENCE_SECONDS:
                with self._lock:
                    self.wrong["never accepted"] += 1
                return None
            with self._lock:
                self.sent_again += 1
            time.sleep(SENDS_AGAIN_AFTER)

    def _try(
        self, http: httpx.Client, request: LiveRequest, timeout: float
    ) -> httpx.Response | None:
        headers = {**self.headers[request.source], "Content-Type": "application/json"}
        try:
            return http.post(request.path, content=request.body, headers=headers, timeout=timeout)
        except httpx.TransportError:
            with self._lock:
                self.without_answer += 1
            return None

    def _is_dropped(self, answer: httpx.Response) -> bool:
        """Return whether a sender drops a request after this answer, and count the answer."""
        if answer.status_code not in TRY_AGAIN:
            with self._lock:
                self.wrong[f"answered {answer.status_code} {answer.text[:200]}"] += 1
            return True
        if answer.status_code == 503 and "Retry-After" not in answer.headers:
            with self._lock:
                self.wrong["503 without Retry-After"] += 1
        return False


def _ids(answer: httpx.Response, request: LiveRequest) -> tuple[str, ...]:
    """Return the ids that an answer names. Records have those that they were sent with."""
    if request.is_xapi:
        return tuple(answer.json())
    return tuple(row["record_id"] for row in request.rows)
