"""Answers are kept out of caches, unless a route says otherwise."""

import pytest
from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from edugraph_common.runtime.service.http_headers import NotStored


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()

    @app.get("/answer")
    def answer() -> dict[str, str]:
        return {"student": "made up"}

    @app.get("/file")
    def file() -> Response:
        return Response("text", headers={"Cache-Control": "no-cache"})

    app.add_middleware(NotStored)
    return TestClient(app)


@pytest.mark.parametrize("path", ["/answer", "/no-such-route"])
def test_an_answer_is_not_stored(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == (
        "no-store, private",
        "nosniff",
    )


def test_a_route_may_say_how_long_it_is_kept(client: TestClient) -> None:
    assert client.get("/file").headers.get_list("cache-control") == ["no-cache"]
