"""The simulated upstream over real HTTP."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from service.simulator.app import create_simulator
from service.simulator.pace import Pace
from service.simulator.server import running
from tests.simulator.making import NOW

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Explain ledgers."}], "seed": 3}
CHAT = "/v1/chat/completions"
PATIENCE_S = 20


class LineKeeper:
    """A request log in memory that can be waited for."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, line: Mapping[str, Any]) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait_for_end(self) -> Mapping[str, Any]:
        """The first end line."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: any(line["event"] == "end" for line in self.lines), PATIENCE_S
            )
        return next(line for line in self.lines if line["event"] == "end")


@pytest.fixture
def log() -> LineKeeper:
    return LineKeeper()


@pytest.fixture
def client(log: LineKeeper) -> Iterator[httpx.Client]:
    with (
        running(create_simulator(now=lambda: NOW, log=log)) as url,
        httpx.Client(base_url=url, headers={"authorization": "Bearer sk-test"}) as opened,
    ):
        yield opened


@pytest.fixture
def slow(log: LineKeeper) -> Iterator[httpx.Client]:
    app = create_simulator(now=lambda: NOW, log=log, pace=Pace(tokens_per_s=50, ttft_s=0.05))
    with (
        running(app) as url,
        httpx.Client(base_url=url, headers={"authorization": "Bearer sk-test"}) as opened,
    ):
        yield opened


def test_an_answer_has_openai_headers(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=BODY)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["openai-processing-ms"]) > 0
    for kind in ("limit", "remaining", "reset"):
        assert answer.headers[f"x-ratelimit-{kind}-requests"]
        assert answer.headers[f"x-ratelimit-{kind}-tokens"]
    assert answer.json()["created"] == NOW


def test_a_stream_is_an_event_stream(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=BODY | {"stream": True})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "content-length" not in answer.headers
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [(None, None), ("Basic sk-test", None), ("Bearer", None), ("Bearer invalid", "invalid_api_key")],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/nothing"])
def test_a_key_is_needed(
    client: httpx.Client, path: str, authorization: str | None, code: str | None
) -> None:
    del client.headers["authorization"]
    headers = {"authorization": authorization} if authorization else {}
    answer = client.post(path, json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"model": 1e400}', b"\x00"])
def test_what_is_no_json_is_a_400(client: httpx.Client, body: bytes) -> None:
    answer = client.post(CHAT, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_breach_of_the_contract_is_a_400(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=BODY | {"temperature": 9})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "temperature"


def test_models_are_listed_and_found(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    names = [each["id"] for each in listed["data"]]
    assert {"gpt-4o", "gpt-4o-mini", "o4-mini", "claude-sonnet-4-5"} < set(names)
    for name in (*names, "gpt-4o-2024-08-06", "sim-cut"):
        found = client.get(f"/v1/models/{name}").json()
        assert set(found) == {"id", "object", "created", "owned_by"}
        assert found["id"] == name


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/models/nothing", 404, "model_not_found"),
        ("GET", "/v1/nothing", 404, None),
        ("GET", "/", 404, None),
        ("POST", "/v1/models", 405, "method_not_supported"),
        ("GET", CHAT, 405, "method_not_supported"),
        ("DELETE", "/_sim/faults", 405, "method_not_supported"),
    ],
)
def test_wrong_addresses(client: httpx.Client, method: str, path: str, status: int, code: str | None) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize("model", ["gpt-99", "sim-unknown", "sim-cut:gpt-99", "sim-error-777"])
def test_an_unknown_model_is_a_404(client: httpx.Client, model: str) -> None:
    answer = client.post(CHAT, json=BODY | {"model": model})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("model", "reported"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("sim-crlf:gpt-4o", "gpt-4o-2024-08-06"),
        ("sim-plain", "sim-plain"),
    ],
)
def test_the_answer_names_the_dated_model(client: httpx.Client, model: str, reported: str) -> None:
    assert client.post(CHAT, json=BODY | {"model": model}).json()["model"] == reported


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sim-cut", "sim-truncated-body", "sim-drop"])
def test_a_broken_connection_is_broken_on_the_wire(
    client: httpx.Client,
    log: LineKeeper,
    model: str,
    stream: bool,  # noqa: FBT001  a table column
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(CHAT, json=BODY | {"model": model, "stream": stream})
    assert log.wait_for_end()["ended"] == "cut"
    assert client.post(CHAT, json=BODY).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["sim-stall", "sim-hang"])
def test_silence_lasts_until_the_client_gives_up(
    client: httpx.Client,
    log: LineKeeper,
    model: str,
    stream: bool,  # noqa: FBT001  a table column
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post(
            CHAT, json=BODY | {"model": model, "stream": stream}, timeout=httpx.Timeout(PATIENCE_S, read=0.5)
        )
    assert log.wait_for_end()["ended"] == "client_gone"


def test_a_client_that_leaves_a_stream_is_noticed(slow: httpx.Client, log: LineKeeper) -> None:
    long = BODY | {"stream": True, "messages": [{"role": "user", "content": "Write 9000 words."}]}
    with slow.stream("POST", CHAT, json=long) as answer:
        next(answer.iter_bytes())
    assert log.wait_for_end()["ended"] == "client_gone"


@pytest.mark.parametrize("stream", [False, True])
def test_the_pace_is_kept(slow: httpx.Client, stream: bool) -> None:  # noqa: FBT001  a table column
    body = BODY | {"stream": stream, "messages": [{"role": "user", "content": "Repeat: one two three four"}]}
    started = time.monotonic()
    slow.post(CHAT, json=body)
    assert time.monotonic() - started >= 0.05 + 4 / 50


def test_the_log_has_two_lines_per_request(client: httpx.Client, log: LineKeeper) -> None:
    answer = client.post(CHAT, json=BODY, headers={"x-request-id": "ours-1"})
    log.wait_for_end()
    start, end = log.lines
    assert start == {
        "event": "start",
        "seq": 1,
        "id": answer.json()["id"],
        "at": NOW,
        "request_id": "ours-1",
        "upstream_request_id": answer.headers["x-request-id"],
        "model": "gpt-4o-mini",
        "stream": False,
        "status": 200,
        "usage": answer.json()["usage"],
    }
    assert end == {"event": "end", "seq": 1, "id": start["id"], "at": NOW, "ended": "complete"}


def test_a_refused_request_is_in_the_log_too(client: httpx.Client, log: LineKeeper) -> None:
    client.post(CHAT, json=BODY | {"model": "sim-error-503"})
    log.wait_for_end()
    start = log.lines[0]
    assert (start["model"], start["status"], start["id"], start["usage"]) == (
        "sim-error-503",
        503,
        None,
        None,
    )


def test_odd_headers_are_on_the_wire(client: httpx.Client) -> None:
    raw = client.post(CHAT, json=BODY | {"model": "sim-odd-headers"}).headers.raw
    assert [value for name, value in raw if name == b"openai-warning"] == [b"first", b"second"]
    assert (b"openai-note", "café".encode()) in raw
    assert (b"connection", b"x-hop") in raw


def test_controls_are_set_read_and_cleared(client: httpx.Client) -> None:
    set_to = client.post("/_sim/faults", json={"error_rate": 0.5, "error_status": 502}).json()["controls"]
    assert set_to == {"outage": False, "error_rate": 0.5, "error_status": 502, "latency_ms": 0}
    assert client.get("/_sim/faults").json()["controls"] == set_to
    assert [client.post(CHAT, json=BODY).status_code for _ in range(4)] == [200, 502, 200, 502]
    client.post("/_sim/faults", json={"outage": True})
    assert client.post(CHAT, json=BODY).status_code == 503
    client.post("/_sim/faults", json={})
    assert client.post(CHAT, json=BODY).status_code == 200


def test_added_latency_delays_the_head(client: httpx.Client) -> None:
    client.post("/_sim/faults", json={"latency_ms": 150})
    started = time.monotonic()
    client.post(CHAT, json=BODY)
    assert time.monotonic() - started >= 0.15


@pytest.mark.parametrize("controls", [{"error_rate": 2}, {"eror_rate": 1}, {"error_status": 200}, []])
def test_unusable_controls_are_refused_and_change_nothing(client: httpx.Client, controls: Any) -> None:
    before = client.get("/_sim/faults").json()["controls"]
    assert client.post("/_sim/faults", json=controls).status_code == 400
    assert client.get("/_sim/faults").json()["controls"] == before


def test_the_magic_names_are_documented_where_they_are_used(client: httpx.Client) -> None:
    magic = client.get("/_sim/faults").json()["magic_models"]
    assert magic["sim-cut"] == "The connection closes in the middle."


def test_a_request_that_is_never_sent_whole_gets_no_answer(client: httpx.Client, log: LineKeeper) -> None:
    def half() -> Iterator[bytes]:
        yield b'{"model": '
        raise ConnectionError

    with pytest.raises(ConnectionError):
        client.post(CHAT, content=half())
    assert client.post(CHAT, json=BODY).status_code == 200
    log.wait_for_end()
    assert [line["seq"] for line in log.lines] == [1, 1]


def test_many_streams_at_once(client: httpx.Client) -> None:
    answers: list[str] = []

    def one() -> None:
        answers.append(client.post(CHAT, json=BODY | {"stream": True}).text)

    threads = [threading.Thread(target=one) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    contents = {
        tuple(
            json.loads(line[6:])["choices"][0]["delta"].get("content")
            for line in text.splitlines()
            if line.startswith("data: {")
        )
        for text in answers
    }
    assert len(answers) == 16
    assert len(contents) == 1
