"""TLS to RabbitMQ, Redis and Neo4j with a private authority: SSL_CERT_FILE is all that the services need.

A server that only shakes hands is enough: what is asked here is whether the client accepts its certificate. Each client
runs in a process of its own, since OpenSSL reads the variable once.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

if shutil.which("openssl") is None:
    pytest.skip("openssl is needed to make certificates", allow_module_level=True)

CLIENTS = {
    "rabbitmq": """
from edugraph_common.broker.celery_app import make_app
from edugraph_common.settings import Settings
settings = Settings(broker_url="amqps://u:p@localhost:{port}/v", redis_url="redis://x", blob_url="/tmp")
make_app("tls", settings).connection_for_write(connect_timeout=5).connect()
""",
    "rabbitmq topology": """
from edugraph_common.broker.provisioning import pika_channel
from edugraph_common.settings import Settings
settings = Settings(broker_url="amqps://u:p@localhost:{port}/v", redis_url="redis://x", blob_url="/tmp")
with pika_channel(settings, timeout=5): pass
""",
    "rabbitmq management": """
from edugraph_common.broker.provisioning import management
from edugraph_common.settings import Settings
settings = Settings(broker_url="amqp://x", broker_management_url="https://u:p@localhost:{port}", redis_url="redis://x", blob_url="/tmp")
with management(settings) as api: api.get("/api/overview", timeout=5)
""",
    "redis": """
from edugraph_common.jobs import connect
connect("rediss://:p@localhost:{port}/0").ping()
""",
    "neo4j": """
import neo4j
neo4j.GraphDatabase.driver("bolt+s://localhost:{port}", auth=("u", "p"), connection_timeout=5).verify_connectivity()
""",
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes ca.crt, and certificates for localhost and for another host."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    def key(name: str) -> None:
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")

    key("ca")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=private", "-days", "2", "-out", "ca.crt",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    for name, host in {"server": "localhost", "other": "elsewhere.example"}.items():
        key(name)
        openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={host}", "-out", f"{name}.csr")
        (folder / "ext").write_text(f"subjectAltName=DNS:{host}\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "ext", "-out", f"{name}.crt")  # fmt: skip
    return folder


def shaken_hands(client: str, folder: Path, certificate: str, authorities: Path | None) -> bool:
    """Whether the client went on after it had seen the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{certificate}.crt", folder / f"{certificate}.key")
    went_on = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    with context.wrap_socket(connection, server_side=True) as secured:
                        # A client that refuses ends here, with an alert; one that accepts speaks its protocol.
                        if secured.recv(1):
                            went_on.set()
                except OSError:
                    continue

        threading.Thread(target=serve, daemon=True).start()
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("SSL_CERT", "EDUGRAPH_", "REQUESTS_"))
        }
        if authorities:
            environment["SSL_CERT_FILE"] = str(authorities)
        command = [sys.executable, "-c", CLIENTS[client].format(port=port)]
        subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
        listener.shutdown(socket.SHUT_RDWR)
    return went_on.is_set()


@pytest.mark.parametrize("client", CLIENTS)
def test_it_works_with_the_private_authority(client, authority):
    assert shaken_hands(client, authority, "server", authority / "ca.crt")


@pytest.mark.parametrize("client", CLIENTS)
def test_it_is_refused_without(client, authority):
    assert not shaken_hands(client, authority, "server", None)


@pytest.mark.parametrize("client", CLIENTS)
def test_another_hosts_certificate_is_refused(client, authority):
    assert not shaken_hands(client, authority, "other", authority / "ca.crt")
