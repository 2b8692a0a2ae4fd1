import time

import pytest
from addresses import in_ci

from edugraph_analyzer.documents import read_document
from edugraph_analyzer.rule_based import encoder
from edugraph_analyzer.rule_based.analyzer import MODEL, RuleBasedAnalyzer
from edugraph_analyzer.rule_based.cue_rules import mistakes_in, prerequisites_in
from edugraph_common.contracts.messages import CourseContext


def finding(record_type: str, context: CourseContext | None = None, **data):
    kinds = {"error_record": "error", "course_content": "knowledge_points"}
    record = {"type": record_type, "timestamp": "2026-01-05T08:00:00Z", "data": data}
    return RuleBasedAnalyzer().finding(
        read_document(record, kinds.get(record_type, "interaction"), [context] if context else [])
    )


def chat(text: str, **data):
    people = {"student_id_from": "a", "student_id_to": "b", "interaction_type": "chat"}
    return finding("student_interaction", **people, text=text, **data).finding


def mistake(text: str, context: CourseContext | None = None):
    return finding("error_record", context, student_id="a", course_id="c", error_text=text).finding


SENTIMENTS = [
    ("原来如此！你讲得比我自己翻书清楚多了，太感谢啦。", "positive"),
    ("终于懂了，谢谢你！", "positive"),
    ("今天的实验真好玩。", "positive"),
    ("别担心，你做得好。", "positive"),
    ("我不想学数学了，怎么都学不会。", "negative"),
    ("大家都笑我，我很难受。", "negative"),
    ("这节课太快，我跟不上。", "negative"),
    ("分数题我一点也不喜欢。", "negative"),
    ("第三题选哪个？", "neutral"),
    ("明天记得带量角器。", "neutral"),
    ("Thank you, that saved my evening!", "positive"),
    ("Great progress, keep it up.", "positive"),
    ("I finally got it and it works!", "positive"),
    ("I am stuck and so frustrated with fractions.", "negative"),
    ("Python hates me, I give up.", "negative"),
    ("I don't understand slope at all.", "negative"),
    ("This is not good.", "negative"),
    ("Which page is the homework on?", "neutral"),
    ("The test is on Friday.", "neutral"),
]


@pytest.mark.parametrize(("text", "sentiment"), SENTIMENTS)
def test_sentiment(text: str, sentiment: str) -> None:
    assert chat(text).sentiment == sentiment


def test_a_post_is_read_as_a_message_is() -> None:
    """The title is context. Out: the case of PostRecord in `read_document`."""
    data = {
        "student_id": "a",
        "course_id": "c",
        "title": "Slope",
        "text": "I am stuck and so frustrated with fractions.",
    }
    found = finding("post_record", **data).finding
    assert (found.kind, found.sentiment) == ("interaction", "negative")
    assert found.other_topics == ("fractions",)


def test_an_answer_that_nobody_has_judged_is_read_as_a_message_is() -> None:
    """The question is context. Out: `own_words` in `read_document`."""
    data = {
        "student_id": "a",
        "item_id": "q",
        "question": "Was it good?",
        "response": "I am lost in fractions and sad.",
    }
    found = finding("attempt_record", **data).finding
    assert (found.kind, found.sentiment, found.other_topics) == (
        "interaction",
        "negative",
        ("fractions",),
    )


def test_topics_are_those_that_the_record_and_the_text_name() -> None:
    found = chat("移项为什么要变号？", topics=["一元一次方程"])
    assert (found.topics, found.other_topics) == (("一元一次方程",), ("移项",))
    assert chat("I mixed up perimeter and area.").other_topics == ("perimeter", "area")


def test_a_mistake_is_linked_to_the_points_of_its_course() -> None:
    course = CourseContext(
        course_id="c", name="代数", knowledge_points=("去分母的方法", "平面镶嵌", "数轴")
    )
    found = mistake("去分母时右边的 1 没有乘 6", course)
    assert [point.name for point in found.knowledge_points] == ["去分母的方法"]
    english = CourseContext(
        course_id="c", name="Algebra", knowledge_points=("Adding fractions", "Photosynthesis")
    )
    found = mistake("Added fractions by adding tops and bottoms", english)
    assert "Adding fractions" in [point.name for point in found.knowledge_points]


