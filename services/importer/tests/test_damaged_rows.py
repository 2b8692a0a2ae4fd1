"""A damaged row costs itself alone, in every form of file. `make fuzz` tries 10,000 rows of each form."""

from pathlib import Path

import pytest
from damaged_files import FORMS, made_file, problems_of

from edugraph_common.runtime.shared_state.object_store import Blobs

FILES = 12


@pytest.mark.parametrize("form", FORMS)
def test_good_rows_arrive_with_their_lines_and_damaged_ones_are_set_aside(
    tmp_path: Path, form: str
) -> None:
    """Out: `_is_usual` or `_ended_early` of `ValueEnds`; `python_value`; `decode_text` in `decode_json`."""
    for number in range(FILES):
        assert problems_of(Blobs(str(tmp_path)), made_file(form, number)) == [], f"file {number}"
