"""Every refusal of the relay itself: what the client is told, and what the books say of it."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.relay.conftest import MakeRelay
from tests.support.client import Answer, Client
from tests.support.relay import CHAT, Relay, until
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
    Case("lists twice", b'{"models":[],"model":"m","messages":[],"models":0}', 400, INVALID, "duplicate_key", "models"),
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


@pytest.mark.parametrize(
    ("models", "status", "named"),
    [
        (["gpt-4o-mini", "gpt-4o"], 403, "`gpt-4o`"),
        (["llama"], 403, "`llama`"),
        (["gpt-4o-mini", 1], 400, "`models`"),
        ("gpt-4o", 400, "`models`"),
        ({"0": "gpt-4o"}, 400, "`models`"),
        (["o1"] * 5_000, 400, "`models`"),
    ],
)
def test_a_list_of_models_with_one_that_the_key_may_not_use(
    relay: Relay, upstream: Upstream, models: Any, status: int, named: str
) -> None:
    with relay.client(
        relay.new_key(name=f"fallback-{named}-{status}", models=["gpt-4o-mini", "o*"])
    ) as client:
        answer = client.post({**CHAT, "model": "gpt-4o-mini", "models": models}).answer()
        record = relay.record(client)
    kind, code = ("permission_error", "model_not_allowed") if status == 403 else (INVALID, None)
    assert_refused(answer, record, status=status, kind=kind, code=code)
    assert named in answer.error["message"]
    assert answer.error["param"] == ("models" if status == 400 else None)
    assert upstream.nobody_came()


@pytest.mark.parametrize("models", [["gpt-4o", "o1"], [], None])
def test_a_list_of_models_that_the_key_may_use(relay: Relay, upstream: Upstream, models: Any) -> None:
    body = json.dumps({**CHAT, "models": models}).encode()
    with relay.client(relay.new_key(models=["gpt-4o", "o*"])) as client:
        client.post(body)
        assert upstream.answer(response(COMPLETION)).body == body
        assert client.answer().status == 200


def test_two_keys_are_none(relay: Relay, client: Client, upstream: Upstream) -> None:
    with relay.client() as other:
        two = other.post(CHAT, b"Authorization: Bearer another").answer()
    assert (two.status, two.error["code"]) == (401, "invalid_api_key")
    assert two.error["message"] == "The request has 2 `Authorization` headers; send one."
    assert upstream.nobody_came()
    assert client.get(b"/v1/usage").status == 200
    assert client.get(b"/v1/usage", b"authorization: Bearer another").status == 401


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
