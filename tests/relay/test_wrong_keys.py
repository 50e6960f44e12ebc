"""Wrong, expired and revoked keys: one answer for all, an exact count of them, and no harm to the others."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.app import system_clock
from service.relay.wrong_keys import FAILURES_PER_MINUTE, MICROS_PER_MINUTE
from tests.relay.conftest import MakeRelay
from tests.relay.test_refusals import assert_refused
from tests.support.relay import CHAT, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import Upstream


class Wall:
    """The machine's clocks, the wall clock put forward by `ahead_s`; or standing still, as if all came at once."""

    def __init__(self) -> None:
        machine = system_clock()
        self.ahead_s = 0
        self.still: int | None = None
        self.clock = msgspec.structs.replace(
            machine, micros=lambda: self.still or machine.micros() + self.ahead_s * 1_000_000
        )

    def stop(self) -> None:
        """Stop at the beginning of a minute."""
        self.still = self.clock.micros() // MICROS_PER_MINUTE * MICROS_PER_MINUTE


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def lonely(make_relay: MakeRelay, make_upstream: Callable[[], Upstream], wall: Wall) -> Relay:
    """A relay of the test's own, so that its count of wrong keys is the test's own."""
    return make_relay(configured("a", make_upstream().url), clock=wall.clock)


def bad_keys(relay: Relay) -> dict[str, str | None]:
    good = relay.key
    return {
        "none": None,
        "empty": " ",
        "of another gateway": "sk-1234567890",
        "cut": good[:-1],
        "unknown": good[:10] + ("A" if good[10] != "A" else "B") + good[11:],
        "longer": good + "x",
    }


def test_wrong_keys_all_get_one_answer(lonely: Relay) -> None:
    answers = []
    for key in bad_keys(lonely).values():
        with lonely.client(key) as client:
            answers.append(client.post(CHAT).answer())
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1
    for answer in answers:
        assert (answer.error["type"], answer.error["code"]) == ("authentication_error", "invalid_api_key")
        assert answer.header(b"www-authenticate") == b'Bearer realm="tollkeeper"'
        assert lonely.key.encode() not in answer.body


@pytest.mark.parametrize(
    "authorization",
    [
        b"Basic dXNlcjpwYXNz",
        b"Bearer",
        b"bearer  ",
        b"Bearer a b",
        b"Bearer \xff\xfe",
        b"tk_x",
        b"Bearer " + b"t" * 8000,
    ],
)
def test_any_other_authorization_is_a_wrong_key(lonely: Relay, authorization: bytes) -> None:
    with lonely.client(None) as client:
        answer = client.post(CHAT, b"authorization: " + authorization).answer()
        record = lonely.record(client)
    assert_refused(answer, record, status=401, kind="authentication_error", code="invalid_api_key")
    assert (record["outcome"], record["key_id"], record["client_address"]) == (
        "rejected_auth",
        None,
        "127.0.0.1",
    )


@pytest.mark.parametrize("good_first", [True, False])
def test_two_authorizations_are_none(make_relay: MakeRelay, upstream: Upstream, *, good_first: bool) -> None:
    """Which of them a proxy before us has judged nobody can say; the refusal is recorded, under nobody's name."""
    relay = make_relay(configured("a", upstream.url))
    good, evil = b"authorization: Bearer " + relay.key.encode(), b"Authorization: Bearer evil"
    with relay.client(None) as client:
        answer = client.post(CHAT, *((good, evil) if good_first else (evil, good))).answer()
        record = relay.record(client)
    assert_refused(answer, record, status=401, kind="authentication_error", code="invalid_api_key")
    assert (record["outcome"], record["key_name"]) == ("rejected_auth", None)
    assert upstream.nobody_came()


@pytest.mark.parametrize("end", ["expired", "revoked"])
def test_a_key_that_has_ended_is_recorded_under_its_name(lonely: Relay, wall: Wall, end: str) -> None:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251  (the relay's clock begins as the machine's)
    with lonely.client(lonely.new_key(name="ended", expires_at=in_an_hour)) as client:
        assert client.post(b"{").answer().status == 400
        if end == "expired":
            wall.ahead_s = 3600
        else:
            lonely.revoke("ended")
        answer = client.post(CHAT).answer()
        _, record = lonely.records(client.agent, count=2)
    assert_refused(answer, record, status=401, kind="authentication_error", code="invalid_api_key")
    assert answer.body == wrong_key_answer(lonely)
    assert (record["outcome"], record["key_name"]) == ("rejected_auth", "ended")


def wrong_key_answer(relay: Relay) -> bytes:
    with relay.client("wrong") as client:
        return client.post(CHAT).answer().body


def test_a_body_is_not_awaited_from_a_stranger(lonely: Relay) -> None:
    with lonely.client(None) as client:
        client.send(client.head(b"content-length: 1000000"))
        assert client.answer().status == 401


def test_a_flood_of_wrong_keys_is_counted_exactly_and_bounded(lonely: Relay, wall: Wall) -> None:
    wall.stop()
    asked = FAILURES_PER_MINUTE + 25
    with lonely.client("wrong") as client:
        answers = [client.post(CHAT).answer() for _ in range(asked)]
        lonely.on_loop(lonely.process.refusals.close)
        assert until(lambda: sum(each["repeat_count"] for each in stored(lonely)) == asked)
    statuses = [answer.status for answer in answers]
    for status in (401, 429):
        told = statuses.count(status)
        assert sum(each["repeat_count"] for each in stored(lonely) if each["http_status"] == status) == told
    assert statuses == [401] * FAILURES_PER_MINUTE + [429] * 25
    assert len(stored(lonely)) <= 4
    assert {each["outcome"] for each in stored(lonely)} == {"rejected_auth"}
    refused = answers[-1]
    assert (refused.error["type"], refused.error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert refused.header(b"retry-after") == b"60"


def stored(relay: Relay) -> list[dict[str, Any]]:
    relay.process.recorder._wake.set()
    return relay._stored(None)


def test_a_valid_key_works_beside_a_flood(lonely: Relay) -> None:
    with lonely.client("wrong") as client:
        while client.post(CHAT).answer().status != 429:
            pass
    with lonely.client() as client:
        assert client.post({"messages": []}).answer().status == 400
