"""Private words that are known by their form: addresses of all sorts, phone and identity numbers, accounts, dates.

Each repetition in a pattern has a bound, so that a hostile text takes time in proportion to its length.
python-stdnum checks numbers with a check digit, and phonenumbers checks numbers in the form of a phone number.
"""

# ruff: noqa: E501 - a pattern is read as one line

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

import phonenumbers
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp

Span = tuple[int, int, str]
Found = re.Match[str]
_DIGITS = re.compile(r"\d")
_RUNS_OF_DIGITS = re.compile(r"\d+")
# No form needs more digits than this.
MOST_DIGITS = 17


def _whole(match: Found) -> tuple[int, int]:
    """Return the span to replace: the group `secret` if the pattern has one, and the whole match otherwise."""
    if "secret" in match.re.groupindex:
        return match.span("secret")
    return match.span()


class Needs(NamedTuple):
    """The least that a text must have so that a form can match.

    `digits` is the number of all its digits, `in_a_row` the length of its longest run of digits, and `beyond_ascii`
    says that it has a character that is not ASCII.
    """

    digits: int = 0
    in_a_row: int = 0
    beyond_ascii: bool = False

    @classmethod
    def met_by(cls, plain: str) -> Self:
        """Return the greatest needs that a plain text meets. Most forms need digits, which few texts have."""
        lengths = [len(run) for run in _RUNS_OF_DIGITS.findall(plain)]
        digits = min(sum(lengths), MOST_DIGITS)
        in_a_row = min(max(lengths, default=0), MOST_DIGITS)
        return cls(digits, in_a_row, not plain.isascii())


@dataclass(frozen=True)
class Form:
    """A form of private words. `pattern` cannot match a text that lacks `hint`, a cheap pattern, or lacks its `needs`.

    If the pattern ignores case, the hint is in lower case and is searched in the text in lower case, because a search
    that ignores case is many times slower. `span` returns the part of a match to replace, or None for a harmless
    match.
    """

    tag: str
    pattern: re.Pattern[str]
    hint: re.Pattern[str]
    ignores_case: bool
    span: Callable[[Found], tuple[int, int] | None]
    needs: Needs

    def spans(self, plain: str, lower: str) -> Sequence[Span]:
        """Return the private spans of a plain text. `lower` is the text in lower case (`plain_text.folded`)."""
        if not self.hint.search(lower if self.ignores_case else plain):
            return ()
        private = list[Span]()
        for match in self.pattern.finditer(plain):
            span = self.span(match)
            if span is None:
                continue
            start, end = span
            if start < end:
                private.append((start, end, self.tag))
        return private


def _if(holds: Callable[[str], bool]) -> Callable[[Found], tuple[int, int] | None]:
    """Return a function for `Form.span` that replaces a match whose secret part passes the check."""

    def span(match: Found) -> tuple[int, int] | None:
        start, end = _whole(match)
        if not holds(match.string[start:end]):
            return None
        return start, end

    return span


def _compact(found: str) -> str:
    return re.sub(r"[\s\-.]", "", found)


# --- web, mail and network ------------------------------------------------------------------------------------

_AT = r"(?:\s{0,3}[@#]\s{0,3}|\s{0,3}[\[({<]\s?(?:at|@)\s?[\])}>]\s{0,3}|\s{1,3}at\s{1,3}|\s{0,3}艾特\s{0,3})"
_DOT = r"(?:\s{0,3}\.\s{0,3}|\s{0,3}[\[({<]\s?(?:dot|\.)\s?[\])}>]\s{0,3}|\s{1,3}dot\s{1,3}|\s{0,3}点\s{0,3})"
_TLD = r"(?:com|cn|org|net|edu|gov|io|co|uk|de|fr|hk|tw|jp|kr|us|ca|au|info|me|school|example|test|invalid|ac)"
_IN_URL = r"[^\s<>\"'，。；！？、）】》\u3400-\u9fff]"
_SHORT_LINK = r"(?:com|cn|net|org|edu|gov|io|ly|be|gl|gd|me|co|tv|app|dev|site|top|uk|de|hk|tw)"
# Numbers of chapters and versions have the form of an address. Their parts are small.
_NUMBERED = re.compile(
    r"(?:(?<![a-z])(?:chapter|section|figure|fig\.?|version|ver\.?|v|table)|§|第|章|节|版本?|图|表)\s{0,2}$",
    re.IGNORECASE,
)
_LEAST_IN_AN_ADDRESS = 10


def _url(match: Found) -> tuple[int, int]:
    """Leave the full stop or bracket after an address, which belongs to the sentence."""
    address = match[0].rstrip(".,;:!?)]}'")
    return match.start(), match.start() + len(address)


def _ipv4(match: Found) -> tuple[int, int] | None:
    before = match.string[max(0, match.start() - 12) : match.start()]
    if _NUMBERED.search(before):
        return None
    parts = [int(part) for part in match["secret"].split(".")]
    if max(parts) < _LEAST_IN_AN_ADDRESS:
        return None
    return match.span()


