"""Runs Debian 13's promtool: `python3 scripts/promtool.py check rules FILE`."""

import subprocess
import sys

from server_tools.common import ServerError, say
from server_tools.prometheus import program


def main(arguments: list[str]) -> int:
    try:
        return subprocess.call([str(program("promtool")), *arguments])
    except ServerError as error:
        say(str(error), "promtool")
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