def test_the_word_list_answers_where_no_point_of_the_course_is_like_the_text() -> None:
    course = CourseContext(
        course_id="c", name="Biology", knowledge_points=("photosynthesis", "cell division")
    )
    within = mistake("Said that photosynthesis happens at night; forgot the perimeter.", course)
    assert [point.name for point in within.knowledge_points] == ["photosynthesis"]
    beside = mistake("Mixed up perimeter and area.", course)
    assert [point.name for point in beside.knowledge_points] == ["perimeter", "area"]
    assert all(
        point.confidence < within.knowledge_points[0].confidence
        for point in beside.knowledge_points
    )


def test_a_point_of_many_is_less_sure_than_one_of_few() -> None:
    few = CourseContext(course_id="c", name="Maths", knowledge_points=("slope", "ratio"))
    many = CourseContext(
        course_id="c", name="Maths", knowledge_points=("slope", *(f"unit {n}" for n in range(500)))
    )
    surest = [
        mistake("The slope is 2.", course).knowledge_points[0].confidence for course in (few, many)
    ]
    assert surest[0] > 5 * surest[1]


@pytest.mark.parametrize(
    "text",
    [
        "tutor: Wonderful, I love it!\nstudent: 3/4",
        "Teacher : 太棒了！\n学生：十二",
        "老师：真可惜，别难过。\n学生：我选 B",
        "tutor: Great!\nYou are the best.\nstudent: is it 5?",
    ],
)
def test_a_tutor_s_praise_is_no_mood_of_the_student(text: str) -> None:
    assert chat(text).sentiment == "neutral"


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("tutor: Great!\nstudent: I hate this\nand I am frustrated", "negative"),
        ("老师：错了。\n学生：终于懂了，谢谢老师", "positive"),
        ("Reminder: thank you all for the wonderful afternoon", "positive"),
        ("student: no thank you, I am done", "neutral"),
    ],
)
def test_a_mood_is_found_in_the_turns_of_the_student(text: str, sentiment: str) -> None:
    assert chat(text).sentiment == sentiment


def test_no_topic_is_made_of_words_that_name_no_concept() -> None:
    long = chat("Ohh sorry, the chapter was incredibly long yesterday evening")
    assert (long.topics, long.other_topics) == ((), ())
    slow = chat("原来如此，对不起，速度慢一点没关系吧")
    assert slow.topics == ()
    assert slow.other_topics in ((), ("速度",))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("移项时忘了变号", ["符号错误"]),
        ("单位换算时乘了 3.6", ["单位错误"]),
        ("if score = 60: gives SyntaxError", ["SyntaxError"]),
        ("题目：化简\n学生答案：$$-3$$\n正确答案：$$3$$", ["符号错误"]),
        (
            "Question: x\nStudent's answer: $$0.25$$\nCorrect answer: $$2.5$$",
            ["decimal point error"],
        ),
        ("Question: x\nStudent's answer: $$7$$\nCorrect answer: $$9$$", []),
        ("答案是 9", []),
        ("She chose B.", []),
    ],
)
def test_an_error_type_only_if_a_rule_fires(text: str, names: list[str]) -> None:
    assert [fired.name for fired in mistakes_in(text)] == names
    assert [found.name for found in mistake(text).error_types] == names


def test_what_words_cannot_show_stays_empty() -> None:
    found = mistake("移项时忘了变号")
    assert (found.difficulty, found.severity) == (None, None)


