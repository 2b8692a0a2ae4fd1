"""Sentences for the check of the redaction that were not written for it.

They are real sentences of lessons (the shared data for tests). A pronoun is replaced by a name, or a name, number or
address is put before or after the sentence. Names, numbers and addresses come from Faker, in the forms of several
countries. They are written as people write them: without capitals, without points, in pinyin, with spaces between
digits. Half of the sentences are for tuning, and the other half for the figures.
"""

# ruff: noqa: E501 - phrases and lists are read as lines

import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from faker import Faker
from pypinyin import Style, lazy_pinyin

from evaluation.privacy_labels import Labelled

LOCALES_OF_MEMBERS = {
    "zh": ("zh_CN", "zh_CN", "zh_CN", "zh_CN", "zh_TW", "en_US", "ko_KR", "ja_JP"),
    "en": ("en_US", "en_GB", "en_IN", "es_MX", "fr_FR", "de_DE", "pl_PL", "zh_CN", "vi_VN", "ru_RU", "ar_EG", "hi_IN", "el_GR"),
}  # fmt: skip
MEMBERS = 150
LINES = 1_200  # of each language and part
_UYGHUR = (
    "阿依古丽",
    "古丽米热",
    "艾克拜尔",
    "买买提",
    "吐尔逊",
    "阿不都热合曼",
    "热依汗",
    "努尔夏提",
    "迪丽努尔",
    "木拉提",
)
_APOSTROPHE = (
    "Siobhán O'Brien",
    "Aoife O'Sullivan",
    "N'Golo Kanté",
    "Jean-Luc D'Angelo",
    "Mary-Kate O'Neill",
    "Tariq al-Hakim",
)
_TITLES = {
    "zh": ("{}老师", "{}同学", "班主任{}", "{}主任", "{}阿姨"),
    "en": ("Ms. {}", "Mr {}", "Dr. {}", "Mrs. {}", "Prof. {}"),
}
_CUES = {
    "zh": {
        "phone": ("我的手机号是{}", "打{}找我妈", "电话{}", "有事联系{}", "{}是我爸的号码"),
        "document": ("身份证{}", "我的身份证号码是{}", "证件号：{}", "{}"),
        "card": ("卡号{}", "钱转到{}", "银行卡号是{}"),
        "email": ("邮箱{}", "作业发到{}吧", "{}"),
        "address": ("我家住{}", "地址：{}", "快递寄到{}", "我住在{}，放学来玩", "{}"),
    },
    "en": {
        "phone": ("my number is {}", "call me on {}", "text {} after school", "phone: {}", "{} is my mum's number"),
        "document": ("my SSN is {}", "social security number {}", "{}"),
        "card": ("the card is {}", "charge {}", "card number {}"),
        "email": ("mail me at {}", "send it to {}", "{}"),
        "address": ("we live at {}", "My address is {}.", "send it to {}", "{}", "come over, it's {}"),
    },
}  # fmt: skip
_PRONOUN = {
    "zh": re.compile(r"(?<![其吉])[他她](?!们)"),
    "en": re.compile(r"(?<=\s)(?:he|she)(?=\s)"),
}
_FULL_WIDTH = str.maketrans("0123456789", "０１２３４５６７８９")


