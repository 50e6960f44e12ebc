"""Who a request is for: end user, session and tags, as clients of other gateways already declare them. Pure.

Declared ids attribute, they do not authorise. Body fields are forwarded unchanged, the headers read here are not.
Sources: OpenAI `user`, `safety_identifier`, `metadata`; LiteLLM `x-litellm-*`; Helicone `Helicone-*`; Portkey
`x-portkey-metadata`; `x-session-id`; W3C `baggage` members `user.id`, `session.id` and `tag`.
"""

from urllib.parse import unquote

import msgspec

from service.ledger.record import TAG_LIMIT, clip
from service.relay.request import ChatRequest

_PROPERTY = b"helicone-property-"
_INTERESTING = frozenset(
    {
        b"x-litellm-tags",
        b"x-litellm-end-user-id",
        b"helicone-user-id",
        b"helicone-session-id",
        b"x-portkey-metadata",
        b"x-session-id",
        b"baggage",
    }
)
TAG_LENGTH = 128
METADATA_BYTES = 64 * 1024
"""Longer metadata passes unread: OpenAI allows 16 members of at most 576 characters."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Attribution(msgspec.Struct, frozen=True):
    """Declared ids; None where nothing was declared."""

    end_user: str | None
    session: str | None
    tags: tuple[str, ...] | None


NOTHING = Attribution(None, None, None)


def attribute(headers: list[tuple[bytes, bytes]], request: ChatRequest | None) -> Attribution:
    """Read the declared ids. Headers win over the body: they are set by the application's infrastructure."""
    if _nothing_declared(headers, request):
        return NOTHING
    found: dict[bytes, str] = {}
    tags: list[str] = []
    for name, value in headers:
        if name in _INTERESTING:
            found[name] = value.decode("utf-8", "replace")
        elif name.startswith(_PROPERTY):
            tags.append(f"{name[len(_PROPERTY) :].decode('latin-1')}:{value.decode('utf-8', 'replace')}")
    portkey = _object(found.get(b"x-portkey-metadata", "").encode())
    baggage = _baggage(found.get(b"baggage"))
    metadata = _object(bytes(request.metadata)) if request is not None else {}
    end_user = (
        found.get(b"x-litellm-end-user-id")
        or found.get(b"helicone-user-id")
        or _text(portkey.pop("_user", None))
        or baggage.get("user.id")
        or (request.user or request.safety_identifier if request is not None else None)
    )
    session = (
        found.get(b"x-session-id")
        or found.get(b"helicone-session-id")
        or baggage.get("session.id")
        or _text(metadata.get("session_id"))
    )
    tags += [tag.strip() for tag in found.get(b"x-litellm-tags", "").split(",") if tag.strip()]
    described = ((name, _text(value)) for name, value in (*portkey.items(), *metadata.items()))
    tags += [f"{name}:{text}" for name, text in described if text is not None]
    if "tag" in baggage:
        tags.append(baggage["tag"])
    return Attribution(clip(end_user), clip(session), _bounded(tags))


def _nothing_declared(headers: list[tuple[bytes, bytes]], request: ChatRequest | None) -> bool:
    """Most requests declare nothing; that is seen in a tenth of the time that reading takes."""
    if request is not None and (
        request.user or request.safety_identifier or bytes(memoryview(request.metadata)[:1]) == b"{"
    ):
        return False
    return not any(name in _INTERESTING or name.startswith(_PROPERTY) for name, _ in headers)


def _bounded(tags: list[str]) -> tuple[str, ...] | None:
    clipped = (clip(tag, TAG_LENGTH) or "" for tag in tags)
    return tuple(dict.fromkeys(clipped))[:TAG_LIMIT] or None


def _object(text: bytes) -> dict[str, msgspec.Raw]:
    """The members of a JSON object; none where it is absent, null, broken or too long to be read on the way."""
    if not text.startswith(b"{") or len(text) > METADATA_BYTES:
        return {}
    try:
        return _members(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _baggage(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    pairs = (member.split(";")[0].partition("=") for member in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, _, value in pairs}


def _text(value: msgspec.Raw | None) -> str | None:
    """A string as it is, any other value as its JSON text; None for null."""
    if value is None:
        return None
    text = bytes(value)
    if text.startswith(b'"'):
        return msgspec.json.decode(text, type=str)
    return None if text == b"null" else text.decode()
