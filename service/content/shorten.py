"""Texts and JSON documents that were cut, without what the cut has left half: a half secret looks like none. Pure.

Of what was cut, the last `LONGEST` characters go, and the word before them: no pattern of words is longer, and what is
longer (a token, a key) has no space in it.
"""

import re

from service.settings.redaction import LONGEST

_ESCAPED_LENGTH = 6  # \u0040
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+("?)|[{}\[\],:]|[^\s"{}\[\],:]++', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}
_MEDIA_MARKS = (b";base64,", b'"data":"', b'"data": "', b'"b64_json":"', b'"b64_json": "')
_LEAST_MEDIA = 256
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=-]{256}")


def without_end(text: str, *, longest: int = LONGEST) -> str:
    """The beginning of a text that was cut somewhere."""
    kept = max(0, len(text) - longest)
    while kept and not text[kept - 1].isspace():
        kept -= 1
    return text[:kept]


def mended(text: str) -> str:
    """The JSON document that *text* is the beginning of, closed where it was cut; "" where nothing can be kept.

    Of a string that was cut, its beginning stays (`without_end`).
    """
    open_ones: list[str] = []
    whole = 0  # up to here, with what is open closed, it is a document
    before = ""
    for token in _TOKEN.finditer(text):
        sign = token[0]
        is_member = before == ":" or (open_ones[-1:] == ["["] and before in ("[", ","))
        if sign in _CLOSING:
            open_ones.append(sign)
            whole = token.end()
        elif sign in ("}", "]"):
            if not open_ones or _CLOSING[open_ones.pop()] != sign:
                return ""
            whole = token.end()
            if not open_ones:
                break
        elif sign not in (",", ":") and is_member:
            if sign[0] != '"' and token.end() == len(text):
                break  # a number may go on
            if sign[0] == '"' and not token[1]:
                return _with_string(text, token.start(), open_ones) or _closed(text[:whole], open_ones)
            whole = token.end()
        before = sign
    return _closed(text[:whole], open_ones)


def _with_string(text: str, begin: int, open_ones: list[str]) -> str:
    """The document with the beginning of the string that was cut; "" where nothing of that can stay."""
    kept = without_end(text[begin + 1 :], longest=_ESCAPED_LENGTH * LONGEST)
    return _closed(text[: begin + 1] + kept + '"', open_ones) if kept else ""


def _closed(text: str, open_ones: list[str]) -> str:
    return text + "".join(_CLOSING[sign] for sign in reversed(open_ones))


def without_media(body: bytes) -> bytes:
    """A JSON document whose inline media (base64) are replaced by their length."""
    parts = []
    last = 0
    for begin in sorted(_ends_of_marks(body)):
        if begin < last or _BASE64.match(body, begin) is None:
            continue
        end = body.find(b'"', begin)
        end = len(body) if end == -1 else end
        parts += [body[last:begin], b"[%d bytes]" % (end - begin)]
        last = end
    return b"".join([*parts, body[last:]]) if parts else body


def _ends_of_marks(body: bytes) -> list[int]:
    found = []
    for mark in _MEDIA_MARKS:
        at = body.find(mark)
        while at != -1:
            found.append(at + len(mark))
            at = body.find(mark, at + len(mark))
    return found
