"""Texts and JSON values without what may not be kept. Pure.

What is found is replaced by its kind in brackets, such as `[email]`. Masks are never looked into, so that redacting
twice is redacting once. JSON stays JSON: strings are redacted one by one, also as names of members and where a string
is itself JSON (arguments of tool calls); a number that is a card number becomes a string. A member whose name says
that it holds a credential is masked whole. Lists of single tokens (log probabilities) are left out, because they
would spell out what is redacted in the text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from service.content.detectors import BUILT_IN_DETECTORS, Detector, is_secret_name, own_detector
from service.settings.redaction import BUILT_IN, LONGEST

WITHHELD = "withheld"
ROUNDS = 6
CUT = "\U0010ffff"
"""Stands at the end of a text that was cut; no character has this number."""
DEEPEST = 64
SHORTEST = 3
"""Characters that any detector needs."""
SHORTEST_NUMBER = 13
"""Digits that our own detectors need."""
SPELLED_OUT = frozenset({"logprobs", "prompt_logprobs", "prompt_token_ids", "token_ids"})
"""Members that list an answer token by token."""


class Redactor:
    """Removes some kinds of things. *detectors* are tried in order."""

    def __init__(self, detectors: Mapping[str, Detector]) -> None:
        self._detectors = dict(detectors)
        self._secret_members = "credential" in detectors
        self._shortest_number = SHORTEST_NUMBER if set(detectors) <= set(BUILT_IN) else SHORTEST
        names = "|".join(map(re.escape, (*BUILT_IN, *detectors, WITHHELD)))
        self._mask = re.compile(rf"(\[(?:{names})\])")

    def text(self, text: str, counts: Counter[str]) -> str:
        """*text* without them; *counts* tells how many of each kind were found.

        Of a text that ends with `CUT`, the end goes: half a secret looks like none. Where removing one thing brings
        another to light again and again, the whole text is withheld.
        """
        if text.endswith(CUT):
            text = self._beginning(text.removesuffix(CUT))
        if len(text) < SHORTEST:
            return text
        for _ in range(ROUNDS):
            redacted = self._once(text, counts)
            if redacted == text:
                return text
            text = redacted
        counts[WITHHELD] += 1
        return f"[{WITHHELD}]"

    def value(self, value: Any, counts: Counter[str], *, depth: int = 0) -> Any:
        """A decoded JSON value without them."""
        if depth > DEEPEST:
            counts[WITHHELD] += 1
            return f"[{WITHHELD}]"
        match value:
            case str():
                return self._string(value, counts, depth=depth)
            case list():
                return [self.value(item, counts, depth=depth + 1) for item in value]
            case dict():
                return self._object(value, counts, depth=depth)
            case _:
                return self._scalar(value, counts)

    def _scalar(self, value: Any, counts: Counter[str]) -> Any:
        shown = str(value)
        if value is None or isinstance(value, bool) or len(shown) < self._shortest_number:
            return value
        redacted = self.text(shown, counts)
        return value if redacted == shown else redacted

    def _object(self, value: dict[str, Any], counts: Counter[str], *, depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, member in value.items():
            if name in SPELLED_OUT and isinstance(member, list | dict):
                continue
            if self._secret_members and isinstance(member, str | int | float) and is_secret_name(name):
                kept[name] = self._secret(member, counts)
            else:
                kept[self.text(name, counts)] = self.value(member, counts, depth=depth + 1)
        return kept

    def _secret(self, member: str | float, counts: Counter[str]) -> Any:
        if isinstance(member, bool) or member in ("", "[credential]"):
            return member
        counts["credential"] += 1
        return "[credential]"

    def _string(self, text: str, counts: Counter[str], *, depth: int) -> str:
        inner = _json_within(text)
        if inner is None:
            return self.text(text, counts)
        redacted = self.value(inner, counts, depth=depth + 1)
        return text if redacted == inner else msgspec.json.encode(redacted).decode()

    def _beginning(self, text: str) -> str:
        """Without the last `LONGEST` characters and the word before them, and without what stands across that cut.

        No secret of several words is longer; what is longer has no space in it.
        """
        cut = max(0, len(text) - LONGEST)
        while cut and not text[cut - 1].isspace():
            cut -= 1
        spans = [span for detect in self._detectors.values() for span in detect(text)]
        for begin, end in sorted(spans, reverse=True):
            if begin < cut < end:
                cut = begin
        return text[:cut]

    def _once(self, text: str, counts: Counter[str]) -> str:
        for name, detect in self._detectors.items():
            pieces = self._mask.split(text) if "[" in text else [text]  # every second one is a mask
            for position in range(0, len(pieces), 2):
                pieces[position] = _masked(pieces[position], detect, name=name, counts=counts)
            text = "".join(pieces)
        return text


def redactor_of(redact: Iterable[str] | None, *, patterns: Mapping[str, str]) -> Redactor:
    """The redactor of a project; *patterns* are the operator's own. Raises KeyError for a kind that is unknown."""
    own = {name: own_detector(pattern, longest=LONGEST) for name, pattern in patterns.items()}
    every = {**own, **BUILT_IN_DETECTORS}
    wanted = every if redact is None else set(redact)
    for name in wanted:
        every[name]  # a kind that nobody can find must not be ignored
    return Redactor({name: detect for name, detect in every.items() if name in wanted})


def _masked(text: str, detect: Detector, *, name: str, counts: Counter[str]) -> str:
    if not text:
        return text
    parts = []
    last = 0
    for begin, end in detect(text):
        parts += [text[last:begin], f"[{name}]"]
        last = end
        counts[name] += 1
    return "".join([*parts, text[last:]]) if parts else text


def _json_within(text: str) -> Any:
    """The object or list that a string holds as JSON; None where it holds none."""
    if text[:1] + text[-1:] not in ("{}", "[]"):
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
