"""The commands. Exit codes: 0 for success, 3 if a server cannot be provided, 2 for a mistake on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools import cache
from tools.common import ServerError, say, write_private

from .checkout import SETS, Checkout, workers_for
from .neo4j import Neo4j
from .rabbitmq import RabbitMQ
from .redis import Redis
from .server import Server

SERVERS: dict[str, type[Server]] = {"rabbitmq": RabbitMQ, "redis": Redis, "neo4j": Neo4j}
MISSING = 3


def main(arguments: list[str] | None = None, root: Path | None = None) -> int:
    """Run one command."""
    options = _parser().parse_args(arguments)
    checkout = Checkout(
        root or Path(__file__).resolve().parents[2], options.worker if options.tests else 0
    )
    checkout.state.mkdir(parents=True, exist_ok=True)
    try:
        # Two commands at once in one checkout could start a server twice. These commands change nothing.
        if options.run in (env, status, ctl, workers):
            return int(options.run(checkout, options))
        with cache.locked(checkout.state / "lock", "another command in this checkout"):
            return int(options.run(checkout, options))
    except ServerError as error:
        say(str(error))
        return MISSING
    except KeyboardInterrupt:
        say("interrupted; `status` shows what runs, `down` ends it")
        return 130


def up(checkout: Checkout, options: argparse.Namespace) -> int:
    """Start what is missing."""
    checkout.ports()  # chosen before the threads ask for them
    failed = _for_each(checkout, options.only, _up)
    _write_env(checkout)
    say(f"addresses and passwords are in {checkout.env_file}")
    return MISSING if failed else 0


def down(checkout: Checkout, options: argparse.Namespace) -> int:
    """End what this checkout started."""
    failed = _for_each(checkout, options.only, _down)
    if options.wipe:
        failed += _for_each(checkout, options.only, Server.wipe)
    _write_env(checkout)
    return MISSING if failed else 0


def status(checkout: Checkout, options: argparse.Namespace) -> int:
    """Say what runs."""
    missing = _for_each(checkout, options.only, _status, together=1)
    return MISSING if missing else 0


def env(checkout: Checkout, options: argparse.Namespace) -> int:
    """Print the addresses, for `--env-file` and the like."""
    print(_env_lines(checkout, options.only), end="")
    return 0


def workers(_checkout: Checkout, _options: argparse.Namespace) -> int:
    """Print how many workers a test run should have on this machine, each with a set of servers."""
    print(
        workers_for(os.cpu_count() or 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    )
    return 0


def kill(checkout: Checkout, options: argparse.Namespace) -> int:
    """Let a server crash."""
    return MISSING if _for_each(checkout, options.only, _kill) else 0


def restart(checkout: Checkout, options: argparse.Namespace) -> int:
    """End one server and start it again."""
    _for_each(checkout, options.only, _down)
    return up(checkout, options)


def ctl(checkout: Checkout, options: argparse.Namespace) -> int:
    """Run rabbitmqctl."""
    return RabbitMQ(checkout).control(options.program, options.arguments)


def _up(server: Server) -> None:
    try:
        server.up()
    except ServerError as error:
        names = " and ".join(map(server.outside_name, server.variables))
        raise ServerError(
            f"cannot be had (to use one from elsewhere, set {names}): {error}"
        ) from error


def _down(server: Server) -> None:
    say("ended" if server.down() else "was not running", server.name)


def _kill(server: Server) -> None:
    if not server.kill():
        raise ServerError("was not started here or runs no more: nothing to kill")
    say("killed", server.name)


def _status(server: Server) -> None:
    if server.given():
        say(f"given by {server.outside_name(server.variables[0])}: {server.where()}", server.name)
    elif server.running():
        say(f"running at {server.where()}", server.name)
    else:
        raise ServerError("not running")


def _for_each(
    checkout: Checkout,
    names: list[str],
    action: Callable[[Server], None],
    together: int = len(SERVERS),
) -> list[str]:
    """Call a function for several servers at the same time, and return the names for which it failed."""

    def attempt(name: str) -> bool:
        try:
            action(SERVERS[name](checkout))
        except ServerError as error:
            say(str(error), name)
            return False
        return True

    with ThreadPoolExecutor(together) as pool:
        succeeded = list(pool.map(attempt, names))
    return [name for name, well in zip(names, succeeded, strict=True) if not well]


def _env_lines(checkout: Checkout, names: list[str]) -> str:
    lines: dict[str, str] = {}
    for name in names:
        try:
            lines.update(SERVERS[name](checkout).environment())
        except ServerError:
            continue  # `up` and `status` have reported it
    if lines and not checkout.test_worker:
        lines["EDUGRAPH_PRIVACY_SECRET"] = checkout.password("privacy")
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _write_env(checkout: Checkout) -> None:
    write_private(checkout.env_file, _env_lines(checkout, list(SERVERS)))


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in SERVERS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SERVERS)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tools.servers", description="Real servers for this checkout."
    )
    parser.add_argument(
        "--tests", action="store_true", help="use the servers of the tests, not those of `make up`"
    )
    parser.add_argument(
        "--worker",
        type=int,
        choices=range(1, SETS),
        default=1,
        help="the worker of a test run (with --tests)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for run in (up, down, status, env):
        command = commands.add_parser(run.__name__, help=run.__doc__)
        command.add_argument("--only", type=_names, default=list(SERVERS), metavar="NAME,...")
        command.set_defaults(run=run)
        if run is down:
            command.add_argument("--wipe", action="store_true", help="delete their data as well")
    commands.add_parser("workers", help=workers.__doc__).set_defaults(run=workers)
    for name, run in {"kill": kill, "start": up, "restart": restart}.items():
        command = commands.add_parser(
            name, help="Start one server." if name == "start" else run.__doc__
        )
        command.add_argument("only", type=_names, metavar="NAME")
        command.set_defaults(run=run)
    command = commands.add_parser("ctl", help=f"{ctl.__doc__} (or rabbitmq-diagnostics, ...)")
    command.add_argument("program")
    command.add_argument("arguments", nargs=argparse.REMAINDER)
    command.set_defaults(run=ctl)
    return parser
