"""Rules that fire on the words of a text: kinds of mistake that it names, and prerequisites of the course's points."""

# ruff: noqa: E501 - a pattern is read as one line

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edugraph_analyzer.rule_based.lexicon_reading import Language, language_of


@dataclass(frozen=True)
class Fired:
    """A rule that fired: the kind of mistake, in the text's language, and the words that say so."""

    name: str
    words: str
    confidence: float


_SAID = 0.6  # the text names the mistake
_SHOWN = 0.5  # the two answers show it
_FLOAT_NOISE = 1e-9


def _rule(
    zh_name: str, en_name: str, zh: str, en: str
) -> tuple[dict[Language, str], re.Pattern[str]]:
    return {"zh": zh_name, "en": en_name}, re.compile(f"{zh}|{en}", re.IGNORECASE)


_RULES = (
    _rule("符号错误", "sign error", r"符号(?:写|看|弄)?(?:错|反|没变|忘)|(?:没有?|忘[了记]?|未|老是不|不)变号",
          r"sign errors?\b|(?:forgot|dropped|lost|ignored|missed|wrong|without changing)[^.\n]{0,20}\bsigns?\b"),
    _rule("单位错误", "unit error", r"单位(?:换算|没写|写错|忘|漏|错|不统一)|(?:漏|忘)了?(?:写)?单位",
          r"unit (?:error|conversion)|(?:forgot|missing|wrong|without|mixed)[^.\n]{0,12}\bunits?\b"),
    _rule("审题错误", "misread question", r"看错|抄错|读错|看漏|漏看|没看清|审题|读反|看反",
          r"\bmisread|\bmiscopied|copied[^.\n]{0,30}wrong|read[^.\n]{0,20}wrong"),
    _rule("粗心", "careless slip", r"粗心|马虎|笔误", r"\bcareless"),
    _rule("概念混淆", "concept confusion", r"混淆|搞混|弄混|当成了?|误认为|概念(?:不清|错误|没分清)|没有?分清|记反|弄反",
          r"\bconfus(?:ed|es|ing)\b[^.\n]{0,40}\b(?:with|and|for)\b|\bmix(?:ed|es) up\b|\bmistook\b|\bmisconception"),
    _rule("公式误用", "wrong formula", r"公式[^，。\n]{0,6}(?:错|成了?|反|混)|套错公式|误用公式",
          r"wrong formula|formula[^.\n]{0,15}(?:wrong|incorrect)|(?:area|perimeter|volume) formula instead"),
    _rule("遗漏步骤", "missed step", r"漏(?:乘|除|加|减|写|算|掉)|忘(?:记|了)?(?:乘|除|加|减|通分|检验|讨论)|少(?:乘|写|算)了?|跳步",
          r"\bforgot to\b|\bskipped\b|\bleft out\b|only multiplied|\bmissed (?:a|the) step"),
    _rule("计算错误", "calculation error", r"计算(?:错|出错|失误)|算错|忘(?:记|了)?(?:进位|借位)|(?:进位|借位)(?:错|出错)",
          r"arithmetic (?:error|mistake|slip)|calculation (?:error|mistake|slip)|miscalculat|forgot to (?:carry|borrow)"),
    _rule("时态错误", "tense error", r"时态(?:用|写)?错|(?:用|写)(?:成|错)了?(?:一般)?(?:现在|过去|完成)时|应(?:该)?用(?:一般)?(?:现在|过去|完成|将来)",
          r"wrong tense|tense (?:error|mistake)|should be (?:in )?(?:the )?(?:past|present|future)"),
    _rule("差一错误", "off-by-one error", r"差一(?:位|个)?错误|多算了?一个|少算了?一个",
          r"off[- ]by[- ]one|loop stopped at|index starts at 0|end of (?:the )?range is not included"),
)  # fmt: skip
_EXCEPTION = re.compile(
    r"\b(?:Syntax|Type|Name|Index|Key|Value|Indentation|Attribute|ZeroDivision)Error\b"
)
_ANSWERS = re.compile(
    r"(?:学生答案|Student's answer)\s*[:：]\s*(?P<own>.+)\n\s*(?:正确答案|Correct answer)\s*[:：]\s*(?P<right>.+)",
    re.IGNORECASE,
)


def mistakes_in(text: str) -> list[Fired]:
    """Return the kinds of mistake that a rule is sure of, the most general rules last. Often there are none."""
    language = language_of(text)
    fired = [
        Fired(names[language], match[0], _SAID)
        for names, rule in _RULES
        if (match := rule.search(text))
    ]
    raised = _EXCEPTION.search(text)
    if raised:
        fired.insert(0, Fired(raised[0], raised[0], _SAID))
    answers = _ANSWERS.search(text)
    own, right = (_number(answers["own"]), _number(answers["right"])) if answers else (None, None)
    if answers and own and right and own != right:
        ratio = abs(own / right)
        if own == -right:
            fired.append(
                Fired(
                    {"zh": "符号错误", "en": "sign error"}[language], answers["own"].strip(), _SHOWN
                )
            )
        elif any(abs(ratio / 10.0**power - 1) < _FLOAT_NOISE for power in (-3, -2, -1, 1, 2, 3)):
            name = {"zh": "小数点错误", "en": "decimal point error"}[language]
            fired.append(Fired(name, answers["own"].strip(), _SHOWN))
    return fired


