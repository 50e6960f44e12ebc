"""Who looks at a page, and what that allows. The scope is part of the key of every cached read."""

from typing import Literal

import msgspec

Role = Literal["admin", "viewer"]


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """A person at the dashboard."""

    id: str
    name: str
    role: Role

    @property
    def may_act(self) -> bool:
        """Whether the acting pages and buttons are theirs."""
        return self.role == "admin"

    @property
    def scope(self) -> str:
        """What they may see, as text: two viewers with the same scope may share a cached result."""
        return self.role