class Course:
    """The members of one course, and the source of its sentences."""

    def __init__(self, language: str, part: str, records: Path) -> None:
        self.language = language
        self.part = part
        self.random = random.Random(f"{language} {part}")  # noqa: S311 - the same sentences each time
        self._fakers = {
            locale: Faker(locale)
            for locale in {
                *LOCALES_OF_MEMBERS[language],
                "zh_CN",
                "en_US",
                "en_GB",
                "de_DE",
                "fr_FR",
            }
        }
        for locale, faker in sorted(self._fakers.items()):
            faker.seed_instance(f"{locale} {part}")
        self.members = list(dict.fromkeys(self._member() for _ in range(MEMBERS)))
        odd = part == "unseen"
        self.sentences = [
            line for number, line in enumerate(_sentences(language, records)) if number % 2 == odd
        ]

    def rows(self) -> Iterator[Labelled]:
        """Yield sentences with one secret each, and as many sentences without a secret."""
        makers = (
            self._of_member,
            self._of_member,
            self._of_stranger,
            self._of_number,
            self._of_address,
        )
        for number in range(LINES):
            sentence = self.random.choice(self.sentences)
            maker: Callable[[str], tuple[str, str, str]] = makers[number % len(makers)]
            name, secret, text = maker(sentence)
            start = text.index("\0")
            text = text.replace("\0", secret)
            secrets = ((start, start + len(secret), name),)
            yield Labelled(
                f"{self.part}-{self.language}-{number}", self.language, (), text, secrets
            )
        for number, sentence in enumerate(
            self.random.sample(self.sentences, min(LINES, len(self.sentences)))
        ):
            yield Labelled(
                f"{self.part}-{self.language}-harmless-{number}", self.language, (), sentence, ()
            )

    def _member(self) -> str:
        kind = self.random.random()
        if kind < 0.08:
            names = self.random.sample(_UYGHUR, 2)
            return "·".join(names) if self.language == "zh" else self.random.choice(_APOSTROPHE)
        return self._name(self.random.choice(LOCALES_OF_MEMBERS[self.language]))

    def _name(self, locale: str) -> str:
        faker = self._fakers[locale]
        return (
            faker.name()
            if locale in ("zh_CN", "zh_TW", "ko_KR")
            else f"{faker.first_name()} {faker.last_name()}"
        )

    def _of_member(self, sentence: str) -> tuple[str, str, str]:
        member = self.random.choice(self.members)
        form, written = self.random.choice(list(_forms(member)))
        _, secret, text = self._named(sentence, written, "member")
        return f"member {form}", secret, text

    def _of_stranger(self, sentence: str) -> tuple[str, str, str]:
        locales = ("zh_CN",) if self.language == "zh" else ("en_US", "en_GB", "en_IN")
        return self._named(sentence, self._name(self.random.choice(locales)), "other")

    def _named(self, sentence: str, written: str, name: str) -> tuple[str, str, str]:
        titled = "\0"
        if self.random.random() < 0.25:
            titled = self.random.choice(_TITLES[self.language]).format("\0")
            name += " with a title"
        pronoun = list(_PRONOUN[self.language].finditer(sentence))
        if pronoun and self.random.random() < 0.7:
            place = self.random.choice(pronoun)
            return name, written, sentence[: place.start()] + titled + sentence[place.end() :]
        comma = "，" if self.language == "zh" else ", "
        if self.random.random() < 0.5:
            return name, written, f"{titled}{comma}{sentence}"
        return name, written, f"{sentence.rstrip('。.，,！!？? ')}{comma}{titled}"

    def _of_number(self, sentence: str) -> tuple[str, str, str]:
        locale = "zh_CN" if self.language == "zh" else self.random.choice(("en_US", "en_GB"))
        faker = self._fakers[locale]
        name = self.random.choice(("phone", "phone", "document", "card", "email"))
        if name == "document":
            number = faker.ssn() if locale != "en_GB" else self._fakers["en_US"].ssn()
        elif name == "email":
            number = faker.free_email()
        elif name == "card":
            number = faker.credit_card_number()
        else:
            number = faker.phone_number()
        if number.isdigit():
            number = self._split(number)
        return f"number: {name}", number, self._beside(sentence, name)

    def _split(self, number: str) -> str:
        """Write digits as people do: in groups, with dashes, in full width."""
        way = self.random.choice(
            ("as it is", "groups", "dashes", "full width", "groups in full width")
        )
        head = len(number) % 4
        groups = [number[:head]] if head else []
        groups += [number[at : at + 4] for at in range(head, len(number), 4)]
        written = {"groups": " ", "dashes": "-", "groups in full width": " "}.get(way, "").join(
            groups
        )
        return written.translate(_FULL_WIDTH) if "full width" in way else written

    def _of_address(self, sentence: str) -> tuple[str, str, str]:
        locale = (
            "zh_CN"
            if self.language == "zh"
            else self.random.choice(("en_US", "en_GB", "de_DE", "fr_FR"))
        )
        return "address", self._address(locale), self._beside(sentence, "address")

    def _address(self, locale: str) -> str:
        faker = self._fakers[locale]
        if locale == "zh_CN":
            house = self.random.choice(
                ("{}号", "{}号楼{}室", "{}弄{}号", "{}栋{}单元{}0{}", "{}小区{}幢")
            )
            numbers = [self.random.randint(1, 9) for _ in range(house.count("{}"))]
            if "小区" in house:
                return f"{faker.city_name()}市{faker.district()}区{faker.last_name()}{faker.first_name()}{house.format('', numbers[1])}"
            return f"{self.random.choice((faker.city_name() + '市', ''))}{faker.district()}区{faker.street_name()}{house.format(*numbers)}"
        if locale == "en_US" and self.random.random() < 0.5:
            return str(faker.address()).replace("\n", ", ")
        return str(faker.street_address()).replace("\n", ", ")

    def _beside(self, sentence: str, name: str) -> str:
        cue = self.random.choice(_CUES[self.language][name]).format("\0")
        comma = "，" if self.language == "zh" else ". "
        if self.random.random() < 0.5:
            return f"{cue}{comma}{sentence}"
        return f"{sentence.rstrip('。.，,！!？? ')}{comma}{cue}"