def _number(text: str) -> float | None:
    bare = text.strip().strip("$ ").replace(",", "")
    return float(bare) if re.fullmatch(r"-?\d+(?:\.\d+)?", bare) else None


# --- prerequisites --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stated:
    """A prerequisite that a text states: `point` needs `requires`, and `words` say so. Both are points of the course.

    `confidence` is the lower end of the interval of 95 % of the share that a reader called right in textbooks.
    """

    point: str
    requires: str
    words: str
    confidence: float


_ZH = r"[^，。；：、！？,.;:!?\s]"
_EN = r"[A-Za-z][A-Za-z' \-]*?"
_AND_MORE = r"(?P<requires>[^。；！？,.;!?\n]{2,80}?)"
# "depends on", "requires", "relies on" and "assumes" are not among them: in textbooks they speak of values and programs.
_CUES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        (
            rf"(?:在)?(?:学习?|掌握|理解){{1,2}}(?P<point>{_ZH}{{2,16}}?)(?:之前|以前|前)[，,]?(?:你|我们|同学们|学生)?(?:需要|应该?|要|必须|得)?(?:首?先)?"
            rf"(?:熟练)?(?:掌握|学会|学好|学过|学习|了解|理解|复习|熟悉|会){_AND_MORE}(?=[。；！？，,;\n]|$)"
        ),
        rf"(?:所以|因此|可见)?(?P<requires>{_ZH}{{2,16}}?)是(?:学习|学好|理解|掌握)?(?P<point>{_ZH}{{2,16}}?)的(?:重要)?(?:基础|前提|先修)",
        rf"(?P<point>{_ZH}{{2,16}}?)(?:以|建立在)(?P<requires>{_ZH}{{2,20}}?)(?:为基础|为前提|的?基础上|之上)",
        rf"(?:掌握|学会|理解)了?{_AND_MORE}(?:之?后)?[，,]?(?:才能|再)(?:学习?|理解|掌握)(?P<point>{_ZH}{{2,16}}?)(?=[。；！？，,;\n]|$)",
        (
            rf"before (?:learning|studying|starting|you learn|you study|tackling) (?P<point>{_EN}),? (?:you|students|learners|we|one) "
            rf"(?:need|needs|should|must|have to|has to)(?: to)?(?: first)?(?: know| learn| master| understand| be comfortable with| review)? ?"
            rf"{_AND_MORE}(?=[.;!?\n,]| because| since|$)"
        ),
        rf"(?P<requires>{_EN}) (?:is|are) (?:a |the |an )?(?:prerequisites?|foundations?|basis) (?:for|of|to) (?P<point>{_EN})(?=[.;!?\n,]|$)",
        rf"(?P<point>{_EN}) (?:builds?|is based|are based) (?:up)?on {_AND_MORE}(?=[.;!?\n,]| because| since|$)",
    )
)
# 2 of 2 in 15 books.
_CUE_CONFIDENCE = 0.34
# A definition names the kind of thing that a point is, and what sets it apart: "A trinomial is a polynomial with exactly
# three terms." The kind is needed to understand it. A sentence with "the" speaks of one thing and defines none, and
# without the last part it may state a property.
_NO_DEFINITION = r"(?!(?:the|some|your|both|all)\b)"
_SETS_APART = r"(?= (?:that|which|whose|with|where|in which|for which|of the form|containing|consisting|having)\b)"
_DEFINITIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"^\s*{_NO_DEFINITION}(?:an? )?(?P<point>{_EN}) is an? (?P<requires>{_EN}){_SETS_APART}",
        rf"^\s*{_NO_DEFINITION}(?P<point>{_EN}s) are (?:two )?(?P<requires>{_EN}s){_SETS_APART}",
    )
)
# 8 of 8 in five books that had no part in the making of the rule.
_DEFINITION_CONFIDENCE = 0.67
# The sentences behind a task of this kind may be false.
_TASK = re.compile(
    r"\btrue or false\b|\btrue/false\b|\b(?:decide|determine|say|state|judge) (?:whether|if|which)\b|\bwhich of\b",
    re.IGNORECASE,
)
_SENTENCES_OF_TASK = 10
# Each pattern comes with the confidence of a prerequisite that it finds.
_Rules = tuple[tuple[re.Pattern[str], float], ...]
_CUE_RULES: _Rules = tuple((cue, _CUE_CONFIDENCE) for cue in _CUES)
_DEFINITION_RULES: _Rules = tuple((each, _DEFINITION_CONFIDENCE) for each in _DEFINITIONS)
# A sentence may go on in the next line, and ends at a blank one.
_SENTENCE = re.compile(r"(?:[^。！？!?；;.\n]|\n(?![^\S\n]*\n))+[。！？!?；;.]?")
_BETWEEN = re.compile(r"\s*(?:和|与|以及|及|、|，|,|\band\b)\s*")
_TRIMMED = re.compile(
    r"^(?:the|a|an|some|your|both|all of|学习|掌握)\s*\b|^(?:学习|掌握)|[也又都还]$|\s+(?:first|well|too|already)$",
    re.IGNORECASE,
)
# A sentence with one of these, outside of the names of points, states nothing that may be followed: negations,
# questions, conditions, and what others are said to think.
_UNSURE = re.compile(
    r"不(?!仅|但)|没|无(?!论)|非(?!常)|未|勿|莫|否|误|错|假|反对|如果|有人|据[说称]|号称|以为(?!基础)|难道|谣|传言|说法|观点|看法|过时|[吗呢?？]"
    r"|n['’]t\b|\b(?:not|no|never|nor|neither|none|nobody|nothing|without|hardly|barely|scarcely|rarely|seldom|cannot"
    r"|unlike|contrary|rather than|instead of|myth|false|untrue|wrong|incorrect|mistaken?|misconceptions?|doubt\w*"
    r"|den(?:y|ies|ied)|disputes?|claim(?:s|ed)?|believe[sd]?|supposed(?:ly)?|allegedly|people (?:say|think)"
    r"|some (?:say|think)|rumou?rs?|outdated|refuted|debunked|once|used to|if|whether|unless|may|might|could|would|suppose|seems?)\b",
    re.IGNORECASE,
)
# A course may have a pronoun or a clause as a point, since texts and people name points freely.
_PRONOUN = re.compile(
    r"^(?:它|他|她|这|那|其|此|我|你|您|同学|大家)"
    r"|\b(?:i|it|its|we|our|us|you|your|they|their|them|he|she|his|her|this|these|those|which|who|what|people)\b",
    re.IGNORECASE,
)
_SHORTEST_NAME = 2


