"""Where a text holds something that identifies a person or opens a door. Pure.

Each detector yields the spans of its kind, in order, apart from each other. All of them take time in proportion to
the text: repeats are possessive or bounded, and what follows a match is not looked at twice.

Phone numbers are found with their country code or in groups, cards by their check digit (ISO/IEC 7812-1), IBANs by
country, length and check digits (ISO 13616).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import Any

Spans = Iterator[tuple[int, int]]
Detector = Callable[[str], Spans]

_AT = re.compile(r"@|%40")
_LOCAL_LENGTH = 64
_LOCAL_BACKWARDS = re.compile(rf"[\w.!#$%&'*+/=?^`{{|}}~-]{{1,{_LOCAL_LENGTH}}}+")
_DOMAIN = re.compile(r"\w[\w-]{0,62}+(?>(?:\.\w[\w-]{0,62}+){1,16})")


def emails(text: str) -> Spans:
    """Addresses, also where the @ is percent-encoded."""
    last = 0
    for at in _AT.finditer(text):
        before = text[max(last, at.start() - _LOCAL_LENGTH) : at.start()]
        local = _LOCAL_BACKWARDS.match(before[::-1])
        domain = _DOMAIN.match(text, at.end())
        if local is not None and domain is not None:
            yield at.start() - local.end(), domain.end()
            last = domain.end()


_GAP = r"[ .\u00a0\u2010-\u2015-]"
_DIGIT_GROUPS = re.compile(rf"\d++(?:{_GAP}\d++)*")
_DIGITS = re.compile(r"\d+")
_CARD_LENGTHS = range(13, 20)
_TWO_SERIES = 16  # cards whose number begins with 2 have sixteen digits


def cards(text: str) -> Spans:
    """Card numbers of 13 to 19 digits, in one piece or in groups."""
    for run in _DIGIT_GROUPS.finditer(text):
        if run.end() - run.start() < _CARD_LENGTHS.start:
            continue
        groups = [found.span() for found in _DIGITS.finditer(text, *run.span())]
        first = 0
        while first < len(groups):
            last = _card_end(text, groups, first)
            if last is None:
                first += 1
                continue
            yield groups[first][0], groups[last][1]
            first = last + 1


def _card_end(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the longest card number that begins with group *first*."""
    digits = ""
    found = None
    for number in range(first, len(groups)):
        begin, end = groups[number]
        if len(digits) + end - begin >= _CARD_LENGTHS.stop:
            break
        digits += text[begin:end]
        if len(digits) in _CARD_LENGTHS and _is_card(digits):
            found = number
    return found


def _is_card(digits: str) -> bool:
    values = [int(digit) for digit in digits]
    if values[0] not in (2, 3, 4, 5, 6) or (values[0] == 2 and len(values) != _TWO_SERIES):  # noqa: PLR2004  (issuers)
        return False
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[-2::-2])
    return (doubled + sum(values[-1::-2])) % 10 == 0


IBAN_LENGTHS: Mapping[str, int] = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FK FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Length of an IBAN by country: SWIFT's IBAN registry."""
_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}")
_IBAN_SIGN = re.compile(r"[ \u00a0-]?([A-Za-z0-9])")


def ibans(text: str) -> Spans:
    """International bank account numbers, in one piece or in groups."""
    at = 0
    while (start := _IBAN_START.search(text, at)) is not None:
        at = start.end()
        end = _iban_end(text, start.start())
        if end is not None:
            yield start.start(), end
            at = end


def _iban_end(text: str, begin: int) -> int | None:
    length = IBAN_LENGTHS.get(text[begin : begin + 2].upper())
    if length is None:
        return None
    signs, end = text[begin : begin + 4], begin + 4
    while len(signs) < length:
        found = _IBAN_SIGN.match(text, end)
        if found is None:
            return None
        signs, end = signs + found[1], found.end()
    turned = "".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])
    return end if int(turned) % 97 == 1 else None


# Each begins with a class, which the engine skips to; what may not stand before it is looked at then.
_PHONE_WITH_COUNTRY = re.compile(
    r"[+0](?<![\w.+].)(?:(?<=\+)|0)[ ]?[1-9]\d{0,2}+(?>(?:[ ./()\u00a0-]{0,3}+\d){6,14})"
)
_PHONE_OF_NORTH_AMERICA = re.compile(
    r"[(\d](?<![\w.-].)(?:(?<=\()\d{3}\)[ ]?|(?<!\()\d{2}[ .-])\d{3}[ .-]\d{4}(?!\w)"
)
_PHONE_IN_GROUPS = re.compile(
    r"[(0](?<![\w.,:/-].)(?:(?<=0)|0)\d{1,5}+\)?[ /\u00a0-]{1,3}+\d{2,12}+(?>(?:[ \u00a0-]\d{2,12}+){0,5})"
)
_FEWEST_DIGITS = 9


def phones(text: str) -> Spans:
    """Phone numbers with a country code, or in groups."""
    spans = [found.span() for found in _PHONE_WITH_COUNTRY.finditer(text)]
    spans += [found.span() for found in _PHONE_OF_NORTH_AMERICA.finditer(text)]
    for found in _PHONE_IN_GROUPS.finditer(text):
        if sum(map(str.isdigit, found[0])) >= _FEWEST_DIGITS:
            spans.append(found.span())
    yield from joined(spans)


