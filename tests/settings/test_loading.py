"""Where settings come from, in which order, and how wrong ones are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from service.errors import ConfigurationError
from service.settings import Loaded, Secret, Settings, load, survey, with_simulator
from service.settings.catalogue import ENTRIES, FLAGS

ADMIN_KEY = "4fd1bb2e9ac07d35e8f61a90c2b7d4e3"


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(
    toml: str = "", *, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    Path("tollkeeper.toml").write_text(toml)
    return load(config_path=None, environ=environ or {}, flags=flags or {})


def refusal(toml: str = "", **sources: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(toml, **sources)
    return str(caught.value)


def upstream(**fields: str) -> str:
    given = {"name": '"a"', "base_url": '"https://api.example.com/v1"', **fields}
    return "[[upstreams]]\n" + "\n".join(f"{name} = {value}" for name, value in given.items())


def test_nothing_configured_gives_the_defaults() -> None:
    loaded = load(config_path=None, environ={}, flags={})
    assert loaded.settings == Settings()
    assert loaded.path is None
    assert set(loaded.origins.values()) == {"default"}
    assert set(ENTRIES) < set(loaded.origins)


def test_file_then_environment_then_flag() -> None:
    toml = '[relay]\nhost = "h-file"\nport = 1\nworkers = 3'
    loaded = read(
        toml, environ={"TOLLKEEPER_HOST": "h-env", "TOLLKEEPER_PORT": "2"}, flags={"relay.host": "h-flag"}
    )
    relay = loaded.settings.relay
    assert (relay.host, relay.port, relay.workers) == ("h-flag", 2, 3)
    assert loaded.origins["relay.host"] == "flag --host"
    assert loaded.origins["relay.port"] == "env TOLLKEEPER_PORT"
    assert loaded.origins["relay.workers"] == "tollkeeper.toml"
    assert loaded.origins["relay.durability"] == "default"


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    loaded = read("[relay]\nport = 1", flags={"relay.port": None})
    assert (loaded.settings.relay.port, loaded.origins["relay.port"]) == (1, "tollkeeper.toml")


def test_flags_of_every_kind() -> None:
    flags = {"dashboard.enabled": False, "relay.data_dir": Path("d"), "relay.workers": 2}
    loaded = read(flags=flags)
    assert loaded.settings.dashboard.enabled is False
    assert loaded.settings.relay.data_dir == Path("d")
    assert loaded.origins["dashboard.enabled"] == "flag --no-dashboard"
    assert set(FLAGS) <= set(ENTRIES)


def test_a_flag_out_of_range_is_named() -> None:
    message = refusal(flags={"relay.port": 99_999})
    assert message == "relay.port: expected an integer from 0 to 65535, got 99999 (flag --port)"


def test_the_file_named_by_flag_wins_over_the_variable(tmp_path: Path) -> None:
    for name, port in (("flag.toml", 1), ("env.toml", 2), ("tollkeeper.toml", 3)):
        (tmp_path / name).write_text(f"[relay]\nport = {port}")
    environ = {"TOLLKEEPER_CONFIG": "env.toml"}
    assert load(config_path=Path("flag.toml"), environ=environ, flags={}).settings.relay.port == 1
    assert load(config_path=None, environ=environ, flags={}).settings.relay.port == 2
    assert load(config_path=None, environ={}, flags={}).settings.relay.port == 3


@pytest.mark.parametrize("environ", [{}, {"TOLLKEEPER_CONFIG": "absent.toml"}])
def test_a_named_file_must_exist(environ: dict[str, str]) -> None:
    named = None if environ else Path("absent.toml")
    with pytest.raises(ConfigurationError, match=r"absent\.toml does not exist"):
        load(config_path=named, environ=environ, flags={})


def test_files_that_cannot_be_read() -> None:
    assert "is not valid TOML" in refusal("[relay")
    Path("closed.toml").mkdir()
    with pytest.raises(ConfigurationError, match="does not exist"):
        load(config_path=Path("closed.toml"), environ={}, flags={})
    Path("latin.toml").write_bytes(b'[relay]\nhost = "\xe9"')
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        load(config_path=Path("latin.toml"), environ={}, flags={})


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[relay]\nprot = 1", "relay.prot is not a setting; did you mean relay.port? (in tollkeeper.toml)"),
        ("[rely]\nport = 1", "rely is not a setting; did you mean relay? (in tollkeeper.toml)"),
        ("workers = 1", "workers is not a setting; did you mean relay.workers? (in tollkeeper.toml)"),
        ("relay = 1", "relay must be written as a table, [relay] (in tollkeeper.toml)"),
        (f'admin_key = "{ADMIN_KEY}"', "does not belong into a file; set TOLLKEEPER_ADMIN_KEY"),
        (
            upstream(base_ulr='"x"'),
            "upstreams[0].base_ulr is not a setting; did you mean upstreams[0].base_url?",
        ),
        ("[upstreams]\nname = 'a'", "upstreams must be written as [[upstreams]] tables (in tollkeeper.toml)"),
        ("[[upstreams]]\nname = 'a'", "upstreams[0].base_url is missing"),
    ],
)
def test_unknown_or_misplaced_keys(toml: str, message: str) -> None:
    assert message in refusal(toml)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[store]\nurl = 1", "store.url: expected a text, got 1"),
        ("[relay]\nport = '1'", "relay.port: expected an integer from 0 to 65535, got '1'"),
        ("[relay]\nport = 65536", "relay.port: expected an integer from 0 to 65535, got 65536"),
        ("[relay]\nworkers = true", "relay.workers: expected an integer from 1 to 256, got True"),
        ("[relay]\nhost = ''", "relay.host: expected a text that is not empty, got ''"),
        ("[relay]\ndata_dir = ''", "relay.data_dir: expected a path, got ''"),
        ("[relay]\ndurability = 'x'", "relay.durability: expected one of fsync, local, store, got 'x'"),
        ("[relay]\nbody_timeout_s = 0", "expected a number of seconds above 0, at most 86,400, got 0"),
        ("[relay]\nbody_timeout_s = nan", "expected a number of seconds above 0, at most 86,400, got nan"),
        ("[relay]\njournal_max_bytes = 5", "expected an integer of at least 1,048,576, got 5"),
        ("[relay]\ntrusted_proxies = '::1'", "relay.trusted_proxies: expected a list of texts, got '::1'"),
        ("[relay]\ntrusted_proxies = ['proxy']", "relay.trusted_proxies: 'proxy' is not a network"),
        ("[telemetry]\ntraces_sample_ratio = 1.5", "expected a number from 0 to 1, got 1.5"),
        ("[telemetry]\notlp_endpoint = 'collector:4318'", "telemetry.otlp_endpoint must be an http"),
        ("[alerts]\nallowed_networks = ['mail']", "alerts.allowed_networks: 'mail' is not a network"),
        ("[alerts]\ndashboard_url = 'tolls'", "alerts.dashboard_url must be an http"),
        ("[dashboard]\nenabled = 1", "dashboard.enabled: expected true or false, got 1"),
        ("[accounting]\nreporting_timezone = 'Mars'", "'Mars' is no IANA time zone"),
        ("[accounting]\nreporting_timezone = '../UTC'", "'../UTC' is no IANA time zone"),
        (upstream(name='"a b"'), "upstreams[0].name: expected a name of letters, digits"),
        (upstream(weight="0"), "upstreams[0].weight: expected an integer from 1 to 1000000, got 0"),
        (upstream(models="[]"), "upstreams[0].models: expected a list of texts, got []"),
        (
            upstream(models='["gpt-[4"]'),
            "upstreams[0].models: the model pattern 'gpt-[4' has a [ without its ]",
        ),
        (upstream(api_key="1"), 'upstreams[0].api_key: expected "env:NAME"'),
        (f"{upstream()}\n{upstream()}", "upstreams[1].name: 'a' is used twice; rename one"),
    ],
)
def test_wrong_types_and_ranges_name_the_key(toml: str, message: str) -> None:
    assert message in refusal(toml)


@pytest.mark.parametrize("key", ENTRIES)
def test_every_scalar_field_has_a_variable(key: str) -> None:
    examples = {
        "relay.host": "10.0.0.1",
        "relay.durability": "store",
        "accounting.reporting_timezone": "Europe/Madrid",
        "accounting.on_unpriced": "deny",
        "dashboard.enabled": "false",
        "dashboard.sign_in": "none",
        "dashboard.oidc_issuer": "https://id.example",
        "dashboard.oidc_admins": "group:ops",
        "dashboard.oidc_viewers": "*@example.com",
        "budgets.unpriced": "allow",
        "budgets.cap_output": "true",
        "telemetry.enabled": "true",
        "telemetry.otlp_endpoint": "https://collector.example:4318",
        "telemetry.traces_sample_ratio": "0.25",
        "telemetry.prometheus": "key",
        "content.patterns": '{"employee": "EMP-[0-9]{6}"}',
        "relay.trusted_proxies": "10.0.0.0/8, ::1",
        "alerts.allowed_networks": "10.0.0.0/8, ::1",
        "alerts.dashboard_url": "https://tollkeeper.example",
        "relay.workers": "7",
        "relay.port": "7",
        "dashboard.port": "7",
    }
    needed = {
        "dashboard.oidc_issuer": {
            "TOLLKEEPER_DASHBOARD_OIDC_CLIENT_ID": "77",
            "TOLLKEEPER_DASHBOARD_OIDC_VIEWERS": "*@example.com",
        }
    }
    for variable in ENTRIES[key].variables:
        example = examples.get(key, "7654321" if key.endswith("bytes") else "77")
        loaded = read(environ={**needed.get(key, {}), variable: example})
        section, name = key.split(".")
        assert getattr(getattr(loaded.settings, section), name) != ENTRIES[key].default
        assert loaded.origins[key] == f"env {variable}"


def test_variables_that_differ_are_refused() -> None:
    both = {"TOLLKEEPER_PORT": "1", "TOLLKEEPER_RELAY_PORT": "2"}
    assert "TOLLKEEPER_PORT and TOLLKEEPER_RELAY_PORT are both set and differ" in refusal(environ=both)
    assert read(environ=dict.fromkeys(both, "1")).settings.relay.port == 1


def test_an_empty_variable_is_not_set() -> None:
    assert read("[relay]\nport = 9", environ={"TOLLKEEPER_PORT": ""}).settings.relay.port == 9


def test_a_wrong_variable_is_named() -> None:
    expected = (
        "relay.port: expected an integer from 0 to 65535, got 'tcp://10.0.0.1:4000' (env TOLLKEEPER_PORT)"
    )
    assert refusal(environ={"TOLLKEEPER_PORT": "tcp://10.0.0.1:4000"}) == expected


def test_a_variable_of_opentelemetry_counts_where_nothing_else_is_set() -> None:
    both = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://platform:4318", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    loaded = read(environ=both)
    assert loaded.settings.telemetry.otlp_endpoint == "http://platform:4318"
    assert loaded.settings.telemetry.traces_sample_ratio == 0.5
    assert loaded.settings.telemetry.enabled is False
    assert loaded.origins["telemetry.otlp_endpoint"] == "env OTEL_EXPORTER_OTLP_ENDPOINT"
    file = '[telemetry]\notlp_endpoint = "http://file:1"'
    assert read(file, environ=both).settings.telemetry.otlp_endpoint == "http://file:1"
    ours = {**both, "TOLLKEEPER_TELEMETRY_OTLP_ENDPOINT": "http://ours:1"}
    assert read(file, environ=ours).settings.telemetry.otlp_endpoint == "http://ours:1"


@pytest.mark.parametrize("text", ["Bearer x", "authorization=Bearer x,y", "a=b\nc=d", "=x", "ä=x"])
def test_headers_for_the_collector_that_are_none_are_refused_and_not_shown(text: str) -> None:
    message = refusal(environ={"OTEL_EXPORTER_OTLP_HEADERS": text})
    assert message == "OTEL_EXPORTER_OTLP_HEADERS must hold headers as name=value, separated by commas"


def test_headers_for_the_collector_are_a_secret() -> None:
    loaded = read(environ={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,x-team=a"})
    assert loaded.settings.otlp_headers == Secret("authorization=Bearer%20x,x-team=a")
    assert "Bearer" not in repr(loaded.settings)
    assert "otlp_headers does not belong into a file" in refusal("otlp_headers = 'a=b'")


def test_an_unknown_variable_is_only_noted() -> None:
    loaded = read(environ={"TOLLKEEPER_PROT": "1", "PATH": "/bin"})
    assert loaded.notes == (
        "the environment variable TOLLKEEPER_PROT sets nothing; did you mean TOLLKEEPER_PORT?",
    )


def test_the_two_keys_come_from_the_environment() -> None:
    environ = {"TOLLKEEPER_ADMIN_KEY": ADMIN_KEY, "TOLLKEEPER_SECRET_KEY": ADMIN_KEY[::-1]}
    loaded = read(environ=environ)
    assert loaded.settings.admin_key == Secret(ADMIN_KEY)
    assert loaded.settings.secret_key == Secret(ADMIN_KEY[::-1])
    assert loaded.origins["admin_key"] == "env TOLLKEEPER_ADMIN_KEY"
    assert ADMIN_KEY not in repr(loaded)


@pytest.mark.parametrize("variable", ["TOLLKEEPER_ADMIN_KEY", "TOLLKEEPER_SECRET_KEY"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("changeme", "is a placeholder"),
        ("sk-1234", "is a placeholder"),
        ("sk-1234567890abcdef1234567890abcdef", "is a placeholder"),
        ("Please-ChangeMe-0123456789abcdef0123", "is a placeholder"),
        ("<your-key-here>", "is a placeholder"),
        ("x" * 40, "is a placeholder"),
        ("abab" * 10, "repeats few characters"),
        (ADMIN_KEY[:31], "has 31 characters, at least 32 are needed"),
        (ADMIN_KEY + " ", "holds a space"),
        (ADMIN_KEY + "\n", "holds a space"),
    ],
)
def test_keys_that_are_no_secret_are_refused_and_not_shown(variable: str, text: str, reason: str) -> None:
    message = refusal(environ={variable: text})
    assert message.startswith(f"{variable} ")
    assert reason in message
    assert text not in message


def test_an_upstream_with_its_key_from_the_environment() -> None:
    toml = upstream(base_url='"https://api.example.com/v1/"', api_key='"env:EXAMPLE_KEY"', models='["m-*"]')
    loaded = read(toml, environ={"EXAMPLE_KEY": "sk-live", "OPENAI_API_KEY": "sk-other"})
    (found,) = loaded.settings.upstreams
    assert (found.base_url, found.api_key, found.models) == (
        "https://api.example.com/v1",
        Secret("sk-live"),
        ("m-*",),
    )
    assert loaded.origins["upstreams[0].api_key"] == "tollkeeper.toml"
    assert loaded.origins["upstreams[0].weight"] == "default"
    assert "sk-live" not in repr(loaded)


def test_a_missing_provider_key_stops_the_relay_but_not_a_report() -> None:
    toml = upstream(api_key='"env:EXAMPLE_KEY"')
    problem = "upstreams[0].api_key names the environment variable EXAMPLE_KEY, which is not set; set it"
    assert refusal(toml) == problem
    loaded = survey(config_path=None, environ={}, flags={})
    assert loaded.problems == (problem,)
    assert loaded.settings.upstreams[0].api_key is None


def test_placeholders_are_no_provider_keys() -> None:
    toml = upstream(api_key='"env:EXAMPLE_KEY"')
    assert refusal(toml, environ={"EXAMPLE_KEY": "your-key-here"}) == (
        "EXAMPLE_KEY (of upstreams[0].api_key) is a placeholder; set the key that the provider gave you"
    )


def test_a_provider_key_in_the_file_is_refused_and_not_repeated() -> None:
    message = refusal(upstream(api_key='"sk-live-4f8a"'))
    assert message.startswith("upstreams[0].api_key: a key does not belong in a file")
    assert "sk-live" not in message


def test_an_openai_key_alone_makes_openai_the_upstream() -> None:
    loaded = read(environ={"OPENAI_API_KEY": "sk-live"})
    (found,) = loaded.settings.upstreams
    assert (found.name, found.base_url, found.models) == ("openai", "https://api.openai.com/v1", ("*",))
    assert loaded.origins["upstreams[0].base_url"] == "env OPENAI_API_KEY"


def test_an_empty_upstream_list_stays_empty() -> None:
    assert read("upstreams = []", environ={"OPENAI_API_KEY": "sk-live"}).settings.upstreams == ()


def test_the_simulator_becomes_the_only_upstream() -> None:
    settings = with_simulator(read(upstream()).settings, 4321)
    assert [(u.name, u.base_url) for u in settings.upstreams] == [("simulator", "http://127.0.0.1:4321/v1")]


def test_a_store_password_is_not_shown() -> None:
    settings = read('[store]\nurl = "postgresql://me:hunter2@db/books"').settings
    assert settings.store.safe_url == "postgresql://me:********@db/books"
    assert "hunter2" not in repr(settings)


def test_a_key_of_our_own_in_openais_variable_is_no_provider_key() -> None:
    loaded = read(
        environ={"OPENAI_API_KEY": "tk_07WQVRKPf5QV_JUkJodcLduT5MgLyoyqRMu2AYVWNx7A1P1pbyAGmFE4_1bGNob"}
    )
    assert loaded.settings.upstreams == ()
    (note,) = loaded.notes
    assert "OPENAI_API_KEY" in note
    assert "tk_" not in note
