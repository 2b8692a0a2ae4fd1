"""`make redis-users`: writes the files of the bundled Redis for compose.yaml and the chart.

They are its users, with the permissions of each service, and the script that ends old entries of the audit log. The
first file has a name, such as IMPORTER_SHA256, in place of the SHA-256 of a password. Redis' container replaces it at
its start. `--check` writes nothing and fails if a file is not current.
"""

import argparse
import sys
from importlib import resources
from pathlib import Path

from edugraph_common.runtime.shared_state.redis_users import SERVICES, line_of

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "files"
END_AUDIT = "end_audit.lua"


def files() -> dict[str, str]:
    """Return the text of each file, by its name."""
    lines = [line_of(service, f"{service.upper()}_SHA256") for service in SERVICES]
    scripts = resources.files("edugraph_common.runtime.shared_state").joinpath("scripts")
    return {
        "redis-users.conf": "# Made by `make redis-users`.\n"
        + "".join(f"{line}\n" for line in lines),
        END_AUDIT: "-- Made by `make redis-users`.\n"
        + scripts.joinpath(END_AUDIT).read_text(encoding="utf-8"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the files of the bundled Redis.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is not current"
    )
    is_check = parser.parse_args().check
    for name, text in files().items():
        file = FOLDER / name
        if not is_check:
            file.write_text(text, encoding="utf-8")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            print(f"{name} is not current: run make redis-users", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