def _is_ipv6(found: str) -> bool:
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return False
    return not address.is_loopback and _DIGITS.search(found) is not None


# --- telephones -----------------------------------------------------------------------------------------------

# Digits are a phone number if they are valid in any of these regions.
_REGIONS = (
    "CN",
    "HK",
    "TW",
    "US",
    "GB",
    "IN",
    "AU",
    "FR",
    "DE",
    "SG",
    "MY",
    "JP",
    "KR",
    "ES",
    "IT",
    "BR",
    "KE",
    "NG",
    "ZA",
)
_PHONE_CUES = (
    r"(?:电话|手机|座机|联系方式|打给我|传真|家里号码|号码|拨打|短信|(?<![a-z])(?:phone|mobile|cell|call|ring|tel|fax|text|whats\s?app|sms"
    r"|(?:my|her|his|home|mum's|dad's|mom's|contact) number|(?<!the )number is"
    r"|landline|(?:reach|contact) (?:me|us|him|her|them)|messages? to|answer(?:s|ing)? (?:at|on))(?![a-z]))"
)
_PHONE_HINT = r"电话|手机|座机|联系方式|打给我|传真|号码|拨打|短信|phone|mobile|cell|call|ring|tel|fax|text|whats|sms|number|landline|reach|contact|message|answer"
# Words behind a number that say which number it is, at the end of a line or part of a sentence.
_PHONE_CUES_BEHIND = r"(?:office|mobile|cell|fax|landline|手机|座机|传真)"
# Signs between the groups of a number, with those of Markdown, or a picture.
_GAP = r"(?:[\s\-.*_~\u00b7\u2022]{1,3}|[\u2600-\u27bf\U0001f000-\U0001faff])"
_REST_OF_MOBILE = (
    rf"(?:\d{{8}}|{_GAP}\d{{4}}{_GAP}\d{{4}}|{_GAP}\d{{8}}|\d{{4}}{_GAP}\d{{4}}|{_GAP}\d{{3}}{_GAP}\d{{5}}"
    rf"|\d{_GAP}\d{{4}}{_GAP}\d{{3}})"
)
_DIGIT_HAN = "〇零一二三四五六七八九幺壹贰叁肆伍陆柒捌玖"
_HAN_VALUE = {char: str(place) for place, char in enumerate("零一二三四五六七八九")} | {
    "〇": "0",
    "幺": "1",
}
_HAN_VALUE |= {char: str(place) for place, char in enumerate("壹贰叁肆伍陆柒捌玖", start=1)}
# A number is a quantity, or part of a calculation, if one of these follows it.
_QUANTITY = re.compile(
    r"\s{0,2}(?:[元个只颗米克吨千万亿人册本张件升²³%％°÷×*/=^+]|[km]?m\b|kg\b|-\s?\d)",
    re.IGNORECASE,
)
# A number is part of a calculation if one of these stands before it.
_CALCULATED = re.compile(r"[÷×*/=^√]\s{0,2}$")
_TEN = 10
# A number with the code of a country has at least this many digits. Fewer are more often a sum.
_FEWEST_ABROAD = 9


def is_phone(number: str, regions: tuple[str, ...] = _REGIONS) -> bool:
    """Return whether a number is assigned in one of the regions. A number with + need only be possible."""
    for region in regions:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if number.startswith("+"):
            is_one = phonenumbers.is_possible_number(parsed)
        else:
            is_one = phonenumbers.is_valid_number(parsed)
        if is_one:
            return True
    return False


def _international(match: Found) -> tuple[int, int] | None:
    """Drop the numbers that follow in the sentence one by one, until the rest is a phone number."""
    start, end = match.span()
    found = match.string[start:end]
    while len(_DIGITS.findall(found)) >= _FEWEST_ABROAD:
        if is_phone(found.replace("(0)", ""), ("ZZ",)):
            return start, start + len(found)
        separators = [separator.start() for separator in re.finditer(r"[\s.\-]+", found)]
        found = found[: max(separators, default=0)]
    return None


def _chinese_mobile(match: Found) -> tuple[int, int] | None:
    before = match.string[max(0, match.start() - 4) : match.start()]
    if _CALCULATED.search(before):
        return None
    is_grouped = re.search(rf"\d{_GAP}\d", match[0]) is not None
    if is_grouped:
        return match.span()
    if _QUANTITY.match(match.string, match.end()):
        return None
    number = _compact(match[0]).strip("()")
    if not is_phone(number, ("CN",)):
        return None
    return match.span()


def _with_trunk(match: Found) -> tuple[int, int] | None:
    """Replace a national number with its leading 0. One with fewer than ten digits must be an assigned number."""
    digits = "".join(_DIGITS.findall(match[0]))
    is_number = len(digits) >= _TEN or is_phone(digits)
    if not is_number:
        return None
    return match.span()


