"""How many tokens a text is, about, and its pieces as a stream would deliver them. Pure.

A prompt is counted by arithmetic (four ASCII characters a token, 0.8 tokens for any other character), an
answer by its pieces: what a stream sends as one delta is one token. Images, sound and the framing of
messages cost what OpenAI documents for gpt-4o: https://platform.openai.com/docs/guides/images-vision
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_PIECE = re.compile(r" ?[A-Za-z]{1,6}| ?[0-9]{1,3}| ?[^\sA-Za-z0-9]|\s+")

PRIMING = 3  # every answer is primed with "<|start|>assistant<|message|>"
_PER_MESSAGE = 3
_IMAGE_TOKENS = {"low": 85}
_IMAGE_TOKENS_HIGH = 765
_BASE64_CHARS_PER_AUDIO_TOKEN = 4267  # 10 tokens a second of 16 kHz, 16 bit sound


class PromptTokens(msgspec.Struct, frozen=True):
    """Tokens of a prompt; *audio* is a part of *total*."""

    total: int
    audio: int


def pieces(text: str) -> tuple[str, ...]:
    """*text* cut into tokens; joined they are *text* again."""
    return tuple(_PIECE.findall(text))


def count_text(text: str) -> int:
    """About how many tokens *text* is."""
    if text.isascii():
        return (len(text) + 3) // 4
    ascii_chars = len(text.encode("ascii", "ignore"))
    return (ascii_chars + 3) // 4 + (4 * (len(text) - ascii_chars) + 4) // 5


def count_prompt(messages: Iterable[Mapping[str, Any]], *, tools: Mapping[str, Any]) -> PromptTokens:
    """Tokens of a whole prompt: messages, tool calls in them, and the tools offered."""
    total, audio = PRIMING, 0
    for message in messages:
        text, sound = _count_content(message.get("content"))
        total += _PER_MESSAGE + text + sound
        audio += sound
        for other in ("name", "tool_calls", "reasoning_content"):
            if message.get(other):
                total += count_text(_as_text(message[other]))
    if tools:
        total += count_text(_as_text(tools))
    return PromptTokens(total, audio)


def _count_content(content: Any) -> tuple[int, int]:
    if content is None:
        return 0, 0
    if isinstance(content, str):
        return count_text(content), 0
    text = sound = 0
    for part in content:
        text += count_text(part.get("text") or "")
        if part.get("image_url"):
            text += _IMAGE_TOKENS.get(part["image_url"].get("detail") or "auto", _IMAGE_TOKENS_HIGH)
        if part.get("input_audio"):
            sound += 1 + len(part["input_audio"].get("data") or "") // _BASE64_CHARS_PER_AUDIO_TOKEN
    return text, sound


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