KNOWN = [
    "密度",
    "质量",
    "体积的测量",
    "通分",
    "最小公倍数",
    "不等式",
    "while loops",
    "conditionals",
    "Slope",
    "ratios",
    "coordinate plane",
    "inequality",
    "Sum and Difference",
    "Elimination Method",
    "linear equations",
]


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("学习密度之前需要先掌握质量和体积的测量。", [("密度", "质量"), ("密度", "体积的测量")]),
        ("最小公倍数是通分的基础。", [("通分", "最小公倍数")]),
        ("最小公倍数是学习不等式的前提。", [("不等式", "最小公倍数")]),
        ("Before learning while loops you need conditionals.", [("while loops", "conditionals")]),
        (
            "Slope is based on ratios and the coordinate plane.",
            [("Slope", "ratios"), ("Slope", "coordinate plane")],
        ),
        ("A conditional is a prerequisite for the while loop.", [("while loops", "conditionals")]),
        ("Slope builds on Sum and Difference.", [("Slope", "Sum and Difference")]),
        ("Slope builds on slope and ratios.", [("Slope", "ratios")]),
        ("Slope\nSlope is based on ratios.", [("Slope", "ratios")]),
        ("Not for beginners\n\nSlope is based on ratios.", [("Slope", "ratios")]),
        ("A slope is a ratio of the form y / x.", [("Slope", "ratios")]),
        (
            "Slopes are ratios whose terms are lengths of sides.",
            [("Slope", "ratios")],
        ),
        ("An inequality is two ratios of the form a : b.", []),
        ("Inequalities: slopes are two ratios with one meaning.", []),
        ("通分很重要。", []),
        ("Slope is the rise divided by the run.", []),
    ],
)
def test_prerequisites_are_those_that_a_sentence_states(text: str, pairs: list) -> None:
    assert [(each.point, each.requires) for each in prerequisites_in(text, KNOWN)] == pairs


@pytest.mark.parametrize(
    "text",
    [
        # negations
        "Slope is not based on ratios.",
        "It isn't true that ratios are a prerequisite for slope.",
        "Ratios are never a foundation of slope.",
        "Slope is based on ratios without the coordinate plane.",
        "Before learning slope you should not learn ratios.",
        "学习密度之前不需要先掌握质量。",
        "质量并非学习密度的基础，最小公倍数是通分的基础吗。",
        "质量是密度的基础，这种说法没有根据。",
        "It is not true that\nslope is based on ratios.",
        "误区：质量是密度的基础。",
        # questions, conditions, and what others say
        "Are ratios a prerequisite for slope?",
        "Ratios are a prerequisite for slope?",
        "Slope is based on ratios, right?",
        "If slope is based on ratios, then what?",
        "Some students think ratios are a prerequisite for slope.",
        "Slope may be based on ratios, and slope is based on ratios in some books.",
        "In one view, which few believe, slope is based on ratios.",
        "Contrary to what is often said, ratios are a prerequisite for slope.",
        "如果质量是密度的基础，就先学质量。",
        "有人认为，质量是密度的基础。",
        "最小公倍数是通分的基础吗？",
        "质量是密度的基础，这是谣言。",
        "质量是密度的基础这一观点早已过时。",
        "An outdated book says:\nratios are a prerequisite for slope.",
        "Ratios are a prerequisite for slope, as we used to teach.",
        "Slope is based on ratios, which was refuted.",
        # values and programs, which textbooks speak of in these words
        "Slope depends on the coordinate plane.",
        "Slope requires ratios.",
        "The Elimination Method assumes linear equations.",
        "While loops rely on conditionals.",
        # sentences that speak of one thing, or state a property or a wrong definition
        "The slope is a ratio that we found.",
        "Some slopes are ratios that we know.",
        "Here a slope is a ratio that we know.",
        "A slope is a ratio.",
        "A slope is a useful ratio that we know.",
        "A slope is inequality that we know.",
        "Slopes are ratio that we know.",
        "A slope is a ratio that we know, if the coordinate plane is flat.",
        "A slope is a ratio that is not constant.",
        "Is it right that a slope is a ratio that we know?",
        "True or false?\nA slope is a ratio that we know.",
        "Which of these is right? A ratio is old. A slope is a ratio that we know.",
        # clauses, and points that nobody has
        "Slope is based on ratios that we know.",
        "Which form of slope is based on ratios?",
        "The slope of a line is based on ratios.",
        "Slope is based on the relation between a rise and ratios.",
        "我们以质量为基础。",
        "In math every topic builds upon previous work.",
        "Slope is based on slope.",
    ],
)
def test_what_states_no_prerequisite_of_two_known_points_is_left_out(text: str) -> None:
    assert prerequisites_in(text, KNOWN) == []


