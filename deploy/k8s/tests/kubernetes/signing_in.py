"""Point 9: signing in at a Keycloak outside of the cluster, through the chart's own policies."""

from __future__ import annotations

import contextlib
import json
import secrets
import ssl
import sys
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx
from network import TRY
from release import RELEASE, ROOT, Failed, Gateway, Release, Report

sys.path.insert(0, str(ROOT / "tests"))
from login.realm import AUDIENCE, CLIENT, PASSWORD, form_action, make_realm

from dev.kubernetes.cluster import HOST_IP, Authority
from tools.keycloak import Certificate, running

# Where people reach the page. A port-forward takes its place here.
ADDRESS = "https://edugraph.example.org"
LOGIN, AUTHORITY = "login-client", "login-authority"
MOST_STEPS = 10  # redirects


class Issuer(NamedTuple):
    url: str
    client_secret: str
    authority: Path

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def settings(self) -> list[str]:
        login = {
            "issuer": self.url,
            "audience": AUDIENCE,
            "clientId": CLIENT,
            "existingSecret": LOGIN,
            "redirectUrl": f"{ADDRESS}/ui/callback",
        }
        roles = json.dumps([{"name": "EDUGRAPH_OIDC_SCOPE_CLAIM", "value": "roles"}])
        return [
            f"login={json.dumps(login)}",
            f'tls.caConfigMap="{AUTHORITY}"',
            f"gateway.env={roles}",
            f"insights.env={roles}",
        ]


def signing_in(release: Release, report: Report) -> None:
    """Point 9. The way to the issuer is shut first, while no pod has asked it anything."""
    with _issuer(release) as issuer:
        with _step(
            report, "9 without a policy to the issuer nobody can sign in, and it is a time-out"
        ) as figures:
            shut = release.chart(*issuer.settings(), "networkPolicy.issuerTo=[]")
            release.run_helm("upgrade", *shut, "--wait", "--timeout", "600s")
            figures.extend(_reached(release, issuer, "TimeoutError"))
            with _doors(release) as (insights, gateway), _visitor(issuer) as visitor:
                page = _open(visitor, insights, f"{ADDRESS}/ui/login")
                if page.url.fragment != "overview?login=away":
                    raise Failed(f"the way to sign in led to {page.url}")
                _answered(gateway, _token(issuer), HTTPStatus.SERVICE_UNAVAILABLE)
        with _step(
            report,
            "9 a teacher signs in through the chart's own policies, and both services know them",
        ) as figures:
            release.run_helm(
                "upgrade", *release.chart(*issuer.settings()), "--wait", "--timeout", "600s"
            )
            figures.extend(_reached(release, issuer, "open"))
            with _doors(release) as (insights, gateway), _visitor(issuer) as visitor:
                # The client's own token: good, with no scope in it.
                release.until(
                    "the gateway's knowing the issuer",
                    lambda: _status(gateway, _token(issuer)) != 503,
                    60,
                )
                _answered(gateway, _token(issuer), HTTPStatus.FORBIDDEN)
                _teacher(release, visitor, insights, gateway)
                figures.append("as a person and as a program")
        release.run_helm("upgrade", *release.chart(), "--wait", "--timeout", "600s")


@contextlib.contextmanager
def _step(report: Report, name: str) -> Iterator[list[str]]:
    with report.step(name) as figures:
        try:
            yield figures
        except httpx.HTTPError as error:
            raise Failed(f"{type(error).__name__}: {error}") from error


def _teacher(release: Release, visitor: httpx.Client, insights: str, gateway: Gateway) -> None:
    def is_signed_in() -> bool:
        """Try once. A door gives the issuer a second, so that a slow machine needs several tries."""
        page = _open(visitor, insights, f"{ADDRESS}/ui/login")
        if "<form" in page.text and page.url.host == HOST_IP:
            _open(
                visitor, insights, form_action(page), {"username": "teacher", "password": PASSWORD}
            )
        return bool(_session(visitor, insights)["state"] == "in")

    release.until("a session", is_signed_in, 120)
    session = _session(visitor, insights)
    if (session["name"], session["roles"]) != ("Tessa Berg", ["teacher"]):
        raise Failed(f"signed in as somebody with the roles {session['roles']}")
    jobs = visitor.get(f"{gateway.url}/v1/jobs")
    if jobs.status_code != HTTPStatus.OK:
        raise Failed(f"the gateway answers the session with {jobs.status_code}")


