"""A learning platform that speaks LTI 1.3 by the code of Open edX: lti-consumer-xblock, in an environment of its own.

`python platform_server.py PORT TOOL`. TOOL is the address of EduGraph. Its setting EDUGRAPH_LTI_PLATFORMS needs the
constants below. The person and the role of a launch stand in the address by which it begins.
"""

import json
import sys
from collections.abc import Mapping
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings

settings.configure(SECRET_KEY="only for tests", PLATFORM_NAME="Open edX of the tests", USE_TZ=True)
django.setup()

from lti_consumer.data import Lti1p3LaunchData  # noqa: E402 - Django must be set up first
from lti_consumer.lti_1p3.consumer import LtiAdvantageConsumer  # noqa: E402
from lti_consumer.lti_1p3.extensions.rest_framework.serializers import (  # noqa: E402
    LtiNrpsContextMembershipPIISerializer,
)
from lti_consumer.lti_1p3.nprs import LtiNrps  # noqa: E402
from lti_consumer.utils import get_data_from_cache  # noqa: E402

CLIENT_ID = "edugraph-at-open-edx"
DEPLOYMENT_ID = "1"
COURSE_ID = "MATH8"
MEMBERS = [
    {"external_id": "T01", "name": "Grace Hopper", "roles": ["staff"]},
    {"external_id": "S017", "name": "Ada Lovelace", "roles": ["student"]},
]


class Course:
    """One course of the platform, with EduGraph as a tool in it."""

    def __init__(self, port: int, tool: str) -> None:
        self.address = f"http://localhost:{port}"
        self.tool = tool
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self._pem = key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ).decode()

    def consumer(self) -> LtiAdvantageConsumer:
        """Return Open edX's own part for one launch or one request."""
        launch_url = f"{self.tool}/ui/lti/launch"
        consumer = LtiAdvantageConsumer(
            iss=self.address,
            lti_oidc_url=f"{self.tool}/ui/lti/login",
            lti_launch_url=launch_url,
            client_id=CLIENT_ID,
            deployment_id=DEPLOYMENT_ID,
            rsa_key=self._pem,
            rsa_key_id="key-of-open-edx",
            redirect_uris=[launch_url],
            tool_keyset_url=f"{self.tool}/ui/lti/keys",
        )
        consumer.enable_deep_linking(launch_url, f"{self.address}/links")
        return consumer

    def begin(self, given: Mapping[str, str]) -> str:
        """Return the address at the tool by which a launch begins."""
        custom = {}
        for name in ("course", "group", "point"):
            if name in given:
                custom[name] = given[name]
        launch = Lti1p3LaunchData(
            user_id=given["user"],
            user_role=given["role"],
            config_id="1",
            resource_link_id="link-1",
            name="A made-up person",
            context_id=COURSE_ID,
            context_title="Algebra",
            message_type=given.get("message", "LtiResourceLinkRequest"),
            custom_parameters=custom,
        )
        return str(self.consumer().prepare_preflight_url(launch))

    def launch(self, given: Mapping[str, str]) -> str:
        """Return the page that sends the browser to the tool with a signed launch."""
        data = get_data_from_cache(given["lti_message_hint"])
        consumer = self.consumer()
        consumer.set_user_data(data.user_id, data.user_role, full_name=data.name)
        consumer.set_resource_link_claim(data.resource_link_id)
        consumer.set_launch_presentation_claim("iframe")
        consumer.set_context_claim(data.context_id, context_title=data.context_title)
        if data.custom_parameters:
            consumer.set_custom_parameters(data.custom_parameters)
        fields = consumer.generate_launch_request(given)
        inputs = []
        for name, value in fields.items():
            inputs.append(f'<input type="hidden" name="{name}" value="{escape(value)}">')
        form = (
            f'<form method="post" action="{escape(given["redirect_uri"])}">{"".join(inputs)}</form>'
        )
        return f"{form}<script>document.forms[0].submit()</script>"

    def links(self, given: Mapping[str, str]) -> str:
        """Return the content items of a tool's answer, checked by Open edX."""
        items = self.consumer().check_and_decode_deep_linking_token(given["JWT"])
        return json.dumps(items)

    def members(self, token: str) -> str:
        """Return the members of the course for a token with the right scope. Raises PermissionError."""
        nrps = LtiNrps(f"{self.address}/members")
        if not self.consumer().check_token(token, nrps.get_available_scopes()):
            raise PermissionError
        container = {
            "id": nrps.context_memberships_url,
            "context": {"id": COURSE_ID, "title": "Algebra", "label": "Algebra"},
            "members": MEMBERS,
        }
        return json.dumps(LtiNrpsContextMembershipPIISerializer(container).data, default=list)


class Handler(BaseHTTPRequestHandler):
    """The addresses of the platform."""

    course: Course

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        given = dict(parse_qsl(parts.query))
        if parts.path == "/begin":
            self._go_to(self.course.begin(given))
        elif parts.path == "/auth":
            self._answer(self.course.launch(given))
        elif parts.path == "/keys":
            self._answer(json.dumps(self.course.consumer().get_public_keyset()), "application/json")
        elif parts.path == "/members":
            token = self.headers["Authorization"].removeprefix("Bearer ")
            media_type = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
            self._answer(self.course.members(token), media_type)
        else:
            begin = escape(f"/begin?{urlencode(given)}")
            self._answer(f'<iframe src="{begin}" width="1200" height="700"></iframe>')

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        given = dict(parse_qsl(self.rfile.read(length).decode()))
        if self.path == "/links":
            self._answer(self.course.links(given), "application/json")
        else:
            answer = self.course.consumer().access_token(given)
            self._answer(json.dumps(answer), "application/json")

    def _go_to(self, address: str) -> None:
        self.send_response(302)
        self.send_header("Location", address)
        self.end_headers()

    def _answer(self, text: str, media_type: str = "text/html; charset=utf-8") -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.end_headers()
        self.wfile.write(text.encode())


if __name__ == "__main__":
    port = int(sys.argv[1])
    Handler.course = Course(port, sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
