"""What can be set: sections, fields, defaults, ranges, and one line on each. Pure.

The `description` of a field is its documentation; docs/configuration.md is tested to show every one of them.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from service.settings.secret import MASK, Secret

MEBIBYTE = 1 << 20
Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


def _says(description: str) -> Meta:
    return Meta(description=description)


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of fields that is written as one TOML table."""


class StoreSettings(_Section, frozen=True, kw_only=True):
    """`[store]`"""

    url: Annotated[str, _says("Database: `sqlite:///file` or `postgresql://user@host/name`.")] = (
        "sqlite:///tollkeeper.db"
    )

    def __repr__(self) -> str:
        return f"StoreSettings(url={self.safe_url!r})"

    @property
    def safe_url(self) -> str:
        """The URL without its password, fit to be shown."""
        return re.sub(r"(//[^/@:]*):[^/]*@", rf"\1:{MASK}@", self.url)


class RelaySettings(_Section, frozen=True, kw_only=True):
    """`[relay]`"""

    host: Annotated[str, Meta(min_length=1), _says("Address the relay listens on.")] = "127.0.0.1"
    port: Annotated[Port, _says("Port the relay listens on; 0 takes a free one.")] = 4000
    workers: Annotated[int, Meta(ge=1, le=256), _says("Relay processes that share the port.")] = 1
    data_dir: Annotated[Path, _says("Directory of journals and of the generated secret key.")] = Path(
        ".tollkeeper"
    )
    durability: Annotated[
        Literal["local", "fsync", "store"],
        _says("When a record is safe: written to the journal, synced to disk, or committed in the store."),
    ] = "local"
    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30), _says("Longest request body.")] = 32 * MEBIBYTE
    body_timeout_s: Annotated[Seconds, _says("Time a request body may take to arrive.")] = 30.0
    drain_timeout_s: Annotated[Seconds, _says("Time open requests may still take after SIGTERM.")] = 30.0
    journal_max_bytes: Annotated[
        int, Meta(ge=MEBIBYTE), _says("Size of the journal at which new requests are refused.")
    ] = 1024 * MEBIBYTE
    trusted_proxies: Annotated[
        tuple[str, ...], _says("Networks (CIDR) whose X-Forwarded-For names the client.")
    ] = ()
    auth_stale_ttl_s: Annotated[
        Seconds, _says("How long keys are honoured while the store cannot be reached.")
    ] = 3600.0
    max_disconnect_drains: Annotated[
        int, Meta(ge=0, le=100_000), _says("Answers read to their end at once after their client left.")
    ] = 64
    disconnect_drain_s: Annotated[
        Seconds, _says("Time such an answer is read on before its usage is estimated.")
    ] = 30.0
    max_answer_buffer_bytes: Annotated[
        int, Meta(ge=0, le=1 << 30), _says("Longest non-stream answer held back for its cost headers.")
    ] = 16 * MEBIBYTE


class AccountingSettings(_Section, frozen=True, kw_only=True):
    """`[accounting]`"""

    reporting_timezone: Annotated[str, _says("IANA time zone in which days and months begin.")] = "UTC"
    on_unpriced: Annotated[
        Literal["allow", "deny"], _says("Whether a model without a price is forwarded or refused.")
    ] = "allow"


class BudgetSettings(_Section, frozen=True, kw_only=True):
    """`[budgets]`"""

    unpriced: Annotated[
        Literal["deny", "allow"],
        _says(
            "Whether a model without a price is forwarded where a hard budget applies; it then costs nothing."
        ),
    ] = "deny"
    cap_output: Annotated[
        bool,
        _says(
            "Where a request names no length and the budget cannot pay for the longest answer: "
            "ask for as much as it affords, instead of refusing."
        ),
    ] = False


class AlertSettings(_Section, frozen=True, kw_only=True):
    """`[alerts]`"""

    allowed_networks: Annotated[
        tuple[str, ...],
        _says("Networks (CIDR) that are not public and that channels may call, such as a mail server's."),
    ] = ()
    dashboard_url: Annotated[
        str,
        _says(
            "Address of the dashboard as people reach it: in links, and behind a proxy the name under which it "
            "answers; with https its cookies are Secure. Empty for none."
        ),
    ] = ""


class DashboardSettings(_Section, frozen=True, kw_only=True):
    """`[dashboard]`"""

    enabled: Annotated[bool, _says("Whether `up` starts the dashboard.")] = True
    host: Annotated[str, Meta(min_length=1), _says("Address the dashboard listens on.")] = "127.0.0.1"
    port: Annotated[Port, _says("Port the dashboard listens on.")] = 8501
    sign_in: Annotated[
        Literal["password", "oidc", "none"],
        _says(
            "Who may look: accounts with a password (and the identity provider's, where one is set), "
            "only the latter, or whoever reaches it (then put a login in front of it)."
        ),
    ] = "password"
    oidc_issuer: Annotated[
        str, _says("Identity provider (OpenID Connect) to sign in with, by its issuer URL; empty for none.")
    ] = ""
    oidc_client_id: Annotated[str, _says("Client id that the identity provider gave this dashboard.")] = ""
    oidc_scopes: Annotated[
        tuple[str, ...], _says("Scopes to ask for; some providers want one more to tell groups.")
    ] = ("openid", "email", "profile")
    oidc_groups_claim: Annotated[
        str, Meta(min_length=1), _says("Claim of the ID token that lists somebody's groups or roles.")
    ] = "groups"
    oidc_admins: Annotated[
        tuple[str, ...],
        _says(
            "Who is an administrator: verified e-mail addresses, `*@` and a domain, `group:NAME`, `sub:ID`."
        ),
    ] = ()
    oidc_viewers: Annotated[tuple[str, ...], _says("Who may look and not change, written the same way.")] = ()
    oidc_name: Annotated[
        str, Meta(min_length=1, max_length=60), _says("What the button says after `Sign in with`.")
    ] = "your organisation"


