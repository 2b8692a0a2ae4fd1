"""A fit: the knowledge of the offline analyser about one course, learned from labelled mistakes.

A fit is stored as its rows only. The vectors, the neighbours and the classifier are computed when it is loaded. So if
a row is deleted because its student was erased, nothing that was learned from the row remains.
"""

import hashlib

from pydantic import Field

from edugraph_common.contracts.contract_model import MessageModel
from edugraph_common.contracts.findings import Share
from edugraph_common.contracts.record_fields import Name

FITS = "fits"  # the folder of all fits in the blob store
_MEASURED_KINDS = ", kinds measured"

Steps = tuple[tuple[float, Share], ...]
"""A rising step function: (the lowest score of the step, the share that was right on held-out items)."""


class LabelledRow(MessageModel):
    """One labelled mistake, without its text.

    `words`: stem -> how often it occurs in the text. It has only stems that occur in another row of the fit too, and
    no names of the record's people. `signs`: features of the text's form.
    """

    record_id: str
    students: tuple[str, ...]
    words: dict[str, int]
    signs: tuple[str, ...] = ()
    knowledge_points: tuple[Name, ...] = ()
    error_types: tuple[Name, ...] = ()


class FitHeader(MessageModel):
    """The first line of a fit; the rows follow.

    `name_weight`: the weight of the likeness of a point's name, relative to the votes of the neighbours.
    The steps turn scores into confidence. There are those of points for mistakes at a question that has labelled
    mistakes, those of points for mistakes at a new question, and those of types. If they are empty, the fit finds no
    points or no types there. `held_out`: figures of a cross-validation, on items that the fit had not seen.
    """

    version: str
    course_id: str
    fitted_at: str
    items: int
    name_weight: float = Field(ge=0)
    same_question_steps: Steps = ()
    new_question_steps: Steps = ()
    type_steps: Steps = ()
    held_out: dict[str, float] = Field(default_factory=dict)

    @property
    def in_origin(self) -> str:
        """The fit in the prompt version of a finding, with a mark if its kinds of mistakes are known to be useful.

        A fit of an earlier state may have steps of kinds that nobody compared with the most frequent kind.
        """
        named = f"fit {self.version}"
        right = self.held_out.get("kinds_right", 0.0)
        by_frequency = self.held_out.get("most_frequent_kind", 1.0)
        if self.type_steps and right > by_frequency:
            return named + _MEASURED_KINDS
        return named


def has_measured_kinds(prompt_version: str) -> bool:
    """Return whether a finding without a model comes from a fit whose kinds of mistakes are known to be useful.

    These were right more often than the most frequent kind, by an interval that excludes 0.
    """
    return prompt_version.endswith(_MEASURED_KINDS)


def fit_folder(course_id: str) -> str:
    """Return the folder of a course's fits. It is named by a hash, because a course id may hold any character."""
    return f"{FITS}/{hashlib.sha256(course_id.encode()).hexdigest()[:24]}"
