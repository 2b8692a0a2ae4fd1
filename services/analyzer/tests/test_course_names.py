"""Names of a course's members are found however they are written, and words that are also names are left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.name_forms import pinyin_of
from edugraph_analyzer.redaction import Redactor

# Each name with the ways in which it is written, and what of the text must go.
WRITTEN = {
    "阿依古丽·买买提": ("阿依古丽·买买提", "阿依古丽买买提", "阿依古丽•买买提", "阿依古丽 买买提", "阿依古丽", "买买提"),
    "古力米热·阿不都热合曼": ("古力米热·阿不都热合曼", "古力米热阿不都热合曼", "阿不都热合曼"),
    "陈思琪": ("陈思琪", "陈 思琪", "陈 思 琪", "思琪", "chen siqi", "Chen Siqi", "ChenSiqi", "Si Qi", "CHEN Siqi", "Siqi Chen", "siqi", "Chén Sīqí"),
    "吕丽华": ("lv lihua", "Lu Lihua", "lyu li hua", "LIHUA LV"),
    "曾子墨": ("Zeng Zimo", "zimozeng"),
    "欧阳静": ("ouyang jing", "Ou Yang Jing", "Jing Ouyang"),
    "Siobhán O'Brien": ("Siobhán O’Brien", "siobhan obrien", "SIOBHAN O'BRIEN", "O'Brien, Siobhan", "Siobhan", "O Brien", "obrien"),
    "Jean-Luc Dubois": ("Jean-Luc", "Jean Luc", "jeanluc dubois", "Dubois"),
    "María del Carmen López": ("maria del carmen", "Maria Lopez", "del Carmen López", "Carmen"),
    "Олег Иванов": ("Олег Иванов", "Иванов Олег", "олег", "Иванова", "Олегу Иванову"),
    "Ελένη Παππά": ("Ελένη", "παππα"),
    "محمد علي": ("محمد علي", "محمد"),
    "दीपक वर्मा": ("दीपक वर्मा", "वर्मा"),
    "김민수": ("김민수", "민수", "김 민수"),
    "さくら": ("さくら",),
    "山田 太郎": ("山田太郎", "山田", "太郎"),
    "สมชาย ใจดี": ("สมชาย", "ใจดี"),
    "陈晓 Cindy": ("陈晓", "Cindy"),
}  # fmt: skip
COURSE = CourseNames(WRITTEN)
FORMS = [(name, written) for name, of_name in WRITTEN.items() for written in of_name]
# What may stand beside a name. Han characters stand beside names of any script, and marks, digits and spaces too.
BESIDE = (
    ("", ""),
    ("和", "一起"),
    ("(", ")"),
    ("@", ":"),
    (" ", " "),
    ("_", "_"),
    ("“", "”"),
    ("12 ", " 3"),
)


@pytest.mark.parametrize("beside", BESIDE, ids=map("".join, BESIDE))
@pytest.mark.parametrize(("name", "written"), FORMS, ids=[written for _, written in FORMS])
def test_a_member_is_found_in_each_form(name: str, written: str, beside: tuple[str, str]) -> None:
    """Out: the points, the runs without spaces, the letters of India, pinyin, the stems, `_divided`, or the lower case."""
    before, behind = beside
    text = f"{before}{written}{behind}"
    for redactor in (Redactor((), [COURSE]), Redactor((Person("STUDENT", name, is_name=True),))):
        redacted = redactor.redact(text)
        rest = redacted
        for placeholder in redactor.originals:
            rest = rest.replace(placeholder, "")
        left = set(rest) - set(before) - set(behind)
        assert not {char for char in left if char.isalpha()}, redacted
        assert redactor.restore(redacted) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Mia", "Miami"),
        ("何然", "he ran home, and then he ran back"),
        ("马丽", "the formal income of Somali people"),
        ("Sunder Raj", "it's under the table"),
        ("Will Turner", "Will you turn the page? He will turn 12"),
        ("May Chen", "We met in May. May I go?"),
        ("Hope Adams", "I hope so. Hope helps us"),
        ("高兴", "我很高兴，今天真高兴"),
        ("白雪", "外面白雪一片"),
        ("李想", "他的理想是当老师"),
        ("王一", "一共有王一样的"),
        ("김민수", "국민 수영장"),
        ("김민수", "민숙이가 왔다"),
        ("Charles Hooke", "Charles's law and Hooke's law"),
    ],
)
def test_words_that_are_also_names_stay(name: str, text: str) -> None:
    """Out: `WORDS`, the boundary of a run, the edges, or the last consonant of a Korean syllable."""
    assert Redactor((), [CourseNames([name])]).redact(text) == text


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("Will Turner", "Will is mean", "Will"),
        ("Hope Adams", "Hope, can you help?", "Hope"),
        ("Will James Turner", "Will Turner sat here", "Will Turner"),
        ("Grace Lee", "thank you, Grace", "Grace"),
        ("高兴", "高兴同学今天没来", "高兴"),
        ("高兴", "我和高兴一起做题", "高兴"),
        ("白雪", "班主任白雪找我", "白雪"),
        ("超群", "超群他爸来了", "超群"),
        ("Charles Hooke", "Mr Hooke said so", "Hooke"),
    ],
)
def test_such_a_word_goes_where_it_is_used_as_a_name(name: str, text: str, found: str) -> None:
    assert Redactor((), [CourseNames([name])]).redact(text) == text.replace(found, "[PERSON_1]")


# Made-up word problems. Their persons are called like the member Neil Okafor.
PROBLEMS = (
    "Neil has 12 marbles and loses 5. How many marbles are left?",
    "A shop sells pens at $2. If Neil buys seven pens, how much does Neil pay?",
    "Ana gave Neil half of her 30 shells. What is the total number of shells that Neil has now?",
)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_person_of_a_word_problem_stays(problem: str) -> None:
    """Out: `_word_problems`."""
    redactor = Redactor((), [CourseNames(["Neil Okafor"])])
    assert (
        redactor.redact(f"{problem}\nI worked with a friend.")
        == f"{problem}\nI worked with a friend."
    )


@pytest.mark.parametrize(
    "text",
    [
        # The text speaks of a lesson or to a person.
        "Neil said it is 12 and I have 5. How many are right?",
        "Neil copied 3 of my 5 answers, how many did he get?",
        "How many of the 12 marbles do you have, if Neil has 5?",
        # The text asks for nothing, or has too few quantities.
        "Neil has 12 marbles and loses 5.",
        "How many marbles does Neil have?",
        # The name stands where a person is addressed or speaks.
        "Neil, a box has 12 marbles and loses 5. How many are left?",
        "Neil: a box has 12 marbles and loses 5. How many are left?",
        "A box has 12 marbles and loses 5. How many are left, Neil?",
        '"Neil" has 12 marbles and loses 5. How many are left?',
        "(Neil has 12 marbles and loses 5. How many are left?",
        # The problem is in another paragraph.
        "Neil is mean\nA box has 12 marbles and loses 5. How many are left?",
        "A box has 12 marbles and loses 5. How many are left?\nNeil is mean",
        # The name is not a frequent first name, or has two parts.
        "Okafor has 12 marbles and loses 5. How many are left?",
        "Neil Okafor has 12 marbles and loses 5. How many are left?",
    ],
)
def test_a_member_beside_a_word_problem_is_found(text: str) -> None:
    """Out: `_OF_A_LESSON`, the question, the quantities, the marks, the end of a paragraph, or the first names."""
    redacted = Redactor((), [CourseNames(["Neil Okafor"])]).redact(text)
    assert "Neil" not in redacted
    assert "Okafor" not in redacted


def test_the_person_of_a_record_is_found_in_a_word_problem() -> None:
    person = Person("STUDENT", "Neil Okafor", is_name=True)
    for problem in PROBLEMS:
        assert "Neil" not in Redactor((person,), [CourseNames(["Neil Okafor"])]).redact(problem)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ms. Okafor said no", "Okafor"),
        ("Mr Henderson said no", "Henderson"),
        ("Dr. O’Malley said no", "O’Malley"),
        ("dr patel told me", "patel"),
        ("Prof. Łukasiewicz said no", "Łukasiewicz"),
        ("Ms. Петрова said no", "Петрова"),
        ("Mr. van der Berg said no", "van der Berg"),
        ("Mme de la Tour said no", "de la Tour"),
        ("Sra. López said no", "López"),
        ("Madame Dubois said no", "Dubois"),
        ("Principal Skinner said no", "Skinner"),
        ("体育老师叫刘欣然", "刘欣然"),
        ("老师名叫张三丰", "张三丰"),
        ("王大锤老师批评我", "王大锤"),
        ("班主任徐丽华找我", "徐丽华"),
        ("心理老师周慧敏", "周慧敏"),
        ("我爸陈建军打我", "陈建军"),
        ("魏老师已经收到了", "魏"),
        ("我和孟雨涵一起做的", "孟雨涵"),
        ("韩萍，你来说", "韩萍"),
        ("Allison Hill, please answer", "Allison Hill"),
    ],
)
def test_people_on_no_list_are_found_by_titles_and_full_names(text: str, found: str) -> None:
    """Out: any form of `INTRODUCTIONS`."""
    assert Redactor(()).redact(text) == text.replace(found, "[PERSON_1]")


@pytest.mark.parametrize(
    "text",
    [
        "谢谢老师，任何老师都行",
        "对于老师来说",
        "历史老师和课程老师",
        "也许同学会来",
        "全班同学",
        "高中生同学",
        "我祝老师身体好",
        "诸葛亮和李白",
        "鲁迅老师",
        "Isaac Newton and Marie Curie",
        "甲乙丙丁三人",
        "it took 5 ms and ended",
        "石家庄同学",
        "Hong Kong is big",
        "a Principal Component and the Principal Value",
        "the Rev of the engine, the nurse and the principal",
        "老师叫周围的同学",
        "一种名叫光合作用的过程",
        "the Sahara Desert",
    ],
)
def test_words_beside_titles_and_known_people_stay(text: str) -> None:
    """Out: `_BEFORE_SURNAMES`, `_GROUPS`, `FAMOUS`, or the names of marks before a name."""
    assert Redactor(()).redact(text) == text


@given(
    st.lists(st.sampled_from([name for name, _ in FORMS]), min_size=1, max_size=4, unique=True),
    st.data(),
)
def test_no_letter_of_a_member_is_left_in_a_list_of_members(
    names: list[str], data: st.DataObject
) -> None:
    written = [data.draw(st.sampled_from(WRITTEN[name])) for name in names]
    text = "、".join(written)
    redactor = Redactor((), [CourseNames(names)])
    rest = redactor.redact(text)
    for placeholder in redactor.originals:
        rest = rest.replace(placeholder, "")
    assert not any(char.isalpha() for char in rest), rest


def test_pinyin_has_the_readings_of_surnames_and_all_spellings_of_the_vowel() -> None:
    assert ("shan", ("xiong",)) in pinyin_of("单雄")
    assert {surname for surname, _ in pinyin_of("吕丽")} == {"lv", "lu", "lyu"}
    assert pinyin_of("阿依古丽买买提") == ()
    assert pinyin_of("Mia") == ()