class TelemetrySettings(_Section, frozen=True, kw_only=True):
    """`[telemetry]`"""

    enabled: Annotated[bool, _says("Whether spans and metrics are sent to an OpenTelemetry collector.")] = (
        False
    )
    otlp_endpoint: Annotated[
        str, Meta(min_length=1), _says("Base address of the collector; OTLP over HTTP, without `/v1/traces`.")
    ] = "http://127.0.0.1:4318"
    traces_sample_ratio: Annotated[
        float,
        Meta(ge=0, le=1),
        _says("Share of the requests without a `traceparent` whose spans are sent; 0 sends none at all."),
    ] = 1.0
    metrics_interval_s: Annotated[Seconds, _says("Time between two exports of the metrics.")] = 60.0
    prometheus: Annotated[
        Literal["loopback", "key", "open", "off"],
        _says(
            "Who may read `/metrics`: programs on this machine and holders of an admin key, only the latter, "
            "everybody, or nobody."
        ),
    ] = "loopback"


class ContentSettings(_Section, frozen=True, kw_only=True):
    """`[content]`: of projects that capture content."""

    max_bytes: Annotated[
        int,
        Meta(ge=1024, le=16 * MEBIBYTE),
        _says("Longest request, and longest answer, that is kept; the rest is cut."),
    ] = 256 * 1024
    memory_bytes: Annotated[
        int,
        Meta(ge=MEBIBYTE, le=1 << 34),
        _says("Memory for content that is not written yet; what finds no room is not kept."),
    ] = 64 * MEBIBYTE
    patterns: Annotated[
        dict[str, str],
        _says('More that is redacted, as bounded regular expressions: `{ employee = "EMP-[0-9]{6}" }`.'),
    ] = {}


class UpstreamSettings(_Section, frozen=True, kw_only=True):
    """`[[upstreams]]`"""

    name: Annotated[
        str,
        Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        _says("Unique name in records and headers; letters, digits, dot, underscore and hyphen."),
    ]
    base_url: Annotated[str, _says("Address of the API up to and including the version, such as `/v1`.")]
    api_key: Annotated[
        Secret | None, _says("Key of the provider, as `env:NAME`; absent where none is needed.")
    ] = None
    provider: Annotated[
        str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$"), _says("Whose price book and usage dialect apply.")
    ] = "openai"
    models: Annotated[
        tuple[str, ...], Meta(min_length=1), _says("Models it serves, as names or glob patterns.")
    ] = ("*",)
    model_map: Annotated[
        dict[str, str],
        _says('Names it knows models by, where they differ: `{ "gpt-4o" = "my-deployment" }`.'),
    ] = {}
    priority: Annotated[
        int, Meta(ge=0, le=1_000_000), _says("Lower is asked first, among those that serve a model.")
    ] = 0
    weight: Annotated[
        int, Meta(ge=1, le=1_000_000), _says("Share of the requests among equals in priority.")
    ] = 1
    on_disconnect: Annotated[
        Literal["drain", "cancel"],
        _says("When a client leaves: read the answer to its end, or cancel and estimate."),
    ] = "drain"
    cost: Annotated[
        Literal["computed", "provider"],
        _says(
            "What a request costs: our prices, or what the provider's answer reports as billed, if it does."
        ),
    ] = "computed"
    connect_timeout_s: Annotated[Seconds, _says("Time to connect.")] = 5.0
    first_byte_timeout_s: Annotated[Seconds, _says("Time until the answer begins.")] = 120.0
    idle_timeout_s: Annotated[Seconds, _says("Longest silence between two chunks.")] = 60.0
    total_timeout_s: Annotated[Seconds, _says("Time for the whole answer.")] = 3600.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Secrets come from the environment only."""

    store: StoreSettings = StoreSettings()
    relay: RelaySettings = RelaySettings()
    accounting: AccountingSettings = AccountingSettings()
    budgets: BudgetSettings = BudgetSettings()
    alerts: AlertSettings = AlertSettings()
    dashboard: DashboardSettings = DashboardSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    content: ContentSettings = ContentSettings()
    upstreams: tuple[UpstreamSettings, ...] = ()
    admin_key: Secret | None = None
    secret_key: Secret | None = None
    otlp_headers: Secret | None = None
    oidc_client_secret: Secret | None = None
