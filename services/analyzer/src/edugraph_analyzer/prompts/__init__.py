"""The prompts, as text files KIND.VERSION.txt. A changed prompt is a new file with the next version, so that

findings say what asked for them and cached answers of the old one are not taken for answers to the new one.
docs/evaluation.md says which were tried and what each gave.
"""

from functools import lru_cache
from importlib import resources

from edugraph_common.contracts.findings import Kind

CURRENT: dict[Kind, int] = {"interaction": 5, "error": 5, "knowledge_points": 5}


def version_of(kind: Kind) -> str:
    """Such as "error.1": the file's name without its ending."""
    return f"{kind}.{CURRENT[kind]}"


@lru_cache
def instructions(version: str) -> str:
    """Raises FileNotFoundError for a version that does not exist."""
    return resources.files(__package__).joinpath(f"{version}.txt").read_text(encoding="utf-8")
