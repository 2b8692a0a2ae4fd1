"""Options that several commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="print one JSON document on standard output")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="wait until the job has ended, and show its progress")
]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
Prefixes = Annotated[
    str,
    typer.Option(
        envvar="EDUGRAPH_PLATFORM_PREFIXES", help="JSON, the same as in the settings of the gateway"
    ),
]
Economy = Annotated[
    bool,
    typer.Option(
        "--economy",
        help="let the provider read them in batches: takes up to a day, at OpenAI for half the price",
    ),
]
SourceOption = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="NAME",
        help="the source that the records belong to (`edugraph sources list`)",
    ),
]