def _in_groups(match: Found) -> tuple[int, int] | None:
    """Replace three groups of digits that are not a calculation. Groups with spaces alone need the prefix 1."""
    before = match.string[max(0, match.start() - 4) : match.start()]
    if _CALCULATED.search(before) or _QUANTITY.match(match.string, match.end()):
        return None
    has_marks = re.search(r"[.\-()]", match[0]) is not None
    has_prefix = match[0].startswith("1")
    if not has_marks and not has_prefix:
        return None
    return match.span()


def _without_separators(match: Found) -> tuple[int, int] | None:
    """Replace a number that begins with 0. No quantity does, but the number of a book may."""
    before = match.string[max(0, match.start() - 8) : match.start()]
    if "isbn" in before.lower() or _CALCULATED.search(before):
        return None
    return match.span()


def _is_spelt_mobile(found: str) -> bool:
    """Return whether the digits, some of them in Chinese, are a Chinese mobile number."""
    digits = ""
    for char in found:
        if char in _HAN_VALUE:
            digits += _HAN_VALUE[char]
        elif char.isdigit():
            digits += char
    return re.fullmatch(r"1[3-9]\d{9}", digits) is not None


# --- documents and cards --------------------------------------------------------------------------------------

_DOCUMENT_CUES = (
    r"(?:护照|通行证|身份证|证件|社保|学籍号?|户口|(?<![a-z])(?:passport|id card|ssn|social security|social insurance|sin|nric|fin|hkid|nino|national insurance"
    r"|national id|aadhaar|pan card|cpf|dni|nie|nif|codice fiscale|tax id|bsn|pesel|personnummer|curp|rut|driving licence|driver's license|visa no)(?![a-z]))"
)
_DOCUMENT_HINT = (
    r"护照|通行证|身份证|证件|社保|学籍|户口|passport|id card|ssn|social|sin(?![a-z])|nric|fin(?![a-z])|hkid|nino|national|aadhaar|pan card"
    r"|cpf|dni|nie|nif|codice|tax id|bsn|pesel|personnummer|curp|rut|driving|driver's|visa no"
)
# Forms that need no cue beside them, because they have letters or fixed separators:
# (pattern, hint, (number of digits, longest run of digits), check)
_CHECKED_DOCUMENTS: tuple[tuple[str, str, tuple[int, int], Callable[[str], bool]], ...] = (
    (r"(?<![a-z0-9])[a-z]{6}\d{2}[a-z]\d{2}[a-z]\d{3}[a-z](?![a-z0-9])", r"[a-z]{6}\d\d", (7, 3), codicefiscale.is_valid),
    (r"(?<![a-z0-9])\d{8}-?[a-z](?![a-z0-9])", "", (8, 8), dni.is_valid),
    (r"(?<![a-z0-9])[xyz]-?\d{7}-?[a-z](?![a-z0-9])", "", (7, 7), nie.is_valid),
    (r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)", r"\.\d{3}-", (11, 3), cpf.is_valid),
    (r"(?<![\d.])[2-9]\d{3}\s\d{4}\s\d{4}(?![\s\d])", r"\d{4}\s", (12, 4), aadhaar.is_valid),
    (r"(?<!\d)\d{6}-[1-8]\d{6}(?!\d)", r"\d{6}-", (13, 7), rrn.is_valid),
    (r"(?<!\d)[12]\s?\d\d\s?\d\d\s?\d[\dab]\s?\d{3}\s?\d{3}\s?\d\d(?!\d)", r"[12]\s?\d\d", (14, 3), nir.is_valid),
    (r"(?<![a-z0-9])[a-z]{4}\d{6}[hm][a-z]{5}[a-z0-9]\d(?![a-z0-9])", r"\d{6}[hm]", (7, 6), curp.is_valid),
)  # fmt: skip
_FEWEST_IN_CARD = 12
_MOST_IN_CARD = 19
_CARD_CUES = re.compile(
    r"(?:卡|账号|账户|开户|card|visa|mastercard|maestro|amex|account|charge|debit|转到|转给|打到)[^\n\d]{0,14}$",
    re.IGNORECASE,
)


def _is_resident(found: str) -> bool:
    """Return whether this is a number by GB 11643: with the right check digit, or with a region and a birth date.

    A number with a slip in one of the two is still somebody's number.
    """
    number = _compact(found).upper()
    if ric.is_valid(number):
        return True
    return number[0] in "12345689" and _is_date(number[6:14])


def _is_date(digits: str) -> bool:
    try:
        return datetime.strptime(digits, "%Y%m%d").year in range(1900, 2100)  # noqa: DTZ007 - a date only
    except ValueError:
        return False


def _has_four_digits(found: str) -> bool:
    return len(_DIGITS.findall(found)) >= len("1234")


def _card(match: Found) -> tuple[int, int] | None:
    """Replace a number with the right check digit, or with a word for a card before it."""
    if luhn.is_valid(_compact(match[0])):
        return match.span()
    before = match.string[max(0, match.start() - 20) : match.start()]
    if not _CARD_CUES.search(before):
        return None
    return match.span()


