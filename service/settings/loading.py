"""File, then environment, then flags, into one `Settings`; and where each value came from.

The file is the one named by `--config` or TOLLKEEPER_CONFIG, else ./tollkeeper.toml if there is one. Unknown
keys are errors. An unknown TOLLKEEPER_ variable is only a note, because container platforms set variables of
that form by themselves.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from service.errors import ConfigurationError
from service.settings.catalogue import (
    ENTRIES,
    FILE_VARIABLE,
    FLAGS,
    SECRET_VARIABLES,
    SECTIONS,
    STANDARD_VARIABLES,
    UPSTREAMS,
    Entry,
)
from service.settings.checks import check_base_url, check_network, check_timezone
from service.settings.fields import convert, convert_text
from service.settings.redaction import check_patterns
from service.settings.secret import header_list, our_secret, provider_secret
from service.settings.sign_in import checked_sign_in
from service.settings.upstreams import OPENAI_VARIABLE, UpstreamReader, is_our_own, unknown_key
from service.settings.values import AlertSettings, Settings

DEFAULT_FILE = Path("tollkeeper.toml")
_SECRET_CHECKS = {"otlp_headers": header_list, "oidc_client_secret": provider_secret}


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, the origin of every one (dotted key → "default", file, "env NAME" or "flag --x"), and remarks.

    *problems* keep the relay from starting; *notes* do not.
    """

    settings: Settings
    origins: Mapping[str, str]
    path: Path | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load(*, config_path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Settings that can be used. *flags* maps dotted keys to values; None means "not given".

    Raises:
        ConfigurationError: they cannot be used; the message names the key.
    """
    loaded = survey(config_path=config_path, environ=environ, flags=flags)
    if loaded.problems:
        raise ConfigurationError("; ".join(loaded.problems))
    return loaded


def survey(*, config_path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """As `load`, but a missing provider key is reported in `problems`, not raised: for reports on settings."""
    path = _file(config_path, environ)
    tables = {} if path is None else _read(path)
    origins = dict.fromkeys(ENTRIES, "default")
    values: dict[str, Any] = {}
    if path is not None:
        _take_file(tables, path=path, values=values, origins=origins)
    _take_environment(environ, values=values, origins=origins)
    _take_flags(flags, values=values, origins=origins)
    problems: list[str] = []
    reader = UpstreamReader(environ, origins=origins, problems=problems)
    if UPSTREAMS in tables:
        upstreams = reader.from_file(tables[UPSTREAMS], origin=str(path))
    else:
        upstreams = reader.from_environment()
    sections: dict[str, Any] = {name: struct(**_section(values, name)) for name, struct in SECTIONS.items()}
    settings = Settings(**sections, **_secrets(environ, origins=origins), upstreams=upstreams)
    return Loaded(
        settings=_checked(settings),
        origins=origins,
        path=path,
        problems=tuple(problems),
        notes=(*_unknown_variables(environ), *_client_variables(environ)),
    )


def _file(config_path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = config_path or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is None:
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None
    if not named.is_file():
        raise ConfigurationError(f"the configuration file {named} does not exist; create it or name another")
    return named


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {path} is not valid TOML: {error}") from error


def _take_file(
    tables: Mapping[str, Any], *, path: Path, values: dict[str, Any], origins: dict[str, str]
) -> None:
    for section, table in tables.items():
        if section == UPSTREAMS:
            continue
        if section in SECRET_VARIABLES:
            raise ConfigurationError(
                f"{section} does not belong into a file; set {SECRET_VARIABLES[section]} in the environment"
            )
        if section not in SECTIONS:
            raise ConfigurationError(_unknown_section(section, path=path))
        if not isinstance(table, dict):
            raise ConfigurationError(f"{section} must be written as a table, [{section}] (in {path})")
        for name, raw in table.items():
            key = f"{section}.{name}"
            if key not in ENTRIES:
                raise ConfigurationError(f"{unknown_key(key, key, ENTRIES)} (in {path})")
            values[key] = convert(raw, ENTRIES[key], key=key, source=f"in {path}")
            origins[key] = str(path)


def _unknown_section(section: str, *, path: Path) -> str:
    """A key outside every table may be a field that lost its table."""
    fields = {key.partition(".")[2]: key for key in ENTRIES}
    known = {**{name: name for name in (*SECTIONS, UPSTREAMS)}, **fields}
    nearest = difflib.get_close_matches(section, known, n=1, cutoff=0.0)[0]
    return f"{section} is not a setting; did you mean {known[nearest]}? (in {path})"


def _take_environment(environ: Mapping[str, str], *, values: dict[str, Any], origins: dict[str, str]) -> None:
    for key, entry in ENTRIES.items():
        given = [variable for variable in entry.variables if environ.get(variable)]
        if len({environ[variable] for variable in given}) > 1:
            raise ConfigurationError(f"{key}: {' and '.join(given)} are both set and differ; unset one")
        standard = STANDARD_VARIABLES.get(key, "")
        if not given and key not in values and environ.get(standard):
            given = [standard]
        for variable in given[:1]:
            values[key] = convert_text(environ[variable], entry, key=key, source=f"env {variable}")
            origins[key] = f"env {variable}"


def _take_flags(flags: Mapping[str, Any], *, values: dict[str, Any], origins: dict[str, str]) -> None:
    for key, raw in flags.items():
        if raw is None:
            continue
        flag = FLAGS[key]
        values[key] = _flag_value(raw, ENTRIES[key], flag=flag)
        origins[key] = f"flag {flag}"


def _flag_value(raw: Any, entry: Entry, *, flag: str) -> Any:
    plain = str(raw) if isinstance(raw, Path) else raw
    return convert(plain, entry, key=entry.key, source=f"flag {flag}")


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _secrets(environ: Mapping[str, str], *, origins: dict[str, str]) -> dict[str, Any]:
    found = {}
    for key, variable in SECRET_VARIABLES.items():
        origins[key] = "default"
        if environ.get(variable):
            found[key] = _SECRET_CHECKS.get(key, our_secret)(environ[variable], name=variable)
            origins[key] = f"env {variable}"
    return found


def _checked(settings: Settings) -> Settings:
    check_timezone(settings.accounting.reporting_timezone, key="accounting.reporting_timezone")
    networks = tuple(
        check_network(text, key="relay.trusted_proxies") for text in settings.relay.trusted_proxies
    )
    relay = msgspec.structs.replace(settings.relay, trusted_proxies=networks)
    endpoint = check_base_url(settings.telemetry.otlp_endpoint, key="telemetry.otlp_endpoint")
    telemetry = msgspec.structs.replace(settings.telemetry, otlp_endpoint=endpoint)
    check_patterns(settings.content.patterns, key="content.patterns")
    return msgspec.structs.replace(
        settings,
        relay=relay,
        telemetry=telemetry,
        alerts=_checked_alerts(settings.alerts),
        dashboard=checked_sign_in(settings.dashboard),
    )


def _checked_alerts(alerts: AlertSettings) -> AlertSettings:
    networks = tuple(check_network(text, key="alerts.allowed_networks") for text in alerts.allowed_networks)
    url = alerts.dashboard_url and check_base_url(alerts.dashboard_url, key="alerts.dashboard_url")
    return msgspec.structs.replace(alerts, allowed_networks=networks, dashboard_url=url)


def _client_variables(environ: Mapping[str, str]) -> list[str]:
    if not is_our_own(environ.get(OPENAI_VARIABLE, "")):
        return []
    return [
        f"{OPENAI_VARIABLE} holds a Tollkeeper key, which is for clients; it is not used as a provider's key"
    ]


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {FILE_VARIABLE, *SECRET_VARIABLES.values()}
    known.update(variable for entry in ENTRIES.values() for variable in entry.variables)
    notes = []
    for name in sorted(environ):
        if name.startswith("TOLLKEEPER_") and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            notes.append(f"the environment variable {name} sets nothing; did you mean {nearest}?")
    return notes