def _session(visitor: httpx.Client, insights: str) -> Any:
    return visitor.get(f"{insights}/ui/session").raise_for_status().json()


@contextlib.contextmanager
def _issuer(release: Release) -> Iterator[Issuer]:
    """Yield a Keycloak at an address of this machine that pods reach, with a certificate of a private authority."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki = Authority(folder)
        pki.authority("ca")
        pki.certificate("keycloak", "/CN=keycloak", "serverAuth", f"IP:{HOST_IP}")
        authority = folder / "ca.crt"
        home = folder / "keycloak"
        home.mkdir()
        secret = secrets.token_hex(16)
        certificate = Certificate(folder / "keycloak.crt", folder / "keycloak.key")
        release.kubectl(
            "create", "secret", "generic", LOGIN, f"--from-literal=client-secret={secret}"
        )
        release.kubectl("create", "configmap", AUTHORITY, f"--from-file=ca.crt={authority}")
        try:
            with running(home, HOST_IP, certificate) as keycloak:
                yield Issuer(make_realm(keycloak, secret, ADDRESS), secret, authority)
        finally:
            release.kubectl("delete", f"secret/{LOGIN}", f"configmap/{AUTHORITY}")


def _reached(release: Release, issuer: Issuer, expected: str) -> list[str]:
    """Try the issuer's port from both services. Raises Failed unless it answers as expected."""
    address = urlsplit(issuer.url).netloc
    told = []
    for door in ("gateway", "insights"):
        pod = release.pods(door)[0]["metadata"]["name"]
        answers = json.loads(release.kubectl("exec", pod, "--", "python3", "-c", TRY, address))
        seen = answers[address]
        if seen != expected:
            raise Failed(f"{door} to the issuer: {seen}")
        told.append(f"{door}: {seen}")
    return told


@contextlib.contextmanager
def _doors(release: Release) -> Iterator[tuple[str, Gateway]]:
    with (
        release.forwarded(f"service/{RELEASE}-insights", 8081) as insights,
        release.gateway() as gateway,
    ):
        release.until("the answer of insights", lambda: _is_up(insights), 60)
        yield insights, gateway


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == HTTPStatus.OK
    except httpx.HTTPError:
        return False


@contextlib.contextmanager
def _visitor(issuer: Issuer) -> Iterator[httpx.Client]:
    """Yield a browser that has been nowhere. It takes the port-forward for a secure place."""
    with httpx.Client(verify=issuer.context(), timeout=60) as visitor:

        def send_secure_ones_too(_answer: httpx.Response) -> None:
            for cookie in visitor.cookies.jar:
                cookie.secure = False

        visitor.event_hooks["response"] = [send_secure_ones_too]
        yield visitor


def _open(
    visitor: httpx.Client, insights: str, url: str, form: dict[str, str] | None = None
) -> httpx.Response:
    """Go where the redirects lead, with the port-forward in place of the address of the page."""
    method = "GET" if form is None else "POST"
    for _ in range(MOST_STEPS):
        here = url.replace(ADDRESS, insights, 1) if url.startswith(ADDRESS) else url
        answer = visitor.request(method, here, data=form)
        if not answer.has_redirect_location:
            return answer
        url = urljoin(url, answer.headers["location"])
        method = "GET"
        form = None
    raise Failed(f"more than {MOST_STEPS} redirects")


def _token(issuer: Issuer) -> str:
    """Return an access token of the client itself."""
    asked = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": issuer.client_secret,
    }
    answer = httpx.post(
        f"{issuer.url}/protocol/openid-connect/token", data=asked, verify=issuer.context()
    )
    return str(answer.raise_for_status().json()["access_token"])


def _status(gateway: Gateway, token: str) -> int:
    return httpx.get(
        f"{gateway.url}/v1/jobs", headers={"Authorization": f"Bearer {token}"}, timeout=30
    ).status_code


def _answered(gateway: Gateway, token: str, expected: HTTPStatus) -> None:
    seen = _status(gateway, token)
    if seen != expected:
        raise Failed(f"the gateway answers a token of the issuer with {seen} and not {expected}")
