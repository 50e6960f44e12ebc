"""Services of apprise: an allow-list of schemes and parameters; refusals name what is wrong, never the secret."""

import pytest

from service.alerts.channels.services import FIXED, HOSTED, SCHEMES, native_service, scheme_of, service_of
from service.errors import InvalidInputError

SECRET = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


@pytest.mark.parametrize(
    ("url", "name", "hosts", "target"),
    [
        (f"slack://{SECRET}/#ops", "slack", (), "slack://********"),
        (f"SLACK://{SECRET}", "slack", (), "slack://********"),
        (f"https://hooks.slack.com/services/{SECRET}", "slack", ("hooks.slack.com",), "slack://********"),
        (
            "https://discord.com/api/webhooks/12/ab?thread_id=9",
            "discord",
            ("discord.com",),
            "discord://********",
        ),
        (
            "https://prod-1.westus.logic.azure.com:443/workflows/643e/triggers/manual?api-version=2016&sig=xyz",
            "workflows",
            ("prod-1.westus.logic.azure.com",),
            "workflows://********",
        ),
        (
            "mailtos://me:word@mail.example?to=a@b.example",
            "mailtos",
            ("mail.example",),
            "mailtos://********@mail.example",
        ),
        (
            "mailto://me:word@corp.example?smtp=10.0.0.25&to=a@b.example",
            "mailto",
            ("10.0.0.25",),
            "mailto://********@corp.example",
        ),
        ("mmosts://chat.example/token", "mmosts", ("chat.example",), "mmosts://********@chat.example"),
    ],
)
def test_what_may_be_used(url: str, name: str, hosts: tuple[str, ...], target: str) -> None:
    found = service_of(url)
    assert (found.name, found.hosts, found.target) == (name, hosts, target)


@pytest.mark.parametrize(
    "scheme",
    ["json", "jsons", "xml", "form", "file", "exec", "syslog", "dbus", "windows", "glib", "http", "ftp"],
)
def test_other_schemes_are_refused_by_name(scheme: str) -> None:
    with pytest.raises(InvalidInputError, match=f"the scheme '{scheme}' is not allowed") as refused:
        service_of(f"{scheme}://s3cret@127.0.0.1/x")
    assert "s3cret" not in str(refused.value)
    assert refused.value.field == "url"


@pytest.mark.parametrize(
    "parameter",
    [
        "redirect=yes",
        "verify=no",
        "image=yes",
        "avatar_url=http://x",
        "template=/etc/passwd",
        "attach=file:///x",
        "retry=9",
        "wait=999",
        "overflow=split",
        "pgp=yes",
        "+X-Header=1",
        "footer_logo=yes",
        "href=http://x",
    ],
)
def test_other_parameters_are_refused_by_name(parameter: str) -> None:
    name = parameter.partition("=")[0].replace("+", " ")
    for url in (
        f"slack://{SECRET}?{parameter}",
        f"slack://{SECRET}/#ops?{parameter}",
        f"https://hooks.slack.com/services/{SECRET}?{parameter}",
        f"https://hooks.slack.com/services/{SECRET}#x?{parameter}",
    ):
        with pytest.raises(InvalidInputError, match=f"the parameter '{name}' is not allowed") as refused:
            service_of(url)
        assert "TIiaj" not in str(refused.value)


def test_a_url_of_nobody_known_is_for_a_webhook() -> None:
    with pytest.raises(InvalidInputError, match=r"hooks\.example is none of the services .* kind webhook"):
        service_of("https://hooks.example/services/x")
    with pytest.raises(InvalidInputError, match="the host is none of the services"):
        service_of("https:///x")


@pytest.mark.parametrize("url", ["", "slack", "://x", "slack:/x", "https://[::1/x", "mailto://[::1/x"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(InvalidInputError, match="url"):
        service_of(url)


def test_hosts_are_recognised_whatever_their_case() -> None:
    assert native_service("HOOKS.slack.com") == "slack"
    assert native_service("x.environment.api.powerplatform.com") == "workflows"
    assert native_service("evil-hooks.slack.com.example") is None
    assert scheme_of("TGRAM://x") == "tgram"


def test_every_scheme_is_one_or_the_other() -> None:
    assert set(SCHEMES) == FIXED | HOSTED
    assert not FIXED & HOSTED
