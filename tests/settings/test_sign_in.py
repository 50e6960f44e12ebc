"""What of the sign-in with an identity provider cannot work is said before anything starts."""

from typing import Any

import pytest

from service.errors import ConfigurationError
from service.settings import DashboardSettings, Secret
from service.settings.sign_in import checked_sign_in, is_protected
from tests.settings.test_loading import read, refusal

GOOD: dict[str, Any] = {
    "oidc_issuer": "https://id.example/realms/a/",
    "oidc_client_id": "tollkeeper",
    "oidc_viewers": ("*@example.com", "ada@example.com", "group:ops", "sub:a|1"),
}


def checked(**fields: Any) -> DashboardSettings:
    return checked_sign_in(DashboardSettings(**{**GOOD, **fields}))


def test_what_can_work_is_taken_as_it_is() -> None:
    assert checked() == DashboardSettings(**GOOD)
    assert checked(sign_in="oidc").sign_in == "oidc"
    assert checked_sign_in(DashboardSettings()) == DashboardSettings()


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [((), ("openid",)), (("email",), ("openid", "email")), (("email", "openid"), ("openid", "email"))],
)
def test_openid_is_always_asked_for(scopes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert checked(oidc_scopes=scopes).oidc_scopes == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"oidc_issuer": "", "sign_in": "oidc"}, "needs dashboard.oidc_issuer"),
        ({"oidc_issuer": "id.example"}, "dashboard.oidc_issuer must be an http:// or https:// URL"),
        ({"oidc_issuer": "http://id.example"}, "dashboard.oidc_issuer must begin with https://"),
        ({"oidc_client_id": ""}, "needs dashboard.oidc_client_id"),
        ({"oidc_viewers": ()}, "lets nobody in yet"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        checked(**fields)


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*@*", "ada", "@example.com", "ada@", "a@[e]xample.com", "*@exam?le.com", "group:", "sub:"],
)
@pytest.mark.parametrize("key", ["oidc_admins", "oidc_viewers"])
def test_a_pattern_names_somebody(key: str, entry: str) -> None:
    with pytest.raises(ConfigurationError, match=f"dashboard.{key}: .* is not an e-mail address"):
        checked(**{key: (entry,)})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://id.example", True),
        ("https://", False),
        ("http://127.0.0.1:9000/a", True),
        ("http://[::1]:9000", True),
        ("http://localhost", True),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("http://[bad", False),
        ("ftp://localhost", False),
    ],
)
def test_nobody_reads_along(url: str, *, expected: bool) -> None:
    assert is_protected(url) is expected


def test_the_secret_comes_from_the_environment_only() -> None:
    variable = "TOLLKEEPER_OIDC_CLIENT_SECRET"
    assert read(environ={variable: "short:it/is"}).settings.oidc_client_secret == Secret("short:it/is")
    assert "oidc_client_secret does not belong into a file" in refusal("oidc_client_secret = 'a'")
    assert f"{variable} is a placeholder" in refusal(environ={variable: "changeme"})
