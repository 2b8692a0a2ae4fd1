"""`edugraph mastery fit`: the coefficients by which insights estimates mastery. It speaks to no server."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edugraph_cli.commands.importing import check_file
from edugraph_cli.display import INVALID, print_rows, print_table, say, show_json, stop
from edugraph_cli.options import Json

if TYPE_CHECKING:
    from edugraph_cli.mastery_fit import Judged

app = typer.Typer(no_args_is_help=True, help="How insights estimates mastery.")


@app.command()
def fit(  # noqa: PLR0917 - typer makes options of the parameters
    answers: Annotated[
        Path, typer.Argument(help="NDJSON of records, or a CSV with a line for each answer in the order given")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the coefficients, as JSON")],
    student: Annotated[str, typer.Option(help="of a CSV: the column of the student")] = "student",
    skill: Annotated[str, typer.Option(help="of a CSV: the column of the knowledge point")] = "skill",
    correct: Annotated[str, typer.Option(help="of a CSV: the column that says 1 or 0")] = "correct",
    seed: Annotated[int, typer.Option(help="draws the fifth of the students who are held out")] = 1,
    as_json: Json = False,
) -> None:
    """Fit the coefficients of mastery, and print how well they foretell the answers of students who were held out.

    EDUGRAPH_MASTERY_COEFFICIENTS of insights names the file that it reads.
    """
    try:
        from edugraph_cli import mastery_fit
    except ModuleNotFoundError as missing:
        stop(f"This command needs more packages ({missing.name}): install edugraph-cli[mastery].", INVALID)
    check_file(answers)
    try:
        columns = mastery_fit.Columns(student, skill, correct)
        learned, held_out = map(
            mastery_fit.rows_of, mastery_fit.split(mastery_fit.read_answers(answers, columns), seed)
        )
        coefficients = mastery_fit.fit(learned)
        judged = mastery_fit.judge(held_out, coefficients)
    except (ValueError, UnicodeDecodeError) as error:
        stop(f"{answers}: {error}." if isinstance(error, UnicodeDecodeError) else f"{error}.", INVALID)
    try:
        output.write_text(coefficients.model_dump_json(indent=1), "utf-8")
    except OSError as error:
        stop(f"{output} cannot be written: {error.strerror}.", INVALID)
    if as_json:
        show_json({"coefficients": coefficients.model_dump(exclude={"betas"}), "held_out": asdict(judged)})
    else:
        _print(judged)
        given = coefficients.model_dump(exclude={"betas"})
        print_table(str(output), {name: f"{value:.3f}" for name, value in given.items()})
        say(f"To use them: EDUGRAPH_MASTERY_COEFFICIENTS={output} for insights")


def _print(judged: "Judged") -> None:
    names = {"auc": "AUC", "auc_of_points": "AUC of the points alone", "log_loss": "log loss"}
    shown = {**names, "calibration_error": "calibration error"}
    about = {"students": judged.students, "answers": judged.answers}
    print_table(
        "Held-out students", {**about, **{title: f"{getattr(judged, name):.3f}" for name, title in shown.items()}}
    )
    print_rows(
        ("mean probability", "share right", "answers"),
        [(f"{mean:.3f}", f"{share:.3f}", number) for mean, share, number in judged.bins],
    )
