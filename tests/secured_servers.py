"""RabbitMQ, Redis and Neo4j with TLS: servers of their own, whose certificates a private authority signed.

The certificates are good for `localhost`, and for no other name. Each server also listens as `make servers` has it,
which is how it is seen to be ready.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trustme

from dev.debian import packages as debian
from tools.servers.checkout import BLOCK_SIZE, FIRST_PORT, Checkout, choose_ports
from tools.servers.neo4j import Neo4j
from tools.servers.rabbitmq import USER, RabbitMQ
from tools.servers.redis import Redis
from tools.servers.server import PROJECT_NAMES, Server

FOR_RABBITMQ = """\
listeners.ssl.local = 127.0.0.1:{amqp}
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server.key
management.ssl.ip = 127.0.0.1
management.ssl.port = {management}
management.ssl.certfile = {folder}/server.pem
management.ssl.keyfile = {folder}/server.key
"""
# One port for both: it speaks TLS to whoever begins with it.
FOR_NEO4J = """\
server.bolt.tls_level=OPTIONAL
dbms.ssl.policy.bolt.enabled=true
dbms.ssl.policy.bolt.base_directory={folder}
dbms.ssl.policy.bolt.public_certificate=server.pem
dbms.ssl.policy.bolt.private_key=server.key
dbms.ssl.policy.bolt.client_auth=NONE
"""


class Secured(Server):
    """`ports` are those with TLS; `addresses` name them."""

    def __init__(
        self, checkout: Checkout, certificate: trustme.LeafCert, ports: dict[str, int]
    ) -> None:
        super().__init__(checkout)
        self.certificate, self.ports = certificate, ports

    def given(self) -> None:
        """Whatever servers the shell knows, these are started."""

    def put_certificate(self, folder: Path) -> Path:
        self.certificate.private_key_pem.write_to_path(str(folder / "server.key"))
        self.certificate.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
        return folder

    def certificate_inside(self) -> Path:
        """The folder with the certificate, by the name that it has for a program of Debian."""
        return debian.programs().inside(self.put_certificate(self.checkout.folder(self.name)))


class SecuredRabbitMQ(Secured, RabbitMQ):
    def _configuration(self) -> str:
        return super()._configuration() + FOR_RABBITMQ.format(
            folder=self.certificate_inside(), **self.ports
        )

    def addresses(self) -> dict[str, str]:
        login = f"{USER}:{self.password}@localhost"
        return {
            "AMQP_URL": f"amqps://{login}:{self.ports['amqp']}//",
            "RABBITMQ_MANAGEMENT_URL": f"https://{login}:{self.ports['management']}",
        }


class SecuredRedis(Secured, Redis):
    def _configuration(self, **extra: str) -> str:
        folder = self.certificate_inside()
        files = {"tls-cert-file": f"{folder}/server.pem", "tls-key-file": f"{folder}/server.key"}
        tls = {"tls-port": str(self.ports["redis"]), "tls-auth-clients": "no", **files}
        return super()._configuration(**tls, **extra)

    def addresses(self) -> dict[str, str]:
        return {"REDIS_URL": f"rediss://:{self.password}@localhost:{self.ports['redis']}/0"}


class SecuredNeo4j(Secured, Neo4j):
    @property
    def quick(self) -> bool:
        """It lives for a minute, whoever runs the tests."""
        return True

    def _configuration(self) -> str:
        return super()._configuration() + FOR_NEO4J.format(folder=self.put_certificate(self.home))

    def addresses(self) -> dict[str, str]:
        return {**super().addresses(), "NEO4J_URI": f"neo4j+s://localhost:{self.port['bolt']}"}


@contextmanager
def secured_servers(folder: Path, authority: trustme.CA) -> Iterator[dict[str, str]]:
    """Their addresses, by the names of our settings. Raises ServerError where they cannot be had."""
    checkout, certificate = Checkout(folder), authority.issue_cert("localhost")
    checkout.state.mkdir(parents=True, exist_ok=True)
    ports = _next_block(checkout.ports())
    kinds: tuple[type[Secured], ...] = (SecuredRabbitMQ, SecuredRedis, SecuredNeo4j)
    servers = [kind(checkout, certificate, ports) for kind in kinds]
    with ExitStack() as ending, ThreadPoolExecutor(len(servers)) as together:
        for server in servers:
            ending.callback(server.down)
        list(together.map(lambda server: server.up(), servers))
        named = {name: value for server in servers for name, value in server.addresses().items()}
        yield {PROJECT_NAMES[name]: value for name, value in named.items()}


def _next_block(ports: dict[str, int]) -> dict[str, int]:
    return choose_ports((ports["amqp"] - FIRST_PORT) // BLOCK_SIZE + 1)
