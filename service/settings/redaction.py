"""What may be redacted of captured content: the kinds we know, and the operator's own patterns. Pure.

An own pattern is a part of regular expressions that no text can make slow: characters, classes, groups and
alternatives, each repeated a bounded number of times, as in `EMP-[0-9]{4,8}`. What it matches has at most `LONGEST`
characters, and at one place of a text there are at most `MOST_WAYS` ways to match it.
"""

import re
from collections.abc import Mapping

import msgspec

from service.errors import ConfigurationError

BUILT_IN = ("credential", "email", "iban", "card", "phone")
LONGEST = 128
MOST_WAYS = 1_000
_SHORTEST = 3
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)
_WIDE_ESCAPES = "dDwWsStn"
_REPEAT = re.compile(r"\{(\d{1,3})(?:(,)(\d{1,3})?)?\}", re.ASCII)
_IGNORE_CASE = "(?i)"


def check_patterns(patterns: Mapping[str, str], *, key: str) -> None:
    """Refuse own patterns that cannot be used; *key* is the setting."""
    for name, pattern in patterns.items():
        if problem := name_problem(name):
            raise ConfigurationError(f"{key}: {problem}")
        if problem := pattern_problem(pattern):
            raise ConfigurationError(f"{key}.{name}: {problem}")


class _Shape(msgspec.Struct, frozen=True):
    """How few and how many characters a part of a pattern matches, and in how many ways."""

    shortest: int
    longest: int
    ways: int

    def then(self, other: "_Shape") -> "_Shape":
        """Both, one after the other."""
        return _Shape(self.shortest + other.shortest, self.longest + other.longest, self.ways * other.ways)

    def either(self, other: "_Shape") -> "_Shape":
        """One of the two."""
        return _Shape(
            min(self.shortest, other.shortest),
            max(self.longest, other.longest),
            self.ways + other.ways,
        )

    def repeated(self, least: int, most: int) -> "_Shape":
        """So often."""
        ways = sum(self.ways**times for times in range(least, most + 1))
        return _Shape(self.shortest * least, self.longest * most, ways)


_NOTHING = _Shape(0, 0, 1)
_ONE = _Shape(1, 1, 1)


class _RefusedError(Exception):
    """Why a pattern is not taken."""


def name_problem(name: str) -> str | None:
    """What is wrong with the name of an own pattern; None if nothing is."""
    if not _NAME.fullmatch(name):
        return f"{name[:50]!r} is no name; write up to 40 lower-case letters, digits, hyphens and underscores"
    if name in BUILT_IN or name == "withheld":
        return f"{name!r} has a meaning already; choose another name"
    return None


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with an own pattern; None if nothing is."""
    try:
        shape = _Reader(pattern.removeprefix(_IGNORE_CASE)).whole()
        re.compile(pattern)
    except _RefusedError as refused:
        return str(refused)
    except (re.error, OverflowError) as error:
        return f"it is no regular expression: {error}"
    if shape.shortest < _SHORTEST:
        return f"it matches fewer than {_SHORTEST} characters"
    if shape.longest > LONGEST:
        return f"it matches up to {shape.longest} characters; {LONGEST} is the most"
    if shape.ways > MOST_WAYS:
        return f"there are more than {MOST_WAYS} ways to match one text; bound its repeats more tightly"
    return None


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> _Shape:
        """The whole pattern."""
        shape = self._alternatives()
        if self._at < len(self._text):
            raise _RefusedError("it has a ) without its (; write \\) for the character")
        return shape

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        found = self._next()
        self._at += 1
        return found

    def _alternatives(self) -> _Shape:
        shape = self._sequence()
        while self._next() == "|":
            self._at += 1
            shape = shape.either(self._sequence())
        return shape

    def _sequence(self) -> _Shape:
        shape = _NOTHING
        while self._next() not in ("", "|", ")"):
            shape = shape.then(self._repeats(self._atom()))
        return shape

    def _atom(self) -> _Shape:
        match self._take():
            case "\\":
                return self._escape()
            case "[":
                return self._class()
            case "(":
                return self._group()
            case "*" | "+" | "?" | "{" | "}" as sign:
                raise _RefusedError(
                    f"{sign} stands where nothing can be repeated; write \\{sign} for the character"
                )
            case "^" | "$" as sign:
                raise _RefusedError(f"{sign} is not taken; write \\b for the edge of a word")
            case _:
                return _ONE

    def _escape(self) -> _Shape:
        letter = self._take()
        if letter == "b":
            return _NOTHING
        if not letter or (letter.isalnum() and letter not in _WIDE_ESCAPES):
            raise _RefusedError(f"\\{letter} is not taken; \\d \\w \\s \\b and escaped signs are")
        return _ONE

    def _class(self) -> _Shape:
        begin = self._at
        while (letter := self._take()) != "]" or self._text[begin : self._at - 1] in ("", "^"):
            if not letter:
                raise _RefusedError("it has a [ without its ]")
            if letter == "[":
                raise _RefusedError("[ stands in a class; write \\[")
            if letter in "-&~|" and letter == self._next():
                raise _RefusedError(f"{letter}{letter} stands in a class; write \\{letter} for the character")
            if letter == "\\":
                self._escape()
        return _ONE

    def _group(self) -> _Shape:
        if not self._text.startswith("?:", self._at):
            raise _RefusedError("groups are written (?:…)")
        self._at += 2
        shape = self._alternatives()
        if self._take() != ")":
            raise _RefusedError("it has a ( without its )")
        return shape

    def _repeats(self, shape: _Shape) -> _Shape:
        sign = self._next()
        if sign == "?":
            self._at += 1
            shape = shape.repeated(0, 1)
        elif sign in ("*", "+"):
            raise _RefusedError(
                f"{sign} has no bound; write {{{'0' if sign == '*' else '1'},20}} or the like"
            )
        elif sign == "{":
            shape = self._counted(shape)
        else:
            return shape
        if self._next() in ("?", "*", "+", "{"):
            raise _RefusedError("two repeats follow each other")
        return shape

    def _counted(self, shape: _Shape) -> _Shape:
        found = _REPEAT.match(self._text, self._at)
        if found is None:
            raise _RefusedError("{ begins no repeat such as {3} or {1,20}; write \\{ for the character")
        self._at = found.end()
        least = int(found[1])
        if found[2] and found[3] is None:
            raise _RefusedError(f"{found[0]} has no upper bound; write {{{least},{least + 20}}} or the like")
        most = int(found[3] or least)
        if most < least or most > LONGEST:
            raise _RefusedError(f"{found[0]} must count upwards, to {LONGEST} at most")
        return shape.repeated(least, most)
