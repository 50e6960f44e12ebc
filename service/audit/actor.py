"""Who changes something, and what is changed, as the audit log names them. Pure."""

from typing import Literal, Self

import msgspec

ActorKind = Literal["admin_key", "account", "command_line", "system"]
NAME_LENGTH = 200
TARGET_LENGTH = 400
ADDRESS_LENGTH = 64


class Actor(msgspec.Struct, frozen=True):
    """Who did it. *id* is stable (a key's public id, an account's id, `user@host`); *name* is for people."""

    kind: ActorKind
    id: str
    name: str
    address: str | None = None

    @classmethod
    def command_line(cls, *, user: str, host: str) -> Self:
        """Whoever runs a command on this machine, by the name that the operating system knows."""
        return cls("command_line", f"{user}@{host}", user)

    @classmethod
    def system(cls, name: str) -> Self:
        """Tollkeeper itself; *name* says which part, such as `first start` or `keeper`."""
        return cls("system", name.replace(" ", "_"), name)


class Target(msgspec.Struct, frozen=True):
    """What is changed: *kind* is `key`, `admin_key`, `price`, `budget`, `project`, `account`, …"""

    kind: str
    id: str
    name: str


def label(text: str, *, longest: int) -> str:
    """*text* as one printable line of at most *longest* characters: names arrive from outside."""
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"