@pytest.mark.parametrize(
    "name",
    ["We", "you can", "which", "It does not", "every topic of our course", "我们", "这种方法"],
)
def test_a_pronoun_or_a_clause_is_no_point_although_a_graph_has_it(name: str) -> None:
    for text in (f"Slope is based on {name}.", f"{name} builds on slope.", f"{name}是通分的基础。"):
        assert prerequisites_in(text, (*KNOWN, name)) == []


def test_a_name_with_a_negation_in_it_is_a_name() -> None:
    found = prerequisites_in("学习不等式之前需要先掌握质量。", KNOWN)
    assert [(each.point, each.requires) for each in found] == [("不等式", "质量")]


def test_a_course_that_has_no_points_yet_has_no_prerequisites() -> None:
    text = "质量与体积之比叫做密度。学习密度之前需要先掌握质量。"
    assert (
        finding("course_content", course_id="c", title="密度", content=text).finding.prerequisites
        == ()
    )
    assert prerequisites_in(text, ()) == []
    assert prerequisites_in(text, ("密度",)) == []


def test_content_has_points_in_the_order_of_the_text() -> None:
    text = "质量与体积之比叫做密度。学习密度之前需要先掌握质量。"
    course = CourseContext(course_id="c", knowledge_points=("密度", "质量"))
    found = finding("course_content", course, course_id="c", title="密度", content=text).finding
    names = [point.name for point in found.knowledge_points]
    assert names.index("质量") < names.index("密度")
    assert {point.name for point in found.knowledge_points if point.importance == "core"} == {
        "密度"
    }
    assert [(each.point, each.requires) for each in found.prerequisites] == [("密度", "质量")]
    assert found.prerequisites[0].confidence == 0.34
    assert found.prerequisites[0].quote == "学习密度之前需要先掌握质量"


def test_a_definition_has_the_confidence_that_was_measured_for_definitions() -> None:
    """Out: the confidence of each rule; in `_content_finding`, the quote."""
    course = CourseContext(course_id="c", knowledge_points=("slope", "ratio"))
    text = "A slope is a ratio of the form y / x."
    found = finding("course_content", course, course_id="c", title="slope", content=text).finding
    assert [(each.point, each.requires) for each in found.prerequisites] == [("slope", "ratio")]
    assert found.prerequisites[0].confidence == 0.67
    assert found.prerequisites[0].quote == "A slope is a ratio"


def test_evidence_stands_in_the_text() -> None:
    text = "移项时忘了变号，写成 3x + 2x。"
    assert all(quote in text for quote in mistake(text).evidence)
    assert mistake(text).evidence


def test_each_finding_names_what_made_it() -> None:
    origin = finding("error_record", student_id="a", course_id="c", error_text="x").origin
    assert (origin.analyser, origin.model, origin.cost) == ("offline", MODEL, 0)


@pytest.mark.skipif(
    not encoder.is_installed() and not in_ci(), reason="the extra `offline` is not installed"
)
def test_only_the_thread_that_asks_computes_the_nearness() -> None:
    """More threads of the encoder spin and wait for each other: a text then takes a hundred times the CPU."""
    names = ("fractions", "negative numbers", "一元一次方程")
    encoder.nearness("1/2 + 1/3 = 2/5", names)  # loads the encoder
    ratios = []
    for attempt in range(
        5
    ):  # threads of other tests may take their share of one attempt, but hardly of all
        whole, own = time.process_time(), time.thread_time()
        for number in range(20):
            encoder.nearness(
                f"{attempt}, {number}: I added both denominators. 分母不能直接相加。", names
            )
        ratios.append((time.process_time() - whole) / (time.thread_time() - own))
    assert min(ratios) < 1.2
