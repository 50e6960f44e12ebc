"""A small vocabulary to write a JSON contract as a value that checks itself. Pure.

`check` answers with the first member that breaks a rule, worded and coded as OpenAI words its 400 answers.
A member that is `null` is absent. Members no rule names are accepted.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


class Violation(msgspec.Struct, frozen=True):
    """The first breach: what to tell the client, where, and OpenAI's code for it."""

    message: str
    param: str | None
    code: str | None


class Rule(Protocol):
    """What a value at one place of the body must be."""

    @property
    def expected(self) -> str:
        """The types allowed, for the client to read."""
        ...

    def fits(self, value: Any) -> bool:
        """Whether *value* has the right JSON type."""
        ...

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """The first breach inside *value*, whose type fits."""
        ...


def check(value: Any, rule: Rule, *, path: str) -> Violation | None:
    """The first breach of *rule* by *value*, which stands at *path* of the body."""
    if rule.fits(value):
        return rule.breach(value, path=path)
    message = f"Invalid type for '{path}': expected {rule.expected}, but got {_type_name(value)} instead."
    return Violation(message, path, "invalid_type")


def missing(path: str) -> Violation:
    """A required member is not there."""
    return Violation(f"Missing required parameter: '{path}'.", path, "missing_required_parameter")


class Text(msgspec.Struct, frozen=True):
    """A string; with *choices*, one of them."""

    choices: tuple[str, ...] = ()
    expected: str = "a string"

    def fits(self, value: Any) -> bool:
        """Strings fit."""
        return isinstance(value, str)

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """A string that is none of the choices."""
        if not self.choices or value in self.choices:
            return None
        *most, last = (f"'{choice}'" for choice in self.choices)
        message = f"Invalid value: '{value}'. Supported values are: {', '.join(most)}, and {last}."
        return Violation(message, path, "invalid_value")


class Number(msgspec.Struct, frozen=True, kw_only=True):
    """A number within inclusive bounds; booleans are no numbers."""

    minimum: float | None = None
    maximum: float | None = None
    expected: str = "a decimal"

    def fits(self, value: Any) -> bool:
        """Numbers fit."""
        return isinstance(value, int | float) and not isinstance(value, bool)

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """A number out of bounds."""
        if self.minimum is not None and value < self.minimum:
            side, bound, sign, limit = "below", "minimum", ">=", self.minimum
        elif self.maximum is not None and value > self.maximum:
            side, bound, sign, limit = "above", "maximum", "<=", self.maximum
        else:
            return None
        kind = self.expected.split()[-1]
        message = (
            f"Invalid '{path}': {kind} {side} {bound} value. "
            f"Expected a value {sign} {limit:g}, but got {value} instead."
        )
        return Violation(message, path, f"{kind}_{side}_{bound[:3]}_value")


class Integer(Number, frozen=True, kw_only=True):
    """A whole number; 2.0 is one, as in JSON Schema."""

    expected: str = "an integer"

    def fits(self, value: Any) -> bool:
        """Numbers without a fraction fit."""
        return Number.fits(self, value) and value == value // 1


class Flag(msgspec.Struct, frozen=True):
    """true or false."""

    expected: str = "a boolean"

    def fits(self, value: Any) -> bool:
        """Booleans fit."""
        return isinstance(value, bool)

    def breach(self, value: Any, *, path: str) -> Violation | None:  # noqa: ARG002  nothing can be wrong
        """A boolean breaks no rule."""
        return None


class Items(msgspec.Struct, frozen=True):
    """An array whose items all follow *rule*."""

    rule: Rule
    may_be_empty: bool = True
    expected: str = "an array"

    def fits(self, value: Any) -> bool:
        """Arrays fit."""
        return isinstance(value, list)

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """An empty array, or the first bad item."""
        if not value and not self.may_be_empty:
            message = (
                f"Invalid '{path}': empty array. "
                "Expected an array with minimum length 1, but got an empty array instead."
            )
            return Violation(message, path, "empty_array")
        found = (check(item, self.rule, path=f"{path}[{index}]") for index, item in enumerate(value))
        return next((one for one in found if one is not None), None)


class Members(msgspec.Struct, frozen=True):
    """An object: *rules* by member name, *others* for the members not named there."""

    rules: Mapping[str, Rule] = {}
    required: tuple[str, ...] = ()
    others: Rule | None = None
    expected: str = "an object"

    def fits(self, value: Any) -> bool:
        """Objects fit."""
        return isinstance(value, dict)

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """A missing member, or the first bad one."""
        prefix = f"{path}." if path else ""
        for name in self.required:
            if value.get(name) is None:
                return missing(prefix + name)
        for name, member in value.items():
            rule = self.rules.get(name, self.others)
            found = None if rule is None or member is None else check(member, rule, path=prefix + name)
            if found is not None:
                return found
        return None


class OneOf(msgspec.Struct, frozen=True):
    """Several JSON types are allowed; the type of the value chooses the rule."""

    rules: tuple[Rule, ...]

    @property
    def expected(self) -> str:
        """All of them."""
        return "one of " + " or ".join(rule.expected for rule in self.rules)

    def fits(self, value: Any) -> bool:
        """What one of the rules fits."""
        return any(rule.fits(value) for rule in self.rules)

    def breach(self, value: Any, *, path: str) -> Violation | None:
        """What the rule of this type says."""
        return next(rule.breach(value, path=path) for rule in self.rules if rule.fits(value))


def _type_name(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a decimal", list: "an array"}
    return names.get(type(value), "null" if value is None else "an object")