def _any_card(match: Found) -> tuple[int, int] | None:
    """Replace a number of 12 to 19 digits with a word for a card before it, or with the right check digit."""
    digits = _compact(match[0])
    if not _FEWEST_IN_CARD <= len(digits) <= _MOST_IN_CARD:
        return None
    before = match.string[max(0, match.start() - 20) : match.start()]
    if _CARD_CUES.search(before):
        return match.span()
    is_checked = len(digits) > _FEWEST_IN_CARD and digits[0] in "23456" and luhn.is_valid(digits)
    if not is_checked:
        return None
    return match.span()


# --- accounts and students' numbers -----------------------------------------------------------------------------

ID_CUES = (
    r"(?:学生证号|学籍号|准考证号?|学号|考号|工号|编号|座位号|"
    r"(?<![a-z])(?:student|pupil|teacher|learner|staff|exam|candidate|matriculation)[\s_\-]?(?:id|no|nr|number|#)(?![a-z])\.?|"
    r"(?<![a-z])(?:id|matric)(?:[\s_\-]?(?:no|nr|number|card))?(?![a-z])\.?)"
    r"[\s:=#是为（(\-]{0,4}(?:is\s|was\s)?"
)
ID_HINT = re.compile(
    r"号|准考证|(?:student|pupil|teacher|learner|staff|exam|candidate|matriculation)[\s_\-]?(?:no|nr|number|#)"
    r"|id(?![a-z])|id(?:no|nr|number|card)|matric"
)
_ACCOUNT_CUES = (
    r"(?:QQ群?|扣扣|群号|微信|加我?V信?|薇信|威信|V信|抖音|快手|微博|小红书|支付宝|钉钉|B站|知乎|"
    r"(?<![a-z])(?:vx|wx|wechat|weixin|whats\s?app|telegram|skype|discord|insta(?:gram)?|snap(?:chat)?|tik\s?tok|line id|facebook|twitter|kik|steam|bilibili|uid)(?![a-z]))"
)
_ACCOUNT_HINT = (
    r"qq|扣扣|群号|加我?v|微信|v信|薇信|威信|抖音|快手|微博|小红书|支付宝|钉钉|b站|知乎|vx|wx|wechat|weixin|whats|telegram|skype"
    r"|discord|insta|snap|tik|line id|facebook|twitter|kik|steam|bilibili|uid"
)
_AFTER_ACCOUNT_CUE = r"(?:\s?(?:号码?|账号|帐号|id|uid|名|user\s?name|name|number|account|handle))?"


def _account(match: Found) -> tuple[int, int] | None:
    """Replace an account. A word without digits or marks is one only behind a colon or a word for an account."""
    start, end = match.span("secret")
    found = match.string[start:end].rstrip("._-")
    has_cue = re.search(
        r"[:=]|号|id|account|handle", match.string[match.start() : start], re.IGNORECASE
    )
    has_mark = re.search(r"[\d_@#]|\w\.\w", found)
    if not has_cue and not has_mark:
        return None
    return start, start + len(found)


