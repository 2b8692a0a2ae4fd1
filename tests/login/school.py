"""A small school behind one address, as in production: Keycloak, gateway, insights and workers, with Caddy before them."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from login.realm import AUDIENCE, CLIENT, PASSWORD, form_action, make_realm
from rich.console import Console

from edugraph_cli.embedded.servers import embedded_servers
from edugraph_cli.front_proxy import start_front_proxy
from edugraph_cli.processes import free_port
from edugraph_cli.progress import follow_job
from edugraph_cli.serving import REDIS, Pools, serving, with_redis_users
from edugraph_client import Client
from edugraph_common.runtime.shared_state.redis_users import SERVICES
from tools.keycloak import running

COURSE = "ALG"
BEGINNING = datetime.now(UTC) - timedelta(days=60)


class School(NamedTuple):
    """`redis` is the address of who may do everything there."""

    url: str
    issuer: str
    redis: str
    logs: Path

    def visitor(self) -> httpx.Client:
        """A browser that has been nowhere. As browsers do, it takes the loopback for a secure place."""
        visitor = httpx.Client(base_url=self.url, follow_redirects=True, timeout=60)

        def send_secure_ones_too(_answer: httpx.Response) -> None:
            for cookie in visitor.cookies.jar:
                cookie.secure = False

        visitor.event_hooks["response"] = [send_secure_ones_too]
        return visitor

    @contextmanager
    def signed_in(self, name: str) -> Iterator[httpx.Client]:
        with self.visitor() as visitor:
            assert str(sign_in(visitor, name).url) == f"{self.url}/ui/"
            yield visitor


@contextmanager
def open_school(folder: Path) -> Iterator[School]:
    """Yield a school with one course, a teacher's group with one of its two students, and a try of each."""
    port, secret, bootstrap = (
        free_port(),
        secrets.token_hex(16),
        f"eg_bootstrap_{secrets.token_hex(32)}",
    )
    address, home = f"http://127.0.0.1:{port}", folder / "keycloak"
    home.mkdir()
    with running(home) as keycloak, embedded_servers(folder) as environment:
        issuer = make_realm(keycloak, secret, address)
        settings = {
            **environment,
            "EDUGRAPH_AUTH": "on",
            "EDUGRAPH_BOOTSTRAP_KEY": bootstrap,
            "EDUGRAPH_OIDC_ISSUER": issuer,
            "EDUGRAPH_OIDC_AUDIENCE": AUDIENCE,
            "EDUGRAPH_OIDC_SCOPE_CLAIM": "roles",
        }
        own = with_redis_users(
            environment[REDIS], {name: secrets.token_hex(16) for name in SERVICES}
        )
        own["insights"] |= {
            "EDUGRAPH_OIDC_CLIENT_ID": CLIENT,
            "EDUGRAPH_OIDC_CLIENT_SECRET": secret,
            "EDUGRAPH_OIDC_REDIRECT_URL": f"{address}/ui/callback",
        }
        with serving(settings, folder / "logs", Pools(importer=1, analyzer=1), own) as served:
            start_front_proxy(served, port, folder / "proxy")
            with Client(address, bootstrap) as client:
                job = client.import_records(records()).job_id
                assert follow_job(client, job, Console(quiet=True)).state == "succeeded"
            school = School(address, issuer, environment[REDIS], folder / "logs")
            with school.visitor() as visitor:
                visitor.get("/ui/login").raise_for_status()  # Keycloak makes its first page slowly
            yield school


def records() -> list[dict[str, Any]]:
    """T1 leads a group of the course, in which S1 is and S2 is not."""
    group = {"group_id": "G", "course_id": COURSE, "starts": BEGINNING.isoformat()}
    values: list[tuple[str, dict[str, Any]]] = [
        (
            "course_content",
            {"course_id": COURSE, "course_name": "Algebra", "content": "Fractions."},
        ),
        ("membership_record", {**group, "teacher_id": "T1", "role": "leader"}),
        ("membership_record", {**group, "student_id": "S1"}),
    ]
    for student in ("S1", "S2"):
        values.append(
            ("course_record", {"student_id": student, "course_id": COURSE, "progress": 50})
        )
        tried = {"student_id": student, "course_id": COURSE, "item_id": "I1", "score": 0.0}
        values.append(("attempt_record", {**tried, "knowledge_points": ["fractions"]}))
    return [
        {
            "type": kind,
            "timestamp": (BEGINNING + timedelta(days=1)).isoformat(),
            "record_id": f"r{n}",
            "data": data,
        }
        for n, (kind, data) in enumerate(values)
    ]


def sign_in(visitor: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Fill in Keycloak's form, as a person does. Return where that leads to."""
    form = visitor.get("/ui/login").raise_for_status()
    return visitor.post(form_action(form), data={"username": name, "password": password})
