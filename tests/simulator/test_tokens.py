"""Pieces join to the text; counts are about a token per four characters."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.simulator.sentences import CHINESE_SENTENCES, OPENINGS, SENTENCES
from service.simulator.tokens import count_prompt, count_text, pieces


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


def test_pieces_are_about_four_characters() -> None:
    text = " ".join((*OPENINGS, *SENTENCES))
    assert 3.5 < len(text) / len(pieces(text)) < 4.5
    assert count_text(text) == pytest.approx(len(pieces(text)), rel=0.15)


def test_chinese_is_counted_by_character() -> None:
    text = "".join(CHINESE_SENTENCES)
    assert count_text(text) == pytest.approx(0.8 * len(text), rel=0.05)


@pytest.mark.parametrize(
    ("message", "total", "audio"),
    [
        ({"role": "user", "content": ""}, 0, 0),
        ({"role": "user", "content": "12345678"}, 2, 0),
        ({"role": "user", "content": "12345678", "name": "Ada!"}, 3, 0),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, 3, 0),
        ({"role": "user", "content": [{"type": "text", "text": "12345678"}]}, 2, 0),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"detail": "low"}}]}, 85, 0),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, 765, 0),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x" * 42670}}]},
            11,
            11,
        ),
    ],
)
def test_a_prompt_costs_its_parts(message: dict[str, Any], total: int, audio: int) -> None:
    counted = count_prompt([message], tools={})
    assert (counted.total - 6, counted.audio) == (total, audio)


def test_tools_cost_their_schema() -> None:
    assert count_prompt([], tools={"f": {"type": "object"}}).total == 3 + 6
