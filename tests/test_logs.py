"""Log lines: one event each, machine-readable, without secrets and without forged lines."""

import io
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
import structlog

from service.logs import configure, get_logger, request_id
from service.settings import Secret

TOKEN = "tk_07WQVRKPf5QV_JUkJodcLduT5MgLyoyqRMu2AYVWNx7A1P1pbyAGmFE4_1bGNob"


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("tollkeeper")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    structlog.reset_defaults()


def lines_of(write: Callable[[Any], object], *, console: bool = False) -> list[str]:
    stream = io.StringIO()
    configure(stream=stream, style="console" if console else "json")
    write(get_logger())
    return stream.getvalue().splitlines()


def event_of(write: Callable[[Any], object]) -> dict[str, Any]:
    (line,) = lines_of(write)
    event: dict[str, Any] = json.loads(line)
    return event


def test_an_event_is_one_json_object() -> None:
    event = event_of(lambda log: log.info("relay_started", port=4000))
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "relay_started", "level": "info", "logger": "tollkeeper", "port": 4000}


@pytest.mark.parametrize("console", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"])
def test_no_value_begins_a_line(end: str, *, console: bool) -> None:
    forged = f"x{end}2026-01-01 [error] forged"
    assert len(lines_of(lambda log: log.info("seen", model=forged), console=console)) == 1
    assert len(lines_of(lambda log: log.info(forged), console=console)) == 1


def test_a_terminal_gets_no_escape_sequences() -> None:
    (line,) = lines_of(lambda log: log.info("seen", model="\x1b[2J\x07\x9b2J", port=1), console=True)
    assert line.isprintable()


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        f"tka{TOKEN[2:]}",
        "sk-proj-abcdefghijklmnop",
        "Bearer abcdefgh",
        "bearer abc.def",
        "://me:hunter2@db",
        "https://hooks.slack.com/services/T0AB/B0CD/Xabcdefgh",
        "https://discord.com/api/webhooks/123456/abcDEF-ghi_jkl",
        "https://api.telegram.org/bot123456:AAabcdefgh-ijkl/sendMessage",
    ],
)
def test_what_looks_like_a_key_is_masked_anywhere(secret: str) -> None:
    hidden = {"htt": "abcdefgh", "tk_": "JUkJodcLduT5", "tka": "JUkJodcLduT5"}.get(secret[:3], secret[-8:])
    hidden = "abcDEF" if "discord" in secret else hidden

    def write(log: Any) -> None:
        log.info("seen", text=f"got {secret} there", nested={"list": [f"a {secret}"]})

    (line,) = lines_of(write)
    assert hidden not in line
    assert line.count("********") == 2


def test_a_public_id_may_be_shown() -> None:
    event = event_of(lambda log: log.info("seen", key=TOKEN))
    assert event["key"] == "tk_07WQVRKPf5QV_********"


def test_credentials_by_name_and_secret_values_are_masked() -> None:
    def write(log: Any) -> None:
        log.info(
            "seen",
            Authorization="x1",
            api_key="x2",
            nested={"password": "x3"},
            value=Secret("x4"),
            token=None,
        )

    event = event_of(write)
    assert [event[name] for name in ("Authorization", "api_key", "nested", "value", "token")] == [
        "********",
        "********",
        {"password": "********"},
        "********",
        None,
    ]


def test_a_stack_trace_stays_in_its_event() -> None:
    def write(log: Any) -> None:
        try:
            int(f"line one\nline two {TOKEN}\x1b")
        except ValueError:
            log.exception("flush_failed")

    event = event_of(write)
    assert r"line one\nline two tk_07WQVRKPf5QV_********" in event["exception"]
    first, *others = lines_of(write, console=True)
    assert "flush_failed" in first
    assert others
    assert all(line.startswith("    ") for line in others)


def test_libraries_take_the_same_way_from_warnings_on() -> None:
    def write(_log: Any) -> None:
        logging.getLogger("chatty.package").warning("slow %s", TOKEN)
        logging.getLogger("chatty.package").info("not shown")

    event = event_of(write)
    assert (event["logger"], event["level"]) == ("chatty.package", "warning")
    assert event["event"] == "slow tk_07WQVRKPf5QV_********"


def test_the_level_holds() -> None:
    assert lines_of(lambda log: log.debug("detail")) == []


def test_bound_fields_come_along() -> None:
    assert event_of(lambda log: log.bind(request_id="r1").info("seen"))["request_id"] == "r1"


def test_what_is_logged_while_a_request_is_served_carries_its_id() -> None:
    identifier = uuid.UUID("01a4c2f0-0000-7000-8000-000000000001")

    def write(log: Any) -> None:
        request_id.set(identifier.bytes)
        log.info("ours")
        logging.getLogger("a.library").warning("theirs")
        log.info("bound", request_id="another")

    found = [json.loads(line) for line in copy_context().run(lines_of, write)]
    assert [event["request_id"] for event in found] == [str(identifier), str(identifier), "another"]
    assert "request_id" not in event_of(lambda log: log.info("outside"))


def test_a_stream_that_is_no_terminal_gets_json() -> None:
    stream = io.StringIO()
    configure(stream=stream)
    get_logger().info("seen")
    assert json.loads(stream.getvalue())["event"] == "seen"
