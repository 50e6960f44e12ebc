"""How much text there is, by class of character: what an estimate of its tokens needs. Pure.

Counts come from UTF-8 bytes by table look-ups in C, so that measuring a stream stays cheap.
"""

import re

import msgspec


class TextMeasure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Characters of a text by class; `words` are runs of ASCII letters."""

    words: int = 0
    letters: int = 0
    digits: int = 0
    symbols: int = 0
    spaces: int = 0
    newlines: int = 0
    cjk: int = 0
    """Chinese, Japanese, Korean and full-width characters."""
    other: int = 0
    """Characters of every other script, emoji too."""

    @property
    def characters(self) -> int:
        """All characters."""
        return self.letters + self.digits + self.symbols + self.spaces + self.newlines + self.cjk + self.other

    def __add__(self, more: "TextMeasure") -> "TextMeasure":
        return TextMeasure(
            words=self.words + more.words,
            letters=self.letters + more.letters,
            digits=self.digits + more.digits,
            symbols=self.symbols + more.symbols,
            spaces=self.spaces + more.spaces,
            newlines=self.newlines + more.newlines,
            cjk=self.cjk + more.cjk,
            other=self.other + more.other,
        )


NO_TEXT = TextMeasure()

_LETTER, _DIGIT, _SYMBOL, _SPACE, _NEWLINE, _CJK, _OTHER = b"a0. \nco"
_NO_LETTERS = (_DIGIT, _SYMBOL, _SPACE, _NEWLINE, _CJK, _OTHER)
# UTF-8 lead bytes of U+3000-U+DFFF (kana, ideographs, hangul) and of U+F000-U+FFFF (full-width forms).
_CJK_LEADS = frozenset(range(0xE3, 0xEE)) | {0xEF}
_CONTINUATION = bytes(range(0x80, 0xC0))


def _class_of(byte: int) -> int:
    character = chr(byte)
    if not character.isascii():
        return _CJK if byte in _CJK_LEADS else _OTHER
    if character.isalpha():
        return _LETTER
    if character.isdigit():
        return _DIGIT
    if character in "\n\r":
        return _NEWLINE
    return _SPACE if character in " \t" else _SYMBOL


_CLASSES = bytes(_class_of(byte) for byte in range(256))
_LETTERS_ONLY = bytes(_LETTER if _class_of(byte) == _LETTER else _SPACE for byte in range(256))


def measure(text: bytes) -> TextMeasure:
    """Measure UTF-8 text; any bytes will do."""
    if not text:
        return NO_TEXT
    classes = text.translate(_CLASSES, _CONTINUATION)
    digits, symbols, spaces, newlines, cjk, other = map(classes.count, _NO_LETTERS)
    return TextMeasure(
        words=len(text.translate(_LETTERS_ONLY).split()),
        letters=len(classes) - digits - symbols - spaces - newlines - cjk - other,
        digits=digits,
        symbols=symbols,
        spaces=spaces,
        newlines=newlines,
        cjk=cjk,
        other=other,
    )


# Generated text in chunks or in a body, found by its names. Both names of reasoning may carry the same text.
_CHARACTERS = rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_SPOKEN = re.compile(rb'"(?:content|refusal|arguments)"\s*:\s*' + _CHARACTERS, re.DOTALL)
# Anthropic's Messages and Gemini's candidates have other names; elsewhere `text` says the same once more.
_OTHER_FORM = re.compile(rb'"candidates"|"content_block_(?:start|delta)"|"type"\s*:\s*"message"')
_SPOKEN_THERE = re.compile(rb'"(?:text|thinking|partial_json)"\s*:\s*' + _CHARACTERS, re.DOTALL)
_THOUGHT = tuple(
    re.compile(rb'"' + name + rb'"\s*:\s*' + _CHARACTERS, re.DOTALL)
    for name in (b"reasoning", b"reasoning_content")
)
# The delta of nearly every chunk holds content and nothing else: half the time of looking for all names.
_DELTA = b'"delta":'
_PLAIN_DELTA = re.compile(
    _DELTA + rb'\{(?:"role":"assistant",)?(?:"content":' + _CHARACTERS + rb')?(?:,"refusal":null)?\}',
    re.DOTALL,
)
_ESCAPES = re.compile(rb"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_json_text = msgspec.json.Decoder(str)


def generated_text(data: bytes) -> TextMeasure:
    """Measure the generated text in JSON chunks or in a JSON body."""
    deltas = data.count(_DELTA)
    if deltas and len(plain := _PLAIN_DELTA.findall(data)) == deltas:
        return measure(_unescaped(b"".join(plain)))
    if _OTHER_FORM.search(data) is not None:
        return measure(_unescaped(b"".join(_SPOKEN_THERE.findall(data))))
    measured = measure(_unescaped(b"".join(_SPOKEN.findall(data))))
    if b'"reasoning"' in data or b'"reasoning_content"' in data:
        thought = max((b"".join(pattern.findall(data)) for pattern in _THOUGHT), key=len)
        measured += measure(_unescaped(thought))
    return measured


def _unescaped(text: bytes) -> bytes:
    if b"\\" not in text:
        return text
    try:
        return _json_text.decode(b'"' + text + b'"').encode()
    except (msgspec.DecodeError, UnicodeError):  # half a surrogate pair, bytes that are no UTF-8
        return _ESCAPES.sub(b"?", text)


_FOLD_AT = 16 * 1024


class GeneratedText:
    """Measures generated text as it streams by; holds at most one chunk more than 16 KiB."""

    __slots__ = ("_held", "_pending", "_sum")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._held = 0
        self._sum = NO_TEXT

    def add(self, data: bytes) -> None:
        """Whole events or their payloads."""
        self._pending.append(data)
        self._held += len(data)
        if self._held > _FOLD_AT:
            self._fold()

    def measured(self) -> TextMeasure:
        """The text so far."""
        self._fold()
        return self._sum

    def _fold(self) -> None:
        if self._pending:
            self._sum += generated_text(b"\n".join(self._pending))
            self._pending.clear()
            self._held = 0