# --- places, dates and vehicles -----------------------------------------------------------------------------------

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_HAN_NUMBER = "[一二三四五六七八九十百]"
_STREET = r"(?:路|大街|街|大道|道|巷|弄|胡同|坊|小区|花园|公寓|新村|家园|大厦|苑|村|社区|大院|家属院|公馆|山庄|别墅|广场|宿舍|新城|名城|豪庭|华庭|西园|东园|南园|北园|里|屯|庄|镇)"
_HOUSE = r"(?:号院|号楼|号|弄|栋|幢|组|座|单元)"
_INNER = r"(?:号院|号楼|号|栋|幢|座|单元|楼|层|室|户|房)"
_CHINESE_ADDRESS = (
    rf"[\u4e00-\u9fff]{_STREET}[东西南北中]?(?:{_HAN_NUMBER}{{1,2}}[段组里])?\s?(?:(?:\d{{1,5}}|{_HAN_NUMBER}{{1,4}}|[A-Z])\s?{_HOUSE}|\d{{1,3}}(?:-\d{{1,5}}){{1,3}}(?![\d\-]))"
    rf"(?:(?:[\u4e00-\u9fff]{{1,8}}?(?:园|苑|区|厦|寓|村|院|城|中心|广场))?\s?(?:[\dA-Za-z]{{1,5}}|{_HAN_NUMBER}{{1,3}})\s?{_INNER}){{0,5}}(?:\s?\d{{2,5}}(?!\d))?"
)
# The name of a place begins after one of these, because Chinese has no spaces between words.
_BEFORE_PLACE = re.compile(
    r"[^\u4e00-\u9fff0-9]|住在|家在|住址是?|地址是?|寄到|寄去|寄给|送到|快递到|搬到|位于|我住|家住|住|我在|在|到|于"
)
_LONGEST_PLACE = 24
_NAMES_OF_STREETS = (
    "(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Close|Way|Boulevard|Blvd|Place|Pl|Terrace|Square|Sq|Crescent|Gardens|Grove|Row|Mews|Highway|Parkway|Pkwy"
    # The suffixes of the United States' postal service.
    "|Alley|Annex|Arcade|Bayou|Beach|Bend|Bluffs?|Bottom|Branch|Bridge|Brooks?|Burgs?|Bypass|Camp|Canyon|Cape|Causeway|Centers?|Circles?|Cliffs?|Club|Common|Corners?|Course|Courts|Coves?|Creek|Crest"
    "|Crossing|Crossroad|Curve|Dale|Dam|Divide|Drives|Estates?|Expressway|Extensions?|Falls?|Ferry|Fields?|Flats?|Fords?|Forest|Forges?|Forks?|Fort|Freeway|Gardens?|Gateway|Glens?|Greens?|Groves"
    "|Harbors?|Haven|Heights|Hills?|Hollow|Inlet|Islands?|Isle|Junctions?|Keys?|Knolls?|Lakes?|Land|Landing|Lights?|Loaf|Locks?|Lodge|Loop|Mall|Manors?|Meadows?|Mills?|Mission|Motorway|Mountains?|Neck"
    "|Orchard|Oval|Overpass|Parks?|Parkways|Pass|Passage|Path|Pike|Pines?|Plains?|Plaza|Points?|Ports?|Prairie|Radial|Ramp|Ranch|Rapids?|Rest|Ridges?|River|Roads|Route|Run|Shoals?|Shores?|Skyway|Springs?"
    "|Spurs?|Squares|Station|Stravenue|Stream|Streets|Summit|Throughway|Trace|Track|Trafficway|Trail|Tunnel|Turnpike|Underpass|Unions?|Valleys?|Viaduct|Via|Rue|Views?|Villages?|Ville|Vista|Walks?|Wall|Ways|Wells?)"
)
_ROOM = r"(?:Flat|Apt|Apartment|Unit|Suite|Studio|Room|#)\.?\s?\w{1,6}"
_NUMBERED_ROOM = r"(?:Flat|Apt|Apartment|Unit|Suite|Studio|Room)\.?\s?[A-Z]?\d{1,5}[A-Za-z]?"
_POSTCODE = r"(?:[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}|[A-Z]{2}\s\d{5}(?:-\d{4})?)"
_TOWN = r"(?:,?\s[A-Z][a-z]{1,20}(?:\s[A-Z][a-z]{1,20})?)"
_LATIN_ADDRESS = (
    rf"(?<![\w.])(?:{_NUMBERED_ROOM},?\s(?:\d{{1,5}}[A-Za-z]?,?\s)?|\d{{1,5}}[A-Za-z]?,?\s)(?:[A-Z][\w'.\-]{{0,20}}\s){{1,4}}{_NAMES_OF_STREETS}\b\.?"
    rf"(?:,?\s{_ROOM})?{_TOWN}{{0,2}}(?:,?\s{_POSTCODE})?"
)
_HOUSE_NUMBER = r"\d{1,4}[a-z]?(?:\s?[/\-]\s?\d{1,4}[a-z]?)?(?!\w|\.\d)"
_EUROPEAN_ADDRESS = (
    r"(?<!\w)(?:(?:(?:Calle|Avenida|Avda\.?|Rua|Via|Rue|Plaza|Paseo)\s(?:[a-z']{1,12}\s){0,3}[A-Z]\w{1,20}(?:\s[A-Z]\w{1,20}){0,2},?|"
    rf"(?:[A-Z]\w{{1,25}}(?:-[A-Z]\w{{1,25}}){{0,2}}-(?:Straße|Strasse|Str\.|Weg|Platz|Gasse|Allee|Ring|Damm|Ufer)|[A-Z]\w{{1,25}}(?:straße|strasse|str\.|weg|platz|gasse|allee|damm)))\s{_HOUSE_NUMBER}"
    r"|\d{1,4}(?:\s?(?:bis|ter))?,?\s(?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Cc]hemin|[Pp]lace|[Ii]mpasse|[Aa]llee|[Qq]uai|[Cc]ours|[Rr]oute)\s(?:(?:de|du|des|la|le|les)\s|[dl]'){0,3}[A-Z]\w{1,20}(?:[\s\-][A-Z]\w{1,20}){0,2})"
    r"(?:,\s(?:\d{4,5}\s)?[A-Z]\w{1,20})?"
)
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DATE = (
    r"(?:(?:\d{4}|\d{2})\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?[日号])?|\d{1,2}\s?月\s?\d{1,2}\s?[日号]?|\d{4}[./\-]\d{1,2}[./\-]\d{1,2}|\d{1,2}[./\-]\d{1,2}[./\-](?:\d{4}|\d{2})(?!\d)|"
    rf"\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}})?|{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?|(?:19|20)\d{{6}}(?!\d))"
)
_BIRTH_CUE = r"(?:出生(?:日期|年月日?|于|在)?|生日|生辰|生于|(?<![a-z])(?:birth\s?day|b-?day|born|birth|dob)(?![a-z])|d\.o\.b\.?)"
# The name of a field of a form.
_BIRTH_FIELD = (
    r"(?:出生(?:日期|年月日?)|(?<![a-z])(?:date\sof\sbirth|birth\s?date|dob)(?![a-z])|d\.o\.b\.?)"
)
_BIRTH_HINT = r"出生|生日|生辰|生于|birth|b-?day|born|dob|d\.o\.b"
_YEAR = re.compile(r"(?:1[0-9]|20)\d\d")
# Grandparents of pupils were born after this year. People who were born earlier are in history books.
_OLDEST_BIRTH_YEAR = 1930
# A form is filled in by a living person.
_OLDEST_BIRTH_YEAR_IN_FORM = 1900


