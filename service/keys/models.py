"""Which models a key may use: names, and glob patterns (`*`, `?`, `[…]`), case-sensitive. Pure."""

import fnmatch
import re
from collections.abc import Iterable

_MAGIC = frozenset("*?[")


class ModelMatcher:
    """Answers whether a model is on the list; without a list every model is."""

    __slots__ = ("_names", "_pattern")

    def __init__(self, models: Iterable[str] | None) -> None:
        listed = None if models is None else list(models)
        self._names = None if listed is None else frozenset(listed)
        globs = [model for model in listed or () if _MAGIC.intersection(model)]
        self._pattern = re.compile("|".join(map(fnmatch.translate, globs))) if globs else None

    def allows(self, model: str) -> bool:
        """Whether *model* is on the list."""
        if self._names is None or model in self._names:
            return True
        return self._pattern is not None and self._pattern.match(model) is not None
