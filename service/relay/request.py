"""The door: what the relay reads of a chat-completions request, and the two changes it may make to it. Pure.

Only what accounting and routing need is read; values are the upstream's business, unknown fields pass. The body is
forwarded as it came, except for the injected usage option and a mapped model name.
"""

import re
from typing import Any

import msgspec

from service.errors import DuplicateKeyError, InvalidRequestError
from service.relay.members import members, set_member

WHOLE_DECODE_BYTES = 1024 * 1024
_USAGE_OPTION = '{"include_usage":true}'


class _Message(msgspec.Struct):
    role: str


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class ChatRequest(msgspec.Struct):
    """The members of a request body that the relay reads; an absent one and a null one are both None."""

    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None

    @property
    def wants_usage(self) -> bool:
        """Whether the client itself asked for the usage event of a stream."""
        return self.stream_options is not None and self.stream_options.include_usage is True


_decode = msgspec.json.Decoder(ChatRequest).decode
_decode_anything = msgspec.json.Decoder().decode
_READ = "|".join(ChatRequest.__struct_fields__)
_READ_MEMBER = re.compile(rf'"({_READ})"\s*:'.encode())
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7][0-9a-fA-F]")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_HUGE_NUMBER = re.compile(rb"[eE]\+?\d{3,}|\d{300,}")
_PATH = re.compile(r" - at `\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(.+?)`")


def parse(body: bytes) -> ChatRequest:
    """Read a request body.

    Raises:
        DuplicateKeyError: two top-level members of one name among those read here.
        InvalidRequestError: not JSON, or a member of the wrong type; `param` names it.
    """
    if not body:
        raise InvalidRequestError("The request has no body; send a JSON object.")
    try:
        _check_json(body)
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequestError("The request body is nested too deeply.") from None
    if not request.model:
        raise InvalidRequestError("`model` must be a non-empty string.", param="model")
    _refuse_duplicates(body)
    return request


def with_usage_option(body: bytes) -> bytes:
    """The body of a stream request, asking the upstream for the usage event."""
    after_brace = body.index(b"{") + 1
    if b"stream_options" not in body and b"\\u00" not in body:
        return body[:after_brace] + b'"stream_options":' + _USAGE_OPTION.encode() + b"," + body[after_brace:]
    text = body.decode()
    for member in members(text):
        if member.name == "stream_options":
            old = text[member.start : member.end]
            new = _USAGE_OPTION if old == "null" else set_member(old, "include_usage", "true")
            return (text[: member.start] + new + text[member.end :]).encode()
    return set_member(text, "stream_options", _USAGE_OPTION).encode()


def with_model(body: bytes, model: str) -> bytes:
    """The body with another model name."""
    return set_member(body.decode(), "model", msgspec.json.encode(model).decode()).encode()


def _check_json(body: bytes) -> None:
    """Refuse what the typed decoder would skip over: bad UTF-8 and numbers that no double holds.

    A small body is decoded whole. A large one is not, because a list of empty lists takes twenty times its size.
    """
    if len(body) <= WHOLE_DECODE_BYTES:
        _decode_anything(body)
        return
    body.decode()
    if _HUGE_NUMBER.search(_STRING.sub(b'""', body)):
        raise InvalidRequestError("The request body contains a number that is out of range.")


def _refuse_duplicates(body: bytes) -> None:
    names = _READ_MEMBER.findall(body)
    if len(names) == len(set(names)) and not _ESCAPED_LETTER.search(body):
        return
    seen = set()
    for member in members(body.decode()):
        if member.name in ChatRequest.__struct_fields__ and member.name in seen:
            raise DuplicateKeyError(
                f"The request body has two members named `{member.name}`; send one.", param=member.name
            )
        seen.add(member.name)


def _explain(text: str) -> InvalidRequestError:
    path = _PATH.search(text)
    where = path.group(1) if path and "..." not in path.group(1) else ""
    missing = _MISSING.search(text)
    if missing:
        where = f"{where}.{missing.group(1)}" if where else missing.group(1)
        return InvalidRequestError(f"`{where}` is required.", param=where)
    what = text[: path.start()] if path else text
    subject = f"`{where}`: " if where else "The request body: "
    return InvalidRequestError(f"{subject}{what[0].lower()}{what[1:]}.", param=where or None)
