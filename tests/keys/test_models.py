"""Allow-lists of models."""

import pytest

from service.keys.models import ModelMatcher


@pytest.mark.parametrize(
    ("models", "allowed", "refused"),
    [
        (None, ["anything", ""], []),
        ([], [], ["gpt-4o"]),
        (["gpt-4o"], ["gpt-4o"], ["gpt-4o-mini", "GPT-4o", "xgpt-4o", "gpt-4o\n"]),
        (["gpt-4o*", "o1"], ["gpt-4o", "gpt-4o-mini", "o1"], ["gpt-4", "o1-mini", "my-gpt-4o"]),
        (["o?"], ["o1", "o3"], ["o", "o13"]),
        (["o[13]"], ["o1", "o3", "o[13]"], ["o2"]),
        (["a.b"], ["a.b"], ["axb"]),
        (["a|b*"], ["a|bc"], ["a", "bc"]),
    ],
)
def test_allows(models: list[str] | None, allowed: list[str], refused: list[str]) -> None:
    matcher = ModelMatcher(models)
    assert [model for model in allowed if not matcher.allows(model)] == []
    assert [model for model in refused if matcher.allows(model)] == []
