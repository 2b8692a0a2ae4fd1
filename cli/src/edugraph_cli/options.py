"""The options that several commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="print one JSON document on standard output")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="wait until the job has ended, and show its progress")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
Prefixes = Annotated[str, typer.Option(envvar="EDUGRAPH_PLATFORM_PREFIXES", help="JSON, as the gateway has it")]
Economy = Annotated[
    bool,
    typer.Option(
        "--economy", help="have them read by the provider's batches: within a day, at OpenAI for half the price"
    ),
]
