"""How addresses of learning platforms are compared."""

import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def platform_key(address: str) -> str:
    """Return the address without its scheme and with the host in lower case. Platforms are compared by it."""
    host, slash, path = _SCHEME.sub("", address.strip(), count=1).rstrip("/").partition("/")
    return host.lower() + slash + path
