from hypothesis import given
from hypothesis import strategies as st

from edugraph_importer.graph.unit_of_work import Fields, field_properties, put_field, read_fields

NAMES = ("a", "b", "c")
said = st.tuples(st.sampled_from(NAMES), st.integers(0, 9), st.sampled_from("12345"))


@given(st.lists(said, unique_by=lambda each: (each[0], each[2])), st.randoms())
def test_the_order_does_not_matter(facts: list[tuple[str, int, str]], random: object) -> None:
    def fold(facts: list[tuple[str, int, str]]) -> Fields:
        fields: Fields = {}
        for name, value, version_key in facts:
            put_field(fields, name, value, version_key)
        return fields

    shuffled = list(facts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert fold(facts) == fold(shuffled)


@given(
    st.dictionaries(
        st.sampled_from(NAMES), st.tuples(st.integers(), st.sampled_from(["", "1", "2", "3"]))
    )
)
def test_what_is_written_is_read_again(fields: Fields) -> None:
    written = {
        name: value for name, value in field_properties(fields, NAMES).items() if value is not None
    }
    assert read_fields(written, NAMES) == fields


def test_one_stamp_is_kept_once() -> None:
    written = field_properties({"a": (1, "2"), "b": (2, "2"), "c": (3, "1")}, NAMES)
    stamps = {name: value for name, value in written.items() if "stamp" in name}
    assert stamps == {"stamp": "2", "a_stamp": None, "b_stamp": None, "c_stamp": "1"}


def test_a_value_that_is_not_given_does_not_erase() -> None:
    fields: Fields = {"a": (1, "1")}
    assert not put_field(fields, "a", None, "2")
    assert not put_field(fields, "a", 2, "1")
    assert fields == {"a": (1, "1")}
