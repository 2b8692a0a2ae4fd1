"""A realm of Keycloak as docs/operations.md says it, made through the administrator's API."""

import re
from collections.abc import Mapping
from html import unescape
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from tools.keycloak import ADMIN, Keycloak

REALM, CLIENT, AUDIENCE = "school", "edugraph-page", "edugraph"
PASSWORD = "of the tests alone"


class Person(NamedTuple):
    """`roles` are those of the realm: our roles and scopes with their prefix. `person` is the id in the graph."""

    first: str
    last: str
    roles: tuple[str, ...] = ()
    person: str = ""


PEOPLE: Mapping[str, Person] = {
    "teacher": Person(
        "Tessa", "Berg", ("edugraph:teacher", "edugraph:read", "edugraph:submit"), "T1"
    ),
    "student": Person("Stina", "Dal", ("edugraph:student",), "S1"),
    "head": Person("Hedda", "Fors", ("edugraph:head",)),
    "stranger": Person("Sten", "Ek", ("offline_access",)),
}


def make_realm(keycloak: Keycloak, client_secret: str, address: str) -> str:
    """Return the issuer, by its https address if it has one. `address` is the one address of both services."""
    with httpx.Client(base_url=keycloak.url, timeout=60) as admin:
        login = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": ADMIN,
            "password": keycloak.password,
        }
        token = (
            admin.post("/realms/master/protocol/openid-connect/token", data=login)
            .raise_for_status()
            .json()
        )
        admin.headers["Authorization"] = f"Bearer {token['access_token']}"
        admin.post("/admin/realms", json=realm(client_secret, address)).raise_for_status()
        profile = admin.get(f"/admin/realms/{REALM}/users/profile").raise_for_status().json()
        # Else Keycloak drops the person's id, which is no part of its own profile.
        profile["unmanagedAttributePolicy"] = "ADMIN_EDIT"
        admin.put(f"/admin/realms/{REALM}/users/profile", json=profile).raise_for_status()
        for name, person in PEOPLE.items():
            made = admin.post(
                f"/admin/realms/{REALM}/users", json=user(name, person)
            ).raise_for_status()
            roles = [
                admin.get(f"/admin/realms/{REALM}/roles/{role}").raise_for_status().json()
                for role in person.roles
            ]
            admin.post(
                f"{made.headers['location']}/role-mappings/realm", json=roles
            ).raise_for_status()
    return f"{keycloak.secure_url or keycloak.url}/realms/{REALM}"


def realm(client_secret: str, address: str) -> dict[str, Any]:
    roles = {
        role for person in PEOPLE.values() for role in person.roles if role.startswith("edugraph:")
    }
    return {
        "realm": REALM,
        "enabled": True,
        "roles": {"realm": [{"name": role} for role in sorted(roles)]},
        "clients": [
            {
                "clientId": CLIENT,
                "secret": client_secret,
                # The client may also have a token of its own, as a program does.
                "serviceAccountsEnabled": True,
                "redirectUris": [f"{address}/ui/callback"],
                "attributes": {
                    "pkce.code.challenge.method": "S256",
                    "post.logout.redirect.uris": f"{address}/ui/",
                },
                "protocolMappers": [
                    mapper(
                        "audience", "oidc-audience-mapper", **{"included.custom.audience": AUDIENCE}
                    ),
                    mapper(
                        "roles",
                        "oidc-usermodel-realm-role-mapper",
                        **{
                            "claim.name": "roles",
                            "multivalued": "true",
                            "jsonType.label": "String",
                        },
                    ),
                    mapper(
                        "person",
                        "oidc-usermodel-attribute-mapper",
                        **{
                            "user.attribute": "edugraph_person",
                            "claim.name": "edugraph_person",
                            "jsonType.label": "String",
                        },
                    ),
                ],
            }
        ],
    }


def mapper(name: str, kind: str, **config: str) -> dict[str, Any]:
    config["access.token.claim"] = "true"
    return {"name": name, "protocol": "openid-connect", "protocolMapper": kind, "config": config}


def user(name: str, person: Person) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "firstName": person.first,
        "lastName": person.last,
        "email": f"{name}@school.example",
        "emailVerified": True,
        "attributes": {"edugraph_person": [person.person]} if person.person else {},
        "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
    }


def form_action(page: httpx.Response) -> str:
    """Return where the form of a page of Keycloak is sent to."""
    found = re.search(r'<form[^>]* action="([^"]+)"', page.text)
    assert found, f"no form at {urlsplit(str(page.url)).path}"
    return unescape(found.group(1))