def _address_in_chinese(match: Found) -> tuple[int, int]:
    """Add the name of the place before a street: it begins after the last word that cannot be part of it."""
    begins = max(0, match.start() - _LONGEST_PLACE)
    before = match.string[begins : match.start()]
    ends_of_words = [word.end() for word in _BEFORE_PLACE.finditer(before)]
    return begins + max(ends_of_words, default=0), match.end()


def _is_birth_date(found: str) -> bool:
    year = _YEAR.search(found)
    return year is None or int(year[0]) >= _OLDEST_BIRTH_YEAR


def _is_birth_date_in_form(found: str) -> bool:
    year = _YEAR.search(found)
    return year is None or int(year[0]) >= _OLDEST_BIRTH_YEAR_IN_FORM


def _looks_like_plate(found: str) -> bool:
    return bool(re.search(r"[A-Z]", found) and _DIGITS.search(found))


# --- all of them --------------------------------------------------------------------------------------------------


def _form(
    tag: str,
    pattern: str,
    hint: str,
    span: Callable[[Found], tuple[int, int] | None] = _whole,
    *,
    ignore_case: bool = True,
    digits: int = 0,
    in_a_row: int = 0,
    beyond_ascii: bool = False,
) -> Form:
    flags = re.IGNORECASE if ignore_case else re.RegexFlag(0)
    needs = Needs(digits, in_a_row, beyond_ascii)
    return Form(tag, re.compile(pattern, flags), re.compile(hint), ignore_case, span, needs)


