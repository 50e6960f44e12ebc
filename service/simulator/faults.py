"""How an upstream can misbehave, as data. Pure.

A fault is switched on by a magic model name, because a relay forwards nothing else of its own accord:

    sim-cut                   the fault; the answer reports the magic name, for which no price is known
    sim-cut-3                 with its number (here: after three events)
    sim-cut-3:gpt-4o-mini     the fault on top of a real model, whose price is known

`parse` reads such a name; `replies` turns a fault into bytes and pauses.
"""

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

Break = Literal["none", "cut", "drop", "stall", "error_event", "malformed"]
UsageHabit = Literal["as_asked", "never", "null", "last_chunk", "every_chunk"]


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One way to deviate from a plain answer; the defaults are the plain answer."""

    summary: str
    number: str | None = None  # the field that a number in the model name sets
    status: int = 200  # any other: this error is the answer
    error_code: str | None = None
    refuses_stream_options: bool = False
    html: bool = False
    head_delay_ms: int = 0
    gap_ms: int = 0  # between two events
    usage: UsageHabit = "as_asked"
    done: bool = True
    line_end: bytes = b"\n"
    field: bytes = b"data: "
    preamble: bytes = b""
    slice_bytes: int = 0  # > 0: at most so many bytes at once
    pad_kib: int = 0
    gzip: bool = False
    content_length: bool = True
    break_with: Break = "none"
    break_after: int = 5  # events; at the latest before the finish reason
    headers: tuple[tuple[bytes, bytes], ...] = ()


PLAIN = Fault(summary="A plain answer without a known price.")

FAULTS: Mapping[str, Fault] = {
    "sim-plain": PLAIN,
    "sim-error": Fault(summary="An error answer with this status.", number="status", status=500),
    "sim-quota": Fault(
        summary="429 because the account has no money left.", status=429, error_code="insufficient_quota"
    ),
    "sim-html-error": Fault(
        summary="An HTML error page of a proxy in between.", number="status", status=502, html=True
    ),
    "sim-refuse-stream-options": Fault(
        summary="400 naming `stream_options`; without it an answer that never reports usage in a stream.",
        refuses_stream_options=True,
    ),
    "sim-slow-first-byte": Fault(
        summary="Milliseconds before the response head.", number="head_delay_ms", head_delay_ms=3_000
    ),
    "sim-hang": Fault(summary="No response head for an hour.", head_delay_ms=3_600_000),
    "sim-slow-stream": Fault(summary="Milliseconds between two events.", number="gap_ms", gap_ms=1_000),
    "sim-stall": Fault(summary="Silence in the middle.", number="break_after", break_with="stall"),
    "sim-cut": Fault(
        summary="The connection closes in the middle.",
        number="break_after",
        break_with="cut",
        content_length=False,
    ),
    "sim-truncated-body": Fault(
        summary="Fewer bytes than Content-Length says.", number="break_after", break_with="cut"
    ),
    "sim-drop": Fault(summary="The connection closes before the response head.", break_with="drop"),
    "sim-error-event": Fault(
        summary="An error under HTTP 200.", number="break_after", break_with="error_event"
    ),
    "sim-malformed-json": Fault(
        summary="Broken JSON: the whole body, or one event.", number="break_after", break_with="malformed"
    ),
    "sim-no-usage": Fault(summary="No usage anywhere.", usage="never"),
    "sim-usage-null": Fault(summary="`usage: null` where the counts belong.", usage="null"),
    "sim-usage-last-chunk": Fault(
        summary="Usage always, beside the finish reason (Mistral).", usage="last_chunk"
    ),
    "sim-usage-every-chunk": Fault(
        summary="Usage so far on every chunk, by choice (vLLM).", usage="every_chunk"
    ),
    "sim-no-done": Fault(summary="A whole stream without `[DONE]`.", done=False),
    "sim-crlf": Fault(summary="Lines end with CR LF.", line_end=b"\r\n"),
    "sim-cr": Fault(summary="Lines end with CR.", line_end=b"\r"),
    "sim-no-space": Fault(summary="No space after `data:`.", field=b"data:"),
    "sim-comments": Fault(summary="Keep-alive comments (OpenRouter).", preamble=b": PROCESSING\n\n"),
    "sim-blank-lines": Fault(summary="Blank lines before the answer (DeepSeek).", preamble=b"\n\n"),
    "sim-bytewise": Fault(
        summary="So many bytes at a time, one by default.", number="slice_bytes", slice_bytes=1
    ),
    "sim-big-event": Fault(summary="One event of so many KiB.", number="pad_kib", pad_kib=1_024),
    "sim-gzip": Fault(
        summary="Compressed, whether accepted or not.", gzip=True, headers=((b"content-encoding", b"gzip"),)
    ),
    "sim-redirect": Fault(
        summary="307 to another host.",
        status=307,
        headers=((b"location", b"http://127.0.0.1:9/v1/chat/completions"),),
    ),
    "sim-set-cookie": Fault(
        summary="Cookies that must not reach the client.",
        headers=((b"set-cookie", b"__cf_bm=simulated; HttpOnly"), (b"set-cookie", b"session=1")),
    ),
    "sim-odd-headers": Fault(
        summary="Repeated, non-ASCII and hop-by-hop headers.",
        headers=(
            (b"openai-warning", b"first"),
            (b"openai-warning", b"second"),
            (b"openai-note", "café".encode()),
            (b"connection", b"x-hop"),
            (b"x-hop", b"must not travel"),
        ),
    ),
}

_NAME = re.compile(r"(sim-[a-z-]*[a-z])(?:-(\d{1,7}))?(?::(.+))?")


class MagicName(msgspec.Struct, frozen=True):
    """A magic model name: the fault, and the model below it if one was named."""

    fault: Fault
    model: str | None


def parse(name: str) -> MagicName | None:
    """What the model *name* asks for; None when it is not magic."""
    match = _NAME.fullmatch(name)
    fault = FAULTS.get(match[1]) if match else None
    if match is None or fault is None:
        return None
    if match[2] is not None:
        if fault.number is None:
            return None
        fault = msgspec.structs.replace(fault, **{fault.number: int(match[2])})
    if not _valid_status(fault.status):
        return None
    return MagicName(fault, match[3])


def _valid_status(status: int) -> bool:
    return status in (200, 307) or 400 <= status <= 599  # noqa: PLR2004  client and server errors
