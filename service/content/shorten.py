"""JSON documents that were cut, closed again; and documents without their images and sounds. Pure."""

import re

from service.content.redact import CUT

_STRING = (
    r'"(?>(?:[^"\\]++|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}'
    r'|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*)("?)'
)
_TOKEN = re.compile(rf'{_STRING}|[{{}}\[\],:]|[^\s"{{}}\[\],:]++', re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}
_MEDIA_MARKS = (b";base64,", b'"data":"', b'"data": "', b'"b64_json":"', b'"b64_json": "')
_LEAST_MEDIA = 256
_BASE64 = re.compile(rb"[A-Za-z0-9+/_=-]{256}")


def mended(text: str, *, mark: str = CUT) -> str:
    """The JSON document that *text* is the beginning of, closed where it was cut; "" where nothing can be kept.

    A string that was cut gets *mark* at its end.
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
                return _closed(f'{text[: token.end()]}{mark}"', open_ones)
            whole = token.end()
        before = sign
    return _closed(text[:whole], open_ones)


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