def prerequisites_in(text: str, known_points: Sequence[str]) -> list[Stated]:
    """Return the pairs of known points that sentences state, each once.

    A sentence that is a question, or that has a negation or a condition, is left out.
    """
    names: dict[str, str] = {}
    for name in known_points:
        if len(name) >= _SHORTEST_NAME and not _PRONOUN.search(name):
            names.setdefault(_comparable(name), name)
    if not names:
        return []
    pairs: dict[tuple[str, str], Stated] = {}
    of_task = 0  # the number of next sentences that may belong to a task
    for sentence in _SENTENCE.findall(text):
        of_task = max(of_task - 1, 0)
        if _TASK.search(sentence):
            of_task = _SENTENCES_OF_TASK
        rules = _CUE_RULES
        if not of_task:
            rules = _CUE_RULES + _DEFINITION_RULES
        for stated in _stated_in(sentence, names, rules):
            if _is_sure(sentence, (stated.point, stated.requires)):
                pairs.setdefault((stated.point, stated.requires), stated)
    return list(pairs.values())


def _stated_in(sentence: str, names: Mapping[str, str], rules: _Rules) -> list[Stated]:
    """Return the prerequisites that the lines of a sentence state. A line may be a title above the sentence."""
    found = []
    for line in sentence.splitlines():
        for rule, confidence in rules:
            for match in rule.finditer(line):
                words = match[0].strip()
                for point, requires in _named_in(match, names):
                    found.append(Stated(point, requires, words, confidence))
    return found


def _named_in(match: re.Match[str], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the pairs of names that a cue has found.

    A sentence may require several things. Those after the first one without a known name may be part of a clause.
    """
    point = names.get(_comparable(match["point"]))
    if point is None:
        return []
    whole = names.get(_comparable(match["requires"]))
    if whole is not None:
        return [(point, whole)] if whole != point else []
    pairs = []
    for part in _BETWEEN.split(match["requires"]):
        requires = names.get(_comparable(part))
        if requires is None:
            break
        if requires != point:
            pairs.append((point, requires))
    return pairs


def _is_sure(sentence: str, names: Sequence[str]) -> bool:
    """Say whether a sentence has no negation and no condition outside of these names: 不等式 is a name."""
    rest = sentence.casefold()
    for name in names:
        rest = rest.replace(name.casefold(), " ")
    return _UNSURE.search(rest) is None


def _comparable(words: str) -> str:
    """Return what a name is compared by: without articles around it, case, width, spaces, and an s at its end."""
    trimmed = _TRIMMED.sub("", unicodedata.normalize("NFKC", words).strip()).strip()
    return " ".join(trimmed.casefold().split()).removesuffix("s")