FORMS = (
    _form("URL", rf"(?<![a-z])(?:[a-z][a-z0-9+.\-]{{1,15}}://|www\.){_IN_URL}{{1,2000}}", r"://|www\.", _url),
    _form("URL", rf"(?<![a-z0-9@.\-])(?:[a-z0-9\-]{{1,63}}\.){{1,4}}{_SHORT_LINK}/{_IN_URL}{{1,2000}}", r"\.[a-z]{2,4}/", _url),
    _form("EMAIL", r"[a-z0-9._%+\-]{1,64}@(?:[a-z0-9\-]{1,63}(?:\.[a-z0-9\-]{1,63}){1,8}|[a-z][a-z0-9\-]{3,62})", r"@"),
    _form("EMAIL", rf"(?<![a-z0-9])[a-z0-9][a-z0-9._%+\-]{{0,63}}{_AT}(?:[a-z0-9\-]{{1,63}}{_DOT}){{1,4}}{_TLD}(?![a-z0-9])", r"@|#|\bat\b|艾特"),
    _form("IP", r"(?<![\d.])(?P<secret>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d))(?::\d{2,5})?(?!\.?\d)", r"\d\.\d", _ipv4, digits=4, in_a_row=1),
    _form("IP", r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", r":[0-9a-f]{0,4}:", _if(_is_ipv6)),
    # A Chinese resident's number of 18 or 15 digits, numbers of Hong Kong, Taiwan, Singapore, the United Kingdom and
    # the United States, and numbers behind a cue.
    _form("IDNUMBER", r"(?<![\d.])\d{2}(?:[\s\-]?\d){14}[\s\-]?\d[\s\-]?[\dx](?![\da-z])", "", _if(_is_resident), digits=17, in_a_row=2),
    _form("IDNUMBER", r"(?<!\d)[1-9]\d{14}(?!\d)", "", _if(lambda found: _is_date("19" + found[6:12])), digits=15, in_a_row=15),
    _form("IDNUMBER", r"(?<![a-z])[a-z]{1,2}\d{6}\s?\([\da]\)", "", digits=6, in_a_row=6),
    _form("IDNUMBER", r"(?<![a-z0-9])[a-z][1289]\d{8}(?!\d)", "", digits=9, in_a_row=9),
    _form("IDNUMBER", r"(?<![a-z0-9])[stfgm]\d{7}[a-z](?![a-z0-9])", r"[stfgm]\d{7}", digits=7, in_a_row=7),
    _form("IDNUMBER", r"(?<![A-Za-z0-9])[A-Z]{2}(?:\s?\d{2}){3}\s?[A-D](?![A-Za-z0-9])", r"[A-Z]{2}\s?\d\d", ignore_case=False, digits=6, in_a_row=2),
    _form("IDNUMBER", r"(?<![\d\-])\d{3}-\d{2}-\d{4}(?![\d\-])", r"\d{3}-\d\d-", digits=9, in_a_row=4),
    _form("IDNUMBER", rf"{_DOCUMENT_CUES}[^\d\n]{{0,24}}?(?P<secret>(?<![a-z])[a-z]{{0,3}}\d(?:[a-z0-9]|[\s\-./](?=[a-z0-9]{{0,6}}\d)){{4,23}}(?:\([\da]\))?)(?![a-z0-9])", _DOCUMENT_HINT, _if(_has_four_digits), digits=1, in_a_row=1),
    *(_form("IDNUMBER", pattern, hint, _if(check), digits=digits, in_a_row=row) for pattern, hint, (digits, row), check in _CHECKED_DOCUMENTS),
    _form("PHONE", r"(?<![\w)\]}$=.])\+[1-9]\d{0,2}(?:[\s.\-]{0,2}\(?\d\)?){6,16}(?!\d)", r"\+\d", _international, digits=7, in_a_row=1),
    _form("PHONE", rf"(?<![\d.])(?:\(?(?:\+|00)?86\)?[\s\-]{{0,3}})?1[3-9]\d{_REST_OF_MOBILE}(?!\d)", r"1[3-9]\d", _chinese_mobile, digits=11, in_a_row=4),
    _form("PHONE", r"(?<![\d.])1([\s\-.])[3-9](?:\1\d){9}(?!\1?\d)", r"1[\s\-.][3-9][\s\-.]\d", digits=11, in_a_row=1),
    _form("PHONE", r"(?<![\d.+\-])(?:\(0\d{1,4}\)\s?|0\d{1,4}[\s\-])\d{2,8}(?:[\s\-]\d{2,4}){0,4}(?:[\s\-转x]{1,3}\d{1,5})?(?!\d)", r"0\d{1,4}[\s\-)]", _with_trunk, digits=4, in_a_row=2),
    _form("PHONE", r"(?<![\d.])400[\s\-]?\d{3,4}[\s\-]?\d{3,4}(?!\d)", r"400", _if(lambda found: len(_compact(found)) == _TEN), digits=9, in_a_row=3),
    _form("PHONE", r"(?<![\d.])(?:1[\s.\-])?(?:\([2-9]\d{2}\)[\s.\-]{0,2}|[2-9]\d{2}[\s.\-]{1,2})[2-9]\d{2}[.\-\s]\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6}|(?![\d.]\d))", "", _in_groups, digits=10, in_a_row=4),
    _form("PHONE", r"(?<![\d.\-])(?:\(\d{3}\)\s?\d{3}-|\d{3}-\d{3}-|\d{3}\.\d{3}\.)\d{4}(?:\s?(?:x|ext\.?)\s?\d{1,6}|(?![\-.]?\d))", r"\d{3}[\-.]\d{4}", _in_groups, digits=10, in_a_row=4),
    _form("PHONE", r"(?<![\w.\-+])0(?=[01]{0,9}[2-9])[1-9]\d{8,9}(?![\w.%])", r"0[1-9]\d{8}", _without_separators, digits=10, in_a_row=10),
    _form("PHONE", rf"(?P<secret>(?<![\d.])\d(?:[\s\-.()]?\d){{6,14}})[ ,:(]{{1,3}}{_PHONE_CUES_BEHIND}(?=[ )]{{0,2}}(?:[\n,.;。，；]|$))", _PHONE_CUES_BEHIND, digits=7, in_a_row=1),
    _form("PHONE", rf"{_PHONE_CUES}(?:[^\d\n]{{0,14}}|\s?:\s{{1,3}})(?P<secret>\d(?:[\s\-.()]{{0,3}}\d){{6,14}})(?!\d)", _PHONE_HINT, digits=7, in_a_row=1),
    _form("PHONE", rf"[{_DIGIT_HAN}](?:[\s\-、]?[{_DIGIT_HAN}\d]){{10}}(?![{_DIGIT_HAN}])", rf"[{_DIGIT_HAN}][\s\-、]?[{_DIGIT_HAN}\d]", _if(_is_spelt_mobile), beyond_ascii=True),
    _form("CARD", r"(?<![\d.])[3-6]\d{3}(?:[\s\-]?\d{4}){3}(?:[\s\-]?\d{1,3})?(?!\d)", "", _card, digits=16, in_a_row=4),
    _form("CARD", r"(?<![\d.\-])(?:\d{1,4}(?:[\s\-]\d{3,6}){2,5}|\d{12,19})(?![\d\-])", "", _any_card, digits=7, in_a_row=3),
    _form("CARD", r"(?<![\d.])3[47]\d{2}[\s\-]?\d{6}[\s\-]?\d{5}(?!\d)", r"3[47]\d\d", _card, digits=15, in_a_row=6),
    _form("CARD", r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?[A-Z0-9]{1,4})?(?![A-Z0-9])", r"[A-Z]{2}\d\d", _if(iban.is_valid), ignore_case=False, digits=2, in_a_row=2),
    _form("ACCOUNT", rf"{_ACCOUNT_CUES}{_AFTER_ACCOUNT_CUE}[\s:=是为(]{{0,4}}(?:is\s)?(?:(?:id|uid)[\s:]{{1,3}})?(?P<secret>(?=(?:\d[\s\-]?){{5}})\d{{1,6}}(?:[\s\-]\d{{1,6}}){{1,11}}(?!\d)|@?[a-z0-9][a-z0-9_.\-]{{2,31}}(?:\#\d{{4}})?)", _ACCOUNT_HINT, _account),
    _form("STUDENTID", rf"{ID_CUES}(?P<secret>(?=(?:\d\s?){{5}})\d{{1,4}}(?:\s\d{{1,4}}){{2,7}}(?!\d)|[a-z]{{0,6}}[\-_]?\d[a-z0-9\-_]{{2,24}}(?:\s\d{{3,6}}(?!\d)){{0,3}})", ID_HINT.pattern, digits=1, in_a_row=1),
    _form("STUDENTID", r"(?<![a-z0-9])(?:stu|student|sid|xs|uid)[\-_#]?\d{2,16}(?![a-z0-9])", r"stu|sid|xs|uid", digits=2, in_a_row=2),
    _form("STUDENTID", r"(?<![a-z0-9.$])[a-z]{1,3}[\-]?\d{6,12}(?![a-z0-9])", "", digits=6, in_a_row=6),
    _form("STUDENTID", r"(?<![a-z0-9.$])20[0-3]\d\d{6,8}(?![a-z0-9.])", "", digits=10, in_a_row=10),
    _form("ADDRESS", _CHINESE_ADDRESS, r"[路街道巷弄同坊区园寓村厦苑院馆庄墅场舍城庭里屯镇]", _address_in_chinese, ignore_case=False, beyond_ascii=True),
    _form("ADDRESS", r"(?:住址|家庭地址|通讯地址|收货地址)\s?(?:是|为|:|：)\s?(?P<secret>[^\s，。；,;!！?？]{4,40})", r"[住地]址", beyond_ascii=True),
    _form("ADDRESS", _LATIN_ADDRESS, _NAMES_OF_STREETS, ignore_case=False, digits=1, in_a_row=1),
    _form("ADDRESS", _EUROPEAN_ADDRESS, r"Calle|Aven|aven|Avda|Rua|Via|[Rr]ue|Plaza|Paseo|[Ss]tra|[Ss]tr\.|[Ww]eg|[Pp]latz|[Gg]asse|[Aa]llee|[Dd]amm|Ufer|Ring|oulevard|hemin|lace|mpasse|uai|ours|oute", ignore_case=False, digits=1, in_a_row=1),
    _form("ADDRESS", rf"(?<!\w)P\.?\s?O\.?\sBox\s\d{{1,7}}{_TOWN}?", r"Box", ignore_case=False, digits=1, in_a_row=1),
    _form("ADDRESS", r"(?<![\w.])[A-Z]{1,2}\d[A-Z\d]?\s\d[A-Z]{2}(?![\w.])", r"\d[A-Z]{2}", ignore_case=False, digits=2, in_a_row=1),
    _form("BIRTHDATE", rf"{_BIRTH_FIELD}[^\d\n。!?]{{0,14}}?(?P<secret>{_DATE})", _BIRTH_HINT, _if(_is_birth_date_in_form), digits=1, in_a_row=1),
    _form("BIRTHDATE", rf"{_BIRTH_CUE}[^\d\n。!?]{{0,14}}?(?P<secret>{_DATE})", _BIRTH_HINT, _if(_is_birth_date), digits=1, in_a_row=1),
    _form("BIRTHDATE", rf"(?P<secret>(?<!\d){_DATE})[)）,，\s]{{0,2}}(?:是我?的?生日|出生|生的?(?=[)），。,.\s]|$)|born|is\smy\sb)", r"生|born|is\smy\sb", _if(_is_birth_date), digits=1, in_a_row=1),
    _form("PLATE", rf"[{_PROVINCES}][A-HJ-NP-Z][·.\-\s]?(?=[A-HJ-NP-Z]{{0,5}}\d)[A-HJ-NP-Z0-9]{{4,5}}[A-HJ-NP-Z0-9学警挂港澳](?![A-Za-z0-9])", rf"[{_PROVINCES}][A-Z]", ignore_case=False, digits=1, in_a_row=1, beyond_ascii=True),
    _form("PLATE", r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}\s[A-Z]{3}(?![A-Za-z0-9])", r"\d\d\s[A-Z]{3}", ignore_case=False, digits=2, in_a_row=2),
    _form("PLATE", r"(?:(?i:(?<![a-z])(?:plate|registration|reg|licen[cs]e plate|number plate)(?![a-z]))|车牌)(?:(?i:\s(?:number|no\.?|is))|号码?)?[\s:：是]{0,4}(?:(?i:is)\s)?(?P<secret>[A-Z0-9]{2,4}[\s\-]?[A-Z0-9]{2,4}(?:\s[A-Z])?)(?![A-Za-z0-9])", r"[Pp][Ll][Aa][Tt][Ee]|[Rr][Ee][Gg]|车牌", _if(_looks_like_plate), ignore_case=False),
)  # fmt: skip
