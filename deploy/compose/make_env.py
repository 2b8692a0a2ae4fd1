"""`make env`: writes .env from .env.example, every empty …_PASSWORD, PRIVACY_SECRET and the first API key filled at random."""

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def filled(line: str) -> str:
    """What has a value keeps it."""
    if line == "EDUGRAPH_BOOTSTRAP_KEY=":
        return f"{line}eg_bootstrap_{secrets.token_hex(32)}"
    return (
        f"{line}{secrets.token_hex(24)}"
        if re.fullmatch(r"(?:[A-Z0-9_]+_PASSWORD|PRIVACY_SECRET)=", line)
        else line
    )


def main() -> int:
    target = ROOT / ".env"
    if target.exists():
        print(
            ".env is there already and was left alone; delete it to have new passwords (and new volumes)"
        )
        return 0
    lines = [
        filled(line) for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    ]
    with os.fdopen(
        os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write("\n".join(lines) + "\n")
    print(".env is written, readable by you only; next: docker compose up")
    return 0


if __name__ == "__main__":
    sys.exit(main())
