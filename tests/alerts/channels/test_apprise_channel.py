"""Chat and mail through apprise, to real receivers on this machine."""

import io
import json
import logging
import socket
import time
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as MailEnvelope

from service.alerts.channels.addresses import AddressGuard
from service.alerts.channels.apprise_channel import AppriseChannel, body_of, plain, title_of
from service.alerts.channels.outcome import DeliveryFailedError, Envelope
from service.errors import InvalidInputError
from tests.alerts.making import NOW
from tests.support.receivers import Answer, Receiver, receiver

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops"
DISCORD = "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz"
LOOPBACK = ["127.0.0.0/8"]


def payload(kind: str = "alert.firing", **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "rule": "Money",
        "subject": "bud_1",
        "severity": "critical",
        "fired_at": "2026-03-04T12:00:00Z",
        "summary": "The budget of key <!channel> has used 100 %",
        "details": {},
        "links": {"dashboard": "https://tolls.example/alerts?event=1"},
        **more,
    }


def send(url: str, allowed: list[str] | None = None, **more: Any) -> str:
    channel = AppriseChannel(url, guard=AddressGuard(LOOPBACK if allowed is None else allowed))
    return channel.send(Envelope(id="1", payload=payload(**more), sent_at=NOW))


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A server in the place of Slack's."""
    plugin = type(AppriseChannel(SLACK, guard=AddressGuard()).opened())
    with receiver() as found:
        found.choose = lambda _got: Answer(200, b"ok")
        monkeypatch.setattr(plugin, "webhook_url", f"{found.url}/services")
        yield found


