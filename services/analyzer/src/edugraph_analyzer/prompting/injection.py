"""Texts that speak to the model, and the fence between the texts of students and our instructions."""

# ruff: noqa: E501 - a pattern is read as one line

import re
from collections.abc import Callable, Iterable

from edugraph_analyzer.plain_text import folded, plain_reading

_TRIES = 8
_FENCE_CHARACTERS = 16

# "Positive" and "negative" are words of mathematics too, if one of these follows.
_NUMBER = r"\s(?:odd |even |whole )?(?:numbers?|integers?|terms?|signs?|slope|root|solutions?|factors?|divisors?)"
# A text that mentions other items or the answer is sent alone, so that the model's reaction affects no other student.
# A wrong match costs one request. Each repetition has a bound.
_SPEAKS_TO_MODEL = re.compile(
    r"</?\s?item|\"(?:answers|sentiment|evidence|confidence|severity)\"|(?:system|assistant|developer)\s?(?:prompt|message|mode|:)|\bprompt\b"
    r"|(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|rules?|above|previous|everything)"
    r"|\byou are (?:now|a|an)\b.{0,20}\b(?:assistant|model|ai|bot)\b"
    rf"|\br\s?\d{{1,2}}\b.{{0,60}}\b(?:sentiment|positive(?!{_NUMBER})|negative(?!{_NUMBER})|neutral|severity|evidence)|\b(?:sentiment|positive(?!{_NUMBER})|negative(?!{_NUMBER})|neutral|severity|evidence)\b.{{0,40}}\br\s?\d{{1,2}}\b"
    rf"|\b(?:other|all|every|each|next|previous|remaining|following|rest of the|else)\b.{{0,80}}\b(?:sentiment|positive(?!{_NUMBER})|negative(?!{_NUMBER})|neutral|severity|evidence|confidence|bad marks|label|in anger|unhappy|happy|miserable)"
    rf"|\b(?:sentiment|positive(?!{_NUMBER})|negative(?!{_NUMBER})|neutral|severity|evidence|label|rate|mark|mood)\b.{{0,60}}\b(?:other|all|every|each|next|remaining|following|rest of|second one|last one)\b"
    r"|(?:忽略|无视|忘记|忘掉|不要管|覆盖).{0,20}(?:指令|指示|要求|规则|提示|上面|以上|之前|前面)|系统(?:提示|消息|指令)|提示词|语言模型|开发者模式"
    rf"|(?:其他|其它|其余|别的|别人|所有|全部|每个|每一?条|下一条|上一条|后面|剩下|同批|除本条|一起被读|第[二三四五]条|r\s?\d).{{0,30}}(?:情感|情绪|心情|消极|积极|负面|正面|中性|严重|置信|抱怨|差评|沮丧|开心|高兴|negative(?!{_NUMBER})|positive(?!{_NUMBER})|neutral|severity)"
    r"|(?:情感|消极|积极|负面|正面|证据).{0,20}(?:其他|其余|别的|别人|所有条|每条|r\s?\d)",
    re.IGNORECASE | re.DOTALL,
)


# The pattern above cannot match a text without one of these. Searching them in lower case is many times faster.
_WORDS_TO_MODEL = re.compile(
    r"item|\"answers\"|system|assistant|developer|prompt|ignore|disregard|forget|override|you are |sentiment|positive|negative|neutral"
    r"|severity|evidence|confidence|bad marks|label|in anger|happy|miserable|rate|mark|mood"
    r"|忽略|无视|忘记|忘掉|不要管|覆盖|系统|提示词|语言模型|开发者模式"
    r"|情感|情绪|心情|消极|积极|负面|正面|中性|严重|置信|抱怨|差评|沮丧|开心|高兴|证据"
)


def speaks_to_model(text: str) -> bool:
    """Return whether a text seems to address the model, or to influence other items."""
    plain, _ = plain_reading(text)
    if not _WORDS_TO_MODEL.search(folded(plain)):
        return False
    return _SPEAKS_TO_MODEL.search(plain) is not None


def new_fence(new_id: Callable[[], str], texts: Iterable[str]) -> str:
    """Return the random characters in the marks of one request, which the author of a text cannot know.

    No text contains them, in any case.
    """
    all_texts = "\0".join(texts).casefold()
    for _ in range(_TRIES):
        fence = new_id()[:_FENCE_CHARACTERS].casefold()
        if fence not in all_texts:
            return fence
    raise ValueError(
        f"{_TRIES} random fences all stand in the texts of one request, so new_id is not random"
    )
