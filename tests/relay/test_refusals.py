"""Every refusal of the relay itself: what the client is told, and what the books say of it."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from service.app import system_clock
from service.relay.wrong_keys import FAILURES_PER_MINUTE, MICROS_PER_MINUTE
from tests.relay.conftest import MakeRelay
from tests.support.relay import CHAT, Answer, Client, Relay, until
from tests.support.relay import upstream as configured
from tests.support.upstream import COMPLETION, Upstream, response

UUID7 = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class Case(NamedTuple):
    """A request, and the row of the error table that answers it."""

    name: str
    body: Any
    status: int
    type: str
    code: str | None
    param: str | None = None
    outcome: str = "rejected_request"


INVALID = "invalid_request_error"
CASES = [
    Case("no body", b"", 400, INVALID, None),
    Case("white space", b"  ", 400, INVALID, None),
    Case("cut short", b'{"model":', 400, INVALID, None),
    Case("a list", [], 400, INVALID, None),
    Case("not UTF-8", b'{"model":"\xff","messages":[]}', 400, INVALID, None),
    Case("NaN", b'{"model":"m","messages":[],"x":NaN}', 400, INVALID, None),
    Case("1e400", b'{"model":"m","messages":[],"temperature":1e400}', 400, INVALID, None),
    Case("deep", b'{"model":"m","messages":%b%b}' % (b"[" * 10_000, b"]" * 10_000), 400, INVALID, None),
    Case("no model", {"messages": []}, 400, INVALID, None, "model"),
    Case("empty model", {**CHAT, "model": ""}, 400, INVALID, None, "model"),
    Case("no messages", {"model": "gpt-4o"}, 400, INVALID, None, "messages"),
    Case("message without a role", {**CHAT, "messages": [{}]}, 400, INVALID, None, "messages[0].role"),
    Case("stream as text", {**CHAT, "stream": "true"}, 400, INVALID, None, "stream"),
    Case("half a choice", {**CHAT, "n": 0.5}, 400, INVALID, None, "n"),
    Case("metadata as a list", {**CHAT, "metadata": []}, 400, INVALID, None, "metadata"),
    Case("model twice", b'{"model":"m","messages":[],"model":"n"}', 400, INVALID, "duplicate_key", "model"),
    Case("an escaped twin", b'{"model":"m","messages":[],"\\u006dodel":"n"}', 400, INVALID, "duplicate_key", "model"),
    Case("unknown model", {**CHAT, "model": "llama"}, 404, INVALID, "model_not_found"),
    Case("almost a known model", {**CHAT, "model": "GPT-4o"}, 404, INVALID, "model_not_found"),
    Case("model with a line break", {**CHAT, "model": "gpt-4o\r\nx: y\0"[::-1]}, 404, INVALID, "model_not_found"),
]  # fmt: skip


def assert_refused(
    answer: Answer, record: dict[str, Any], *, status: int, kind: str, code: str | None
) -> None:
    """The contract's shape and headers, and the same facts in the record; no upstream saw it, so it was free."""
    assert answer.status == status
    assert (answer.error["type"], answer.error["code"]) == (kind, code)
    assert answer.header(b"content-type") == b"application/json"
    identifier = answer.header(b"x-request-id")
    assert identifier is not None
    assert UUID7.fullmatch(identifier)
    assert str(record["request_id"]).encode() == identifier
    assert record["id"] == record["request_id"]
    assert (record["http_status"], record["error_type"], record["error_code"]) == (status, kind, code)
    assert (record["cost_nanos"], record["cost_status"], record["usage_source"]) == (0, "free", "none")
    assert (record["attempt"], record["final"], record["upstream"], record["provider"]) == (
        1,
        True,
        None,
        None,
    )
    assert record["input_tokens"] is record["output_tokens"] is None
    assert record["duration_ms"] >= 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_request(relay: Relay, client: Client, upstream: Upstream, case: Case) -> None:
    answer = client.post(case.body).answer()
    record = relay.record(client)
    assert_refused(answer, record, status=case.status, kind=case.type, code=case.code)
    assert answer.error["param"] == case.param
    assert (record["outcome"], record["repeat_count"]) == (case.outcome, 1)
    assert (record["key_name"], record["project"]) == ("test", "default")
    assert record["bytes_in"] == len(case.body if isinstance(case.body, bytes) else json.dumps(case.body))
    assert upstream.nobody_came()


