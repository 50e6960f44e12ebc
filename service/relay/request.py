"""The door: what the relay reads of a chat-completions request, and the two changes it may make to it. Pure.

Only what accounting and routing need is read; values are the upstream's business, unknown fields pass. The body is
forwarded as it came, except for the injected usage option and a mapped model name.
"""

import math
import re

import msgspec

from service.errors import DuplicateKeyError, InvalidRequestError
from service.relay.members import STRING, members, set_member

WHOLE_DECODE_BYTES = 1024 * 1024
WHOLE_DECODE_VALUES = 100_000
LONGEST_MODEL_LIST = 16_384
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
    metadata: msgspec.Raw = msgspec.Raw()
    """An object, null or nothing; kept as it came, because what is in it could take many times its size."""
    service_tier: str | None = None
    models: msgspec.Raw = msgspec.Raw()
    """What some upstreams may answer with instead (OpenRouter); kept as it came, as above."""

    def named_models(self) -> tuple[str, ...]:
        """Every model that may answer. Raises InvalidRequestError where `models` is no list of names."""
        listed = bytes(self.models)
        if listed in (b"", b"null"):
            return (self.model,)
        try:
            return (self.model, *_decode_names(listed if len(listed) <= LONGEST_MODEL_LIST else b""))
        except msgspec.DecodeError:
            raise InvalidRequestError(
                f"`models`: expected a list of model names, of at most {LONGEST_MODEL_LIST} bytes.",
                param="models",
            ) from None

    @property
    def wants_usage(self) -> bool:
        """Whether the client itself asked for the usage event of a stream."""
        return self.stream_options is not None and self.stream_options.include_usage is True


_NEWER_BOUND = frozenset({"openai", "azure"})
_decode = msgspec.json.Decoder(ChatRequest).decode
_decode_names = msgspec.json.Decoder(list[str]).decode
_decode_anything = msgspec.json.Decoder().decode
_READ = "|".join(ChatRequest.__struct_fields__)
_READ_NAMES = frozenset(name.encode() for name in ChatRequest.__struct_fields__)
_READ_MEMBER = re.compile(rf'"({_READ})"\s*+:'.encode(), re.IGNORECASE)
_FOLDED = (b"\xc5\xbf", b"\xe2\x84\xaa")
"""A long s and a Kelvin sign, which some parsers take for s and k."""
_ESCAPE = b"\\u00"
_HUGE = r"-?(?:\d{200,}+(?:\.\d++)?(?:[eE][+-]?\d++)?|\d++(?:\.\d++)?[eE]\+?\d{3,}+)"
_HUGE_SOMEWHERE = re.compile(rf"[:\[,]\s*+{_HUGE}".encode())
_STRING_OR_HUGE = re.compile(rf"{STRING}|({_HUGE})".encode(), re.DOTALL)
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
        in_range = _decoded_whole(body)
        request = _decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequestError("The request body is nested too deeply.") from None
    if not in_range and _has_number_out_of_range(body):
        raise InvalidRequestError("The request body contains a number that is out of range.")
    if not request.model:
        raise InvalidRequestError("`model` must be a non-empty string.", param="model")
    if bytes(memoryview(request.metadata)[:1]) not in (b"{", b"n", b""):
        raise InvalidRequestError("`metadata`: expected `object | null`.", param="metadata")
    _refuse_duplicates(body)
    return request


def with_usage_option(body: bytes) -> bytes:
    """The body of a stream request, asking the upstream for the usage event."""
    after_brace = body.index(b"{") + 1
    if b"stream_options" not in body and _ESCAPE not in body:
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


def with_output_cap(body: bytes, tokens: int, *, provider: str) -> bytes:
    """The body with a bound on the answer, under the name that *provider* knows it by."""
    name = "max_completion_tokens" if provider in _NEWER_BOUND else "max_tokens"
    return set_member(body.decode(), name, str(tokens)).encode()


def _decoded_whole(body: bytes) -> bool:
    """Let the decoder check what the typed one skips over: UTF-8 and the range of numbers.

    Raises as the decoder does; False where *body* holds so many values that they would take many times its size.
    """
    if len(body) > WHOLE_DECODE_BYTES and sum(map(body.count, (b",", b"[", b"{"))) > WHOLE_DECODE_VALUES:
        body.decode()
        return False
    _decode_anything(body)
    return True


def _has_number_out_of_range(body: bytes) -> bool:
    """Whether a number stands in *body* that no double holds. What looks like one is rare; only then strings count."""
    if _HUGE_SOMEWHERE.search(body) is None:
        return False
    numbers = (found[1] for found in _STRING_OR_HUGE.finditer(body))
    return any(number is not None and math.isinf(float(number)) for number in numbers)


def _refuse_duplicates(body: bytes) -> None:
    """Two members of one name, or one that only its case tells from a name read here: parsers differ over them."""
    names = [found[1] for found in _READ_MEMBER.finditer(body)]
    plain = _ESCAPE not in body and not any(letter in body for letter in _FOLDED)
    if plain and len(names) == len(set(names)) and _READ_NAMES.issuperset(names):
        return
    seen = set()
    for member in members(body.decode()):
        name = member.name.casefold()
        if name in seen or (name in ChatRequest.__struct_fields__ and name != member.name):
            raise DuplicateKeyError(
                f"The request body has two members named `{name}`, or one that is spelt in another case; "
                "send one, in lower case.",
                param=name,
            )
        if name in ChatRequest.__struct_fields__:
            seen.add(name)


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
