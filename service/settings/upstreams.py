"""The `[[upstreams]]` list: read, checked as a whole, and what stands in where nothing is configured."""

import difflib
from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

from service.errors import ConfigurationError
from service.settings.catalogue import UPSTREAM_ENTRIES
from service.settings.checks import check_base_url, model_pattern_problem
from service.settings.fields import convert
from service.settings.secret import Secret, header_safe, provider_secret
from service.settings.values import Settings, UpstreamSettings

OPENAI_VARIABLE = "OPENAI_API_KEY"
LONGEST_MODEL = 200
OUR_PREFIX = "tk_"
_REFERENCE = "env:"


class UpstreamReader:
    """Reads upstreams; *problems* and *origins* are filled on the way."""

    def __init__(
        self, environ: Mapping[str, str], *, origins: MutableMapping[str, str], problems: list[str]
    ) -> None:
        self._environ = environ
        self._origins = origins
        self._problems = problems

    def from_file(self, tables: Any, *, origin: str) -> tuple[UpstreamSettings, ...]:
        """The upstreams of the file's `[[upstreams]]` tables."""
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise ConfigurationError(f"upstreams must be written as [[upstreams]] tables (in {origin})")
        found = tuple(
            self._read(table, key=f"upstreams[{index}]", origin=origin) for index, table in enumerate(tables)
        )
        _require_unique(found)
        return found

    def from_environment(self) -> tuple[UpstreamSettings, ...]:
        """OpenAI, where its key is in the environment; else none."""
        text = self._environ.get(OPENAI_VARIABLE, "")
        if not text or is_our_own(text):
            return ()
        upstream = UpstreamSettings(
            name="openai",
            base_url="https://api.openai.com/v1",
            api_key=provider_secret(text, name=OPENAI_VARIABLE),
        )
        for name in UPSTREAM_ENTRIES:
            self._origins[f"upstreams[0].{name}"] = f"env {OPENAI_VARIABLE}"
        return (upstream,)

    def _read(self, table: dict[str, Any], *, key: str, origin: str) -> UpstreamSettings:
        values: dict[str, Any] = {}
        for name, raw in table.items():
            entry = UPSTREAM_ENTRIES.get(name)
            if entry is None:
                raise ConfigurationError(
                    unknown_key(f"{key}.{name}", name, UPSTREAM_ENTRIES, prefix=f"{key}.")
                )
            source = f"in {origin}"
            if name == "api_key":
                values[name] = self._api_key(raw, key=f"{key}.{name}")
            else:
                values[name] = convert(raw, entry, key=f"{key}.{name}", source=source)
        for name, entry in UPSTREAM_ENTRIES.items():
            if name not in values and entry.default is msgspec.NODEFAULT:
                raise ConfigurationError(f"{key}.{name} is missing; every upstream needs one (in {origin})")
            self._origins[f"{key}.{name}"] = origin if name in values else "default"
        values["base_url"] = check_base_url(values["base_url"], key=f"{key}.base_url")
        for pattern in values.get("models", ()):
            if problem := model_pattern_problem(pattern):
                raise ConfigurationError(f"{key}.models: {problem}")
        for asked, sent in values.get("model_map", {}).items():
            if not asked or not sent or any(len(name) > LONGEST_MODEL for name in (asked, sent)):
                raise ConfigurationError(f"{key}.model_map: a model name has 1 to {LONGEST_MODEL} characters")
        return UpstreamSettings(**values)

    def _api_key(self, raw: Any, *, key: str) -> Secret | None:
        if not isinstance(raw, str) or not raw:
            raise ConfigurationError(f'{key}: expected "env:NAME", the variable that holds the key')
        if not raw.startswith(_REFERENCE):
            raise ConfigurationError(
                f'{key}: a key does not belong in a file; put it into an environment variable and write "env:NAME"'
            )
        variable = raw.removeprefix(_REFERENCE)
        text = self._environ.get(variable, "")
        if not text:
            self._problems.append(
                f"{key} names the environment variable {variable}, which is not set; set it"
            )
            return None
        return provider_secret(text, name=f"{variable} (of {key})")


def is_our_own(text: str) -> bool:
    """Whether OPENAI_API_KEY holds one of our virtual keys: the first-run snippet exports it for clients."""
    return text.startswith(OUR_PREFIX)


def with_simulator(settings: Settings, port: int) -> Settings:
    """*settings* with the simulated upstream, on *port* of this machine, as the only one."""
    simulator = UpstreamSettings(
        name="simulator",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key=header_safe("sk-simulated", name="simulator"),
        provider="auto",  # it plays many makers; each model is priced as its own maker's
    )
    return msgspec.structs.replace(settings, upstreams=(simulator,))


def unknown_key(key: str, name: str, known: Mapping[str, Any], *, prefix: str = "") -> str:
    """The message on a key that does not exist, with the nearest one that does."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    return f"{key} is not a setting; did you mean {prefix}{nearest[0]}?"


def _require_unique(upstreams: tuple[UpstreamSettings, ...]) -> None:
    seen: set[str] = set()
    for index, upstream in enumerate(upstreams):
        if upstream.name in seen:
            raise ConfigurationError(f"upstreams[{index}].name: {upstream.name!r} is used twice; rename one")
        seen.add(upstream.name)