def _forms(member: str) -> Iterator[tuple[str, str]]:
    """Yield (name of the form, name in this form) for the ways in which people write a name."""
    is_chinese = re.fullmatch(r"[\u4e00-\u9fff]{2,3}", member) is not None
    is_latin = re.fullmatch(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff' \-]+", member) is not None
    yield "as it is on the list", member
    if "·" in member:
        yield "without its marks", member.replace("·", "")
        yield "by a part of the name", member.split("·", maxsplit=1)[0]
    elif is_chinese:
        surname = "".join(lazy_pinyin(member[0], style=Style.NORMAL))
        given = lazy_pinyin(member[1:], style=Style.NORMAL)
        yield "in pinyin", f"{surname} {''.join(given)}"
        yield "in pinyin", f"{surname.capitalize()} {''.join(given).capitalize()}"
        yield "in pinyin", f"{''.join(given).capitalize()} {surname.capitalize()}"
        yield "in pinyin", f"{surname}{''.join(given)}"
        yield "in pinyin", f"{surname.upper()} {' '.join(given)}"
        if len(member) == len("王小明"):
            yield "by a part of the name", member[1:]
        yield "with a space", f"{member[0]} {member[1:]}"
    elif " " in member and not re.search("[\u3040-\u9fff\uac00-\ud7a3]", member):
        first, last = member.split(" ", 1)
        yield "by a part of the name", first
        yield "in another order", f"{last}, {first}"
        if is_latin:
            yield "without capitals", member.lower()
            yield "without its marks", re.sub(r"['\-]", "", member)
            yield "without its marks", member.replace("-", " ").replace("'", "")
        else:
            yield "without capitals", member.lower()


def _sentences(language: str, records: Path) -> Iterator[str]:
    files = {"zh": ("dialogid_zh.ndjson",), "en": ("bridge.ndjson", "stepverify.ndjson")}[language]
    seen = set()
    for file in files:
        for line in (records / file).read_text(encoding="utf-8").splitlines():
            data = json.loads(line)["data"]
            for sentence in re.split(r"\n", data.get("text") or data.get("question") or ""):
                said = re.sub(r"^(?:tutor|student):\s*", "", sentence).strip()
                if 12 <= len(said) <= 300 and "[STUDENT]" not in said and said not in seen:
                    seen.add(said)
                    yield said
