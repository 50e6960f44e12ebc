"""Own patterns: what is taken, what is refused and why, and that no text makes one slow."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import ConfigurationError
from service.settings.redaction import LONGEST, check_patterns, name_problem, pattern_problem

TAKEN = [
    r"EMP-[0-9]{4,8}",
    r"(?i)employee \d{6}",
    r"\bT\d{3}\b",
    r"[A-Z]{2}-?(?:\d{3}|\d{5})",
    r"[]a]{3}",
    r"[^]a]{3}",
    r"[\]\-x-z]{3,4}",
    r"a.c",
    r"\(\w{3,8}\)",
    "Müller[0-9]{2}",
    r"abcd?",
    "x{3}",
]
REFUSED = {
    r"EMP-\d*": "* has no bound; write {0,20} or the like",
    r"EMP-\d+": "+ has no bound; write {1,20} or the like",
    r"EMP-\d{4,}": "{4,} has no upper bound; write {4,24} or the like",
    r"(\d{3})": "groups are written (?:…)",
    r"(?=abc)": "groups are written (?:…)",
    r"(?:abc": "it has a ( without its )",
    r"abc)": "it has a ) without its (; write \\) for the character",
    r"[abc": "it has a [ without its ]",
    r"[a--c]{3}": "-- stands in a class; write \\- for the character",
    r"[]": "it has a [ without its ]",
    r"[[:alpha:]]{3}": "[ stands in a class; write \\[",
    r"^abc": "^ is not taken; write \\b for the edge of a word",
    r"abc$": "$ is not taken; write \\b for the edge of a word",
    r"(?:abc)\1": "\\1 is not taken; \\d \\w \\s \\b and escaped signs are",
    "abc\\": "\\ is not taken; \\d \\w \\s \\b and escaped signs are",
    r"*abc": "* stands where nothing can be repeated; write \\* for the character",
    r"abc}": "} stands where nothing can be repeated; write \\} for the character",
    r"a{x}": "{ begins no repeat such as {3} or {1,20}; write \\{ for the character",
    r"a{3}{3}": "two repeats follow each other",
    r"a{3}?": "two repeats follow each other",
    r"a{5,3}": "{5,3} must count upwards, to 128 at most",
    r"a{129}": "{129} must count upwards, to 128 at most",
    r"ab": "it matches fewer than 3 characters",
    r"a{2,9}": "it matches fewer than 3 characters",
    r"abc|": "it matches fewer than 3 characters",
    r"": "it matches fewer than 3 characters",
    r"a{100}b{100}": "it matches up to 200 characters; 128 is the most",
    r"a{2}(?:a{1,9}){1,9}": "there are more than 1000 ways to match one text; bound its repeats more tightly",
    r"(?:a|a){20}": "there are more than 1000 ways to match one text; bound its repeats more tightly",
    r"a{1,40}a{1,40}b": "there are more than 1000 ways to match one text; bound its repeats more tightly",
    r"[z-a]{3}": "it is no regular expression: bad character range z-a at position 1",
}


@pytest.mark.parametrize("pattern", TAKEN)
def test_bounded_patterns_are_taken(pattern: str) -> None:
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize("pattern", REFUSED)
def test_others_are_refused_with_what_to_do(pattern: str) -> None:
    assert pattern_problem(pattern) == REFUSED[pattern]


@pytest.mark.parametrize("name", ["employee", "a", "case-number_2", "x" * 40])
def test_names(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("name", ["", "Employee", "1a", "a b", "x" * 41, "email", "card", "withheld", "a\n"])
def test_names_that_are_refused(name: str) -> None:
    assert name_problem(name) is not None


def test_settings_name_the_pattern() -> None:
    check_patterns({"employee": "EMP-[0-9]{6}"}, key="content.patterns")
    with pytest.raises(ConfigurationError, match=r"^content\.patterns\.employee: \+ has no bound"):
        check_patterns({"employee": "EMP-[0-9]+"}, key="content.patterns")
    with pytest.raises(ConfigurationError, match=r"^content\.patterns: 'email' has a meaning already"):
        check_patterns({"email": "EMP-[0-9]{6}"}, key="content.patterns")


PIECES = [
    "a",
    "b",
    "-",
    ".",
    r"\d",
    r"\w",
    r"\b",
    "[ab]",
    "[^a-]",
    "(?:ab|1)",
    "{2}",
    "{1,3}",
    "?",
    "|",
    "(?:",
    ")",
    "+",
]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), min_size=3, max_size=8).map("".join),
    st.text(alphabet="ab1-. ", max_size=300),
)
def test_what_is_taken_is_a_regular_expression_of_the_length_it_claims(pattern: str, text: str) -> None:
    if pattern_problem(pattern) is not None:
        return
    for found in re.finditer(pattern, text):
        assert 3 <= len(found[0]) <= LONGEST


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_judged(pattern: str) -> None:
    problem = pattern_problem(pattern)
    assert problem is None or (problem and "\n" not in problem.replace(pattern, ""))
