"""`edugraph mastery fit`: fit the coefficients with which insights estimates mastery. It uses no server."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edugraph_cli.commands.importing import check_file
from edugraph_cli.display import INVALID, print_rows, print_table, say, show_json, stop
from edugraph_cli.options import Json

if TYPE_CHECKING:
    from edugraph_cli.mastery_fit import Judged

app = typer.Typer(no_args_is_help=True, help="The estimate of mastery in insights.")


@app.command()
def fit(  # noqa: PLR0917 - typer makes options of the parameters
    answers: Annotated[
        Path,
        typer.Argument(
            help="NDJSON of records, or a CSV with a line for each answer in the order given"
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the coefficients, as JSON")],
    student: Annotated[str, typer.Option(help="the column of a CSV with the student")] = "student",
    skill: Annotated[
        str, typer.Option(help="the column of a CSV with the knowledge point")
    ] = "skill",
    correct: Annotated[str, typer.Option(help="the column of a CSV with 1 or 0")] = "correct",
    seed: Annotated[
        int, typer.Option(help="the seed that draws the fifth of the students who are held out")
    ] = 1,
    as_json: Json = False,
) -> None:
    """Fit the coefficients of mastery, and print how well they predict the answers of held-out students.

    Insights reads the file that EDUGRAPH_MASTERY_COEFFICIENTS names.
    """
    try:
        from edugraph_cli import mastery_fit
    except ModuleNotFoundError as missing:
        stop(
            f"This command needs more packages ({missing.name}): install edugraph-cli[mastery].",
            INVALID,
        )
    check_file(answers)
    try:
        columns = mastery_fit.Columns(student, skill, correct)
        for_fit, held_out = mastery_fit.split(mastery_fit.read_answers(answers, columns), seed)
        for_fit_rows = mastery_fit.rows_of(for_fit)
        held_out_rows = mastery_fit.rows_of(held_out)
        coefficients = mastery_fit.fit(for_fit_rows)
        judged = mastery_fit.judge(held_out_rows, coefficients)
    except UnicodeDecodeError as error:
        stop(f"{answers}: {error}.", INVALID)
    except ValueError as error:
        stop(f"{error}.", INVALID)
    try:
        output.write_text(coefficients.model_dump_json(indent=1), "utf-8")
    except OSError as error:
        stop(f"{output} cannot be written: {error.strerror}.", INVALID)
    if as_json:
        show_json(
            {"coefficients": coefficients.model_dump(exclude={"betas"}), "held_out": asdict(judged)}
        )
    else:
        _print(judged)
        given = coefficients.model_dump(exclude={"betas"})
        print_table(str(output), {name: f"{value:.3f}" for name, value in given.items()})
        say(f"To use them: EDUGRAPH_MASTERY_COEFFICIENTS={output} for insights")


def _print(judged: "Judged") -> None:
    print_table(
        "Held-out students",
        {
            "students": judged.students,
            "answers": judged.answers,
            "AUC": f"{judged.auc:.3f}",
            "AUC of the points alone": f"{judged.auc_of_points:.3f}",
            "log loss": f"{judged.log_loss:.3f}",
            "calibration error": f"{judged.calibration_error:.3f}",
        },
    )
    bins = [(f"{mean:.3f}", f"{share:.3f}", number) for mean, share, number in judged.bins]
    print_rows(("mean probability", "share right", "answers"), bins)
