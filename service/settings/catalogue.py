"""The list of every field: its dotted key, its default, what it takes, and the variable that sets it. Pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from service.settings.secret import Secret
from service.settings.values import (
    AccountingSettings,
    AlertSettings,
    BudgetSettings,
    ContentSettings,
    DashboardSettings,
    RelaySettings,
    StoreSettings,
    TelemetrySettings,
    UpstreamSettings,
)

SECTIONS: Mapping[str, type[msgspec.Struct]] = {
    "store": StoreSettings,
    "relay": RelaySettings,
    "accounting": AccountingSettings,
    "budgets": BudgetSettings,
    "alerts": AlertSettings,
    "dashboard": DashboardSettings,
    "telemetry": TelemetrySettings,
    "content": ContentSettings,
}
UPSTREAMS = "upstreams"
FILE_VARIABLE = "TOLLKEEPER_CONFIG"
SECRET_VARIABLES = {
    "admin_key": "TOLLKEEPER_ADMIN_KEY",
    "secret_key": "TOLLKEEPER_SECRET_KEY",
    "otlp_headers": "OTEL_EXPORTER_OTLP_HEADERS",
    "oidc_client_secret": "TOLLKEEPER_OIDC_CLIENT_SECRET",
}
STANDARD_VARIABLES = {
    "telemetry.otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "telemetry.traces_sample_ratio": "OTEL_TRACES_SAMPLER_ARG",
}
"""Variables of OpenTelemetry's own, which platforms set for every program: they count where nothing else is set."""
SHORT_VARIABLES = {
    "relay.host": "TOLLKEEPER_HOST",
    "relay.port": "TOLLKEEPER_PORT",
    "relay.data_dir": "TOLLKEEPER_DATA_DIR",
}
FLAGS = {
    "relay.host": "--host",
    "relay.port": "--port",
    "relay.workers": "--workers",
    "dashboard.enabled": "--no-dashboard",
    "dashboard.port": "--dashboard-port",
    "store.url": "--store-url",
    "relay.data_dir": "--data-dir",
}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One field. *key* is dotted; a field of an upstream has the key `upstreams[].name`."""

    key: str
    type: Any
    expected: str
    default: Any  # msgspec.NODEFAULT where it must be given
    description: str
    variables: tuple[str, ...]


def _entries(section: str, struct: type[msgspec.Struct], *, settable: bool) -> list[Entry]:
    found = []
    for field in msgspec.structs.fields(struct):
        key = f"{section}.{field.name}"
        variables = tuple(filter(None, (SHORT_VARIABLES.get(key), variable_name(key)))) if settable else ()
        info = inspect.type_info(field.type)
        found.append(
            Entry(
                key=key,
                type=field.type,
                expected=_expected(info),
                default=_default(field),
                description=_description(info),
                variables=variables,
            )
        )
    return found


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made: Any = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def variable_name(key: str) -> str:
    """`relay.port` → `TOLLKEEPER_RELAY_PORT`."""
    return "TOLLKEEPER_" + key.replace(".", "_").upper()


def _description(info: inspect.Type) -> str:
    found = ""
    while isinstance(info, inspect.Metadata):
        found = (info.extra_json_schema or {}).get("description", found)
        info = info.type
    return found


def _expected(info: inspect.Type) -> str:
    """What the field takes, in words."""
    while isinstance(info, inspect.Metadata):
        info = info.type
    match info:
        case inspect.UnionType(types=types):
            return _expected(types[0])
        case inspect.IntType() | inspect.FloatType():
            return _number(info)
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(sorted(map(str, values)))
        case inspect.StrType():
            return _text(info)
        case inspect.CustomType(cls=cls):
            return _CUSTOM[cls]
        case _:
            return _PLAIN[type(info)]


_PLAIN: Mapping[type, str] = {
    inspect.BoolType: "true or false",
    inspect.DictType: "a table of texts",
    inspect.VarTupleType: "a list of texts",
}
_CUSTOM: Mapping[type, str] = {Path: "a path", Secret: "env:NAME"}


def _text(info: inspect.StrType) -> str:
    if info.pattern:
        return "a name of letters, digits, dot, underscore and hyphen"
    return "a text that is not empty" if info.min_length else "a text"


def _number(info: inspect.IntType | inspect.FloatType) -> str:
    if isinstance(info, inspect.FloatType) and info.gt is None:
        return f"a number {_range(info)}"
    noun = "an integer" if isinstance(info, inspect.IntType) else "a number of seconds"
    return f"{noun} {_range(info)}"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    low, high = info.ge, info.le
    if info.gt is not None:
        return f"above {info.gt:g}, at most {high:,}" if high is not None else f"above {info.gt:g}"
    if high is None:
        return f"of at least {low:,}"
    return f"from {low} to {high}"


ENTRIES: Mapping[str, Entry] = {
    entry.key: entry
    for section, struct in SECTIONS.items()
    for entry in _entries(section, struct, settable=True)
}
UPSTREAM_ENTRIES: Mapping[str, Entry] = {
    entry.key.removeprefix("upstreams[]."): entry
    for entry in _entries("upstreams[]", UpstreamSettings, settable=False)
}