_SIGNS = r"[\w.~+/=-]"
_RUN = re.compile(rf"(?<!{_SIGNS}){_SIGNS}{{8,}}+")
"""What is long enough to be a token."""
_TOKEN = re.compile(
    r"""
    (?<![A-Za-z0-9]) (?:
      sk-(?=[A-Za-z_-]*+\d)[\w-]{16,}+                              # OpenAI, Anthropic, DeepSeek, …
      | (?:sk|pk|rk)_(?:live|test)_\w{8,}+                          # Stripe
      | tka?_[0-9A-Za-z]{4,}+_\w{8,}+                               # Tollkeeper
      | gh[a-z]_\w{16,}+ | github_pat_\w{16,}+ | glpat-[\w-]{16,}+  # GitHub, GitLab
      | xox[a-z]-[\w-]{8,}+ | SG\.[\w-]{8,}+\.[\w-]{8,}+            # Slack, SendGrid
      | A(?:KI|SI|GP|ID|RO)A[0-9A-Z]{12,}+                          # AWS
      | AIza[\w-]{20,}+ | ya29\.[\w-]{16,}+                         # Google
      | hf_\w{16,}+ | gsk_\w{16,}+ | r8_\w{16,}+ | npm_\w{16,}+ | dop_v1_\w{16,}+
      | nvapi-[\w-]{16,}+ | pplx-\w{16,}+ | xai-\w{16,}+
      | eyJ[\w-]{4,}+\.[\w-]{4,}+(?>(?:\.{1,2}[\w-]++)*)                  # JSON Web Token
    )
    """,
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}+-----[^-]*+(?:-----END [A-Z0-9 ]{0,40}+-----)?")
_SCHEMES = ("bearer", "basic")
_SECRET_NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "token",
    "api_key", "api-key", "apikey", "access_key", "access-key", "accesskey",
    "secret_key", "secret-key", "secretkey", "private_key", "private-key", "privatekey",
)  # fmt: skip
"""How the names of members and variables end that hold a credential."""
_SEPARATOR = re.compile(r"[:=]")
_VALUE = re.compile(r"[=>]?[ \t]{0,4}+[\"']?([^\s\"'<>{}\[\],;]{6,}+)")
_USERINFO = re.compile(r"://[^\s/:@]{0,128}+:([^\s/@]{1,256}+)@")
_LOOK_BACK = 32
_SURE_LENGTH = 24


def credentials(text: str) -> Spans:
    """Keys of well-known shapes, private keys, bearer tokens, passwords in URLs, and what stands behind `password:`."""
    spans = [found.span() for found in _PRIVATE_KEY.finditer(text)]
    spans += [found.span(1) for found in _USERINFO.finditer(text)]
    for run in _RUN.finditer(text):
        begin, end = run.span()
        spans += [found.span() for found in _TOKEN.finditer(text, begin, end)]
        if _ends_with(text, begin, _SCHEMES) and _could_be_token(run[0]):
            spans.append((begin, end))
    spans += _named(text)
    yield from joined(spans)


def is_secret_name(name: str) -> bool:
    """Whether a member of this name holds a credential."""
    return name.lower().endswith((*_SECRET_NAMES, "authorization"))


def _named(text: str) -> Spans:
    """What stands behind `password=` and the like."""
    last = 0
    for separator in _SEPARATOR.finditer(text):
        if separator.start() < last or not _ends_with(text, separator.start(), _SECRET_NAMES):
            continue
        value = _VALUE.match(text, separator.end())
        if value is not None:
            yield value.span(1)
            last = value.end()


def _ends_with(text: str, end: int, words: tuple[str, ...]) -> bool:
    """Whether one of *words* stands before *end*; spaces and quotes in between do not count."""
    return text[max(0, end - _LOOK_BACK) : end].rstrip(" \t\"'").lower().endswith(words)


def _could_be_token(run: str) -> bool:
    """Whether it is no word, after all: `Bearer authentication`."""
    return len(run) >= _SURE_LENGTH or "=" in run or any(map(str.isdigit, run))


def joined(spans: list[tuple[int, int]]) -> Spans:
    """Overlapping spans as one; in order."""
    spans.sort()
    ends = accumulate((end for _, end in spans), max)
    begin = None
    last = 0
    for (start, _), end in zip(spans, ends, strict=True):
        if begin is None or start >= last:
            if begin is not None:
                yield begin, last
            begin = start
        last = end
    if begin is not None:
        yield begin, last


BUILT_IN_DETECTORS: Mapping[str, Detector] = {
    "credential": credentials,
    "email": emails,
    "iban": ibans,
    "card": cards,
    "phone": phones,
}

_WINDOW = 4_096


def own_detector(pattern: str, *, longest: int) -> Detector:
    """A detector of an own pattern (`settings.redaction`), which matches at most *longest* characters.

    It looks at one window of the text after the other, so that other threads have their turn in between.
    """
    search: Any = re.compile(pattern).search

    def spans(text: str) -> Spans:
        at, window_end = 0, _WINDOW
        while at < len(text):
            found = search(text, at, window_end + longest + 1)
            if found is None or found.start() >= window_end:
                at = window_end
                window_end += _WINDOW
                continue
            yield found.span()
            at = found.end()
            window_end = max(window_end, at)

    return spans