@pytest.fixture
def discord(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A server in the place of Discord's."""
    plugin = type(AppriseChannel(DISCORD, guard=AddressGuard()).opened())
    with receiver() as found:
        found.choose = lambda _got: Answer(204, b"")
        monkeypatch.setattr(plugin, "notify_url", f"{found.url}/api/webhooks")
        yield found


def test_slack_gets_the_alert_and_no_picture(slack: Receiver) -> None:
    assert send(SLACK) == "taken by Slack"
    (got,) = slack.got
    text = got.body.decode()
    said = json.loads(text)
    assert got.path == "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert said["channel"] == "#ops"
    assert "has used 100 %" in text
    assert "https://tolls.example/alerts?event=1" in text
    assert "icon_url" not in text
    assert "image_url" not in text
    assert "<!channel>" not in text
    assert "github" not in text


def test_discord_gets_the_alert_and_no_picture(discord: Receiver) -> None:
    assert send(DISCORD, summary="@everyone look at [this](http://evil.example)") == "taken by Discord"
    (got,) = discord.got
    text = got.body.decode()
    assert got.path == "/api/webhooks/123456789012345678/abcdefghijklmnopqrstuvwxyz"
    assert "avatar_url" not in text
    assert "@everyone" not in text
    assert "](http" not in text


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_a_refusal_is_told_without_the_secret(slack: Receiver, status: int) -> None:
    slack.choose = lambda _got: Answer(status, b"invalid_token TIiajkdnlazkcOXrIdevi7FQ")
    with pytest.raises(DeliveryFailedError, match=f"{status}") as failed:
        send(SLACK)
    assert "TIiaj" not in str(failed.value)


def test_redirects_are_not_followed(slack: Receiver) -> None:
    with receiver() as aim:
        slack.choose = lambda _got: Answer(302, headers={"location": f"{aim.url}/x"})
        with pytest.raises(DeliveryFailedError):
            send(SLACK)
        assert list(aim.got) == []


class Mailbox:
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[MailEnvelope] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: MailEnvelope) -> str:  # noqa: N802  (the library's name)
        self.got.append(envelope)
        return self.answer


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    """A mail server on a free port."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, port
    finally:
        controller.stop()


def mail_url(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=toll@x.example&to=ops@x.example&mode=insecure"


def test_mail_arrives(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    assert send(mail_url(port)) == "taken by E-Mail"
    (got,) = box.got
    assert got.rcpt_tos == ["ops@x.example"]
    assert isinstance(got.content, bytes)
    mail = message_from_bytes(got.content)
    assert mail["Subject"] == "[critical] Money"
    assert "toll@x.example" in mail["From"]
    assert b"img" not in got.content


def test_a_mail_server_that_refuses(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    box.answer = "550 no such user"
    with pytest.raises(DeliveryFailedError, match="failure: "):
        send(mail_url(port))


def test_a_mail_server_inside_has_to_be_allowed(mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    with pytest.raises(DeliveryFailedError, match=r"127\.0\.0\.1, an address of this machine"):
        send(mail_url(port), allowed=[])
    assert box.got == []


def test_a_mail_server_that_the_library_finds_by_itself_is_judged(mailbox: tuple[Mailbox, int]) -> None:
    guard = AddressGuard(resolve=lambda _host, _port: ["10.0.0.25"])
    channel = AppriseChannel("mailtos://me:word@gmail.com?to=a@b.example", guard=guard)
    with pytest.raises(DeliveryFailedError, match=r"is 10\.0\.0\.25, a private address"):
        channel.send(Envelope(id="1", payload=payload(), sent_at=NOW))
    assert mailbox[0].got == []


def test_a_host_that_nobody_knows_is_the_librarys_business() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    channel = AppriseChannel(
        "mailto://me:word@nowhere.invalid?to=a@b.example&mode=insecure", guard=AddressGuard(resolve=unknown)
    )
    began = time.monotonic()
    with pytest.raises(DeliveryFailedError, match="failure"):
        channel.send(Envelope(id="1", payload=payload(), sent_at=NOW))
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("url", ["slack://not-a-token", "tgram://x", "gchat://one"])
def test_what_apprise_does_not_understand_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="apprise does not understand it"):
        AppriseChannel(url, guard=AddressGuard()).opened()


def test_everything_that_leads_elsewhere_is_off() -> None:
    for url in (SLACK, DISCORD):
        plugin = AppriseChannel(url, guard=AddressGuard()).opened()
        assert plugin.redirects is False
        assert plugin.verify_certificate is True
        assert not getattr(plugin, "include_image", False)
        assert not getattr(plugin, "avatar", False)
        assert plugin.image_url("info") is None


def test_titles_and_texts() -> None:
    assert title_of(payload()) == "[critical] Money"
    assert title_of(payload("alert.resolved")) == "[resolved] Money"
    assert title_of(payload("report")) == "Money"
    assert title_of(payload("test")) == "Tollkeeper test"
    assert body_of(payload("test", summary="A test", links={})) == "A test"
    rows = [
        {"project": "alpha", "requests": 3, "cost_usd": "1.50"},
        {"project": None, "requests": 1, "cost_usd": None},
    ]
    assert body_of(payload("report", summary="Spent", details={"top": rows}, links={})).splitlines() == [
        "Spent",
        "alpha: 1.50 USD, 3 requests",
        "unknown: 0.00 USD, 1 requests",
    ]


def test_texts_from_outside_mention_nobody() -> None:
    assert plain("<!here> @here @channel anna@x.example [a](b)") == (
        "\u2039!here\u203a @\u200bhere @\u200bchannel anna@x.example [a] (b)"
    )


def test_the_kind_of_message_is_kept(slack: Receiver) -> None:
    for kind, severity in (("alert.resolved", "critical"), ("alert.firing", "warning"), ("report", "info")):
        send(SLACK, type=kind, severity=severity)
    assert len(slack.got) == 3


def test_it_does_not_show_its_url() -> None:
    assert "TIiaj" not in repr(AppriseChannel(SLACK, guard=AddressGuard()))


def test_what_the_library_logs_stays_with_the_result(slack: Receiver) -> None:
    """It logs URLs with their secrets; nothing of that reaches the log of this process."""
    heard = io.StringIO()
    listener = logging.StreamHandler(heard)
    logging.getLogger().addHandler(listener)
    slack.choose = lambda _got: Answer(500)
    try:
        with pytest.raises(DeliveryFailedError, match="error=500"):
            send(SLACK)
        with pytest.raises(InvalidInputError):
            AppriseChannel("slack://s3cret", guard=AddressGuard()).opened()
    finally:
        logging.getLogger().removeHandler(listener)
    assert heard.getvalue() == ""
