"""`make redis-users`: writes the users of the bundled Redis for compose.yaml and the chart, from their permissions.

The file has a name, such as IMPORTER_SHA256, in place of the SHA-256 of a password. Redis' container replaces it at
its start. `--check` writes nothing and fails if the file is not current.
"""

import argparse
import sys
from pathlib import Path

from edugraph_common.platform.redis_users import SERVICES, line_of

FILE = Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "files" / "redis-users.conf"


def users() -> str:
    lines = [line_of(service, f"{service.upper()}_SHA256") for service in SERVICES]
    return "# Made by `make redis-users`.\n" + "".join(f"{line}\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the users of the bundled Redis.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is not current")
    if not parser.parse_args().check:
        FILE.write_text(users(), encoding="utf-8")
    elif FILE.read_text(encoding="utf-8") != users():
        print(f"{FILE.name} is not current: run make redis-users", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
