"""Secrets as values that do not show themselves, and which texts are no secrets at all. Pure."""

import hmac

from service.errors import ConfigurationError

MASK = "********"
LEAST_LENGTH = 32
_LEAST_DIFFERENT = 5
_PLACEHOLDERS = frozenset(
    {
        "admin",
        "change-me",
        "change_me",
        "changeme",
        "my-key",
        "password",
        "placeholder",
        "replace-me",
        "replaceme",
        "sk-...",
        "sk-1234",
        "sk-xxx",
        "your-api-key",
        "your-key",
        "your-key-here",
        "your_api_key",
        "your_key",
        "your_key_here",
    }
)
_PLACEHOLDER_PARTS = (
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "replace-me",
    "replaceme",
    "sk-1234",
    "your-api-key",
    "your-key",
    "your_api_key",
    "your_key",
)


class Secret:
    """Text that only `reveal` shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where the text is used, never to print it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


def our_secret(text: str, *, name: str) -> Secret:
    """The operator's secret for our own doors (*name* is its variable): long, and no placeholder."""
    lowered = text.lower()
    if is_placeholder(text) or any(part in lowered for part in _PLACEHOLDER_PARTS):
        raise ConfigurationError(
            f"{name} is a placeholder; set a random value, such as: openssl rand -hex 32"
        )
    if len(text) < LEAST_LENGTH:
        raise ConfigurationError(
            f"{name} has {len(text)} characters, at least {LEAST_LENGTH} are needed; "
            "set a random value, such as: openssl rand -hex 32"
        )
    if len(set(text)) < _LEAST_DIFFERENT:
        raise ConfigurationError(
            f"{name} repeats few characters; set a random value, such as: openssl rand -hex 32"
        )
    return header_safe(text, name=name)


def provider_secret(text: str, *, name: str) -> Secret:
    """A provider's key, which may have any shape; *name* says where it stands."""
    if is_placeholder(text):
        raise ConfigurationError(f"{name} is a placeholder; set the key that the provider gave you")
    return header_safe(text, name=name)


def header_list(text: str, *, name: str) -> Secret:
    """Headers as OpenTelemetry writes them: `name=value,name=value`, values percent-encoded."""
    pairs = [member.partition("=") for member in text.split(",") if member.strip()]
    if (
        not text.isascii()
        or not text.isprintable()
        or not all(key.strip() and sign for key, sign, _ in pairs)
    ):
        raise ConfigurationError(f"{name} must hold headers as name=value, separated by commas")
    return Secret(text)


def header_safe(text: str, *, name: str) -> Secret:
    """Refuse what cannot travel in an HTTP header."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError(f"{name} holds a space or a character that no key has; copy it again")
    return Secret(text)


def is_placeholder(text: str) -> bool:
    """Whether *text* is a well-known stand-in, or one character repeated."""
    return text.lower().strip("<>[]{}") in _PLACEHOLDERS or (len(text) > 1 and len(set(text)) == 1)