def test_the_connection_serves_on_after_a_refusal(relay: Relay, client: Client, upstream: Upstream) -> None:
    assert client.post(b"{").answer().status == 400
    client.post(CHAT)
    upstream.answer(response(COMPLETION))
    assert client.answer().status == 200
    assert [each["outcome"] for each in relay.records(client.agent, count=2)] == ["rejected_request", "ok"]


def test_attribution_stands_in_a_refusal_too(relay: Relay, client: Client) -> None:
    answer = client.post({**CHAT, "model": "llama", "user": "u"}, b"x-session-id: s").answer()
    record = relay.record(client)
    assert answer.status == 404
    assert (record["end_user"], record["session"], record["requested_model"]) == ("u", "s", "llama")


# Who asks


def test_a_model_that_the_key_may_not_use(relay: Relay, upstream: Upstream) -> None:
    with relay.client(relay.new_key(name="narrow", models=["gpt-4o-mini", "o*"], project="p")) as client:
        answer = client.post(CHAT).answer()
        record = relay.record(client)
    assert_refused(answer, record, status=403, kind="permission_error", code="model_not_allowed")
    assert "`gpt-4o`" in answer.error["message"]
    assert (record["outcome"], record["key_name"], record["project"]) == ("rejected_request", "narrow", "p")
    assert record["requested_model"] == "gpt-4o"
    assert upstream.nobody_came()


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


def test_two_authorizations_are_judged_by_the_first(relay: Relay, upstream: Upstream) -> None:
    with relay.client(None) as client:
        good = b"authorization: Bearer " + relay.key.encode()
        client.post(CHAT, good, b"authorization: Bearer evil")
        seen = upstream.answer(response(COMPLETION))
        assert client.answer().status == 200
    assert seen.values(b"authorization") == [b"Bearer sk-of-gpt"]


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
    asked, answers = FAILURES_PER_MINUTE + 25, []
    with lonely.client("wrong") as client:
        for _ in range(asked):
            answers.append(client.post(CHAT).answer())
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


# Policies and states


def test_an_unpriced_model_where_that_is_denied(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream]
) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), on_unpriced="deny")
    with relay.client() as client:
        answer = client.post({**CHAT, "model": "nobody-knows-its-price"}).answer()
        record = relay.record(client)
        assert_refused(answer, record, status=429, kind="insufficient_quota", code="model_unpriced")
        assert answer.header(b"x-should-retry") == b"false"
        assert answer.header(b"retry-after") is None
        assert record["outcome"] == "rejected_budget"
        assert upstream.nobody_came()
        client.post(CHAT)
        upstream.answer(response(COMPLETION))
        assert client.answer().status == 200


def test_a_relay_that_shuts_down(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> None:
    relay = make_relay(configured("a", make_upstream().url))
    with relay.client() as client:
        relay.on_loop(lambda: setattr(relay.context, "draining", True))
        answer = client.post(CHAT).answer()
        record = relay.record(client)
    assert_refused(answer, record, status=503, kind="service_unavailable", code="shutting_down")
    assert answer.header(b"retry-after") == b"5"
    assert record["outcome"] == "rejected_unavailable"


@pytest.mark.parametrize("outage", ["stale keys", "records not taken"])
def test_a_store_that_is_needed_and_away(
    make_relay: MakeRelay, make_upstream: Callable[[], Upstream], outage: str
) -> None:
    relay = make_relay(
        configured("a", make_upstream().url),
        durability="store" if outage == "records not taken" else "local",
        auth_stale_ttl_s=0.001 if outage == "stale keys" else 60,
    )
    with relay.client() as client:
        if outage == "stale keys":
            relay.process.configuration.stop()
            assert until(lambda: relay.process.configuration.stale)
        else:
            relay.process.recorder.store_available = False
        answer = client.post(CHAT).answer()
        relay.process.recorder.store_available = True
        relay.on_loop(relay.process.refusals.close)
        record = relay.record(client)
    assert_refused(answer, record, status=503, kind="service_unavailable", code="store_unavailable")
    assert record["outcome"] == "rejected_unavailable"


def test_a_full_journal(make_relay: MakeRelay, make_upstream: Callable[[], Upstream]) -> None:
    upstream = make_upstream()
    relay = make_relay(configured("a", upstream.url), journal_max_bytes=1 << 20)
    with relay.client() as client:
        relay.fill_journal()
        answer = client.post(CHAT).answer()
        record = relay.record(client)
    assert_refused(answer, record, status=503, kind="service_unavailable", code="journal_full")
    assert answer.header(b"retry-after") == b"5"
    assert record["outcome"] == "rejected_unavailable"
    assert upstream.nobody_came()
