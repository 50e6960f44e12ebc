"""An answer and a fault become a reply: a head, then bytes and pauses to play in order. Pure."""

import gzip
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from service.simulator import wire
from service.simulator.answers import Answer
from service.simulator.faults import PLAIN, Fault
from service.simulator.refusals import IN_STREAM, NO_STREAM_OPTIONS, Refusal, of_status
from service.simulator.request import ChatRequest

Headers = tuple[tuple[bytes, bytes], ...]

_JSON: Headers = ((b"content-type", b"application/json"),)
_EVENTS: Headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_HTML_PAGE = b"<html>\r\n<head><title>%d</title></head>\r\n<body><center>nginx</center></body>\r\n</html>\r\n"


class Send(msgspec.Struct, frozen=True):
    """Bytes to send; *tokens* is what the model took time for before them."""

    data: bytes
    tokens: int = 0


class Stall(msgspec.Struct, frozen=True):
    """Silence until the client leaves."""


class Cut(msgspec.Struct, frozen=True):
    """The connection closes here, with the response unfinished."""


class Drop(msgspec.Struct, frozen=True):
    """The connection closes before the response head."""


Step = Send | Stall | Cut | Drop


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the server does with one request."""

    status: int
    headers: Headers
    steps: Iterator[Step]
    hidden_tokens: int = 0  # that the model takes time for before the head
    head_delay_ms: int = 0
    gap_ms: int = 0


def fault_refusal(request: ChatRequest, *, fault: Fault) -> Refusal | None:
    """The error that *fault* answers instead, if it is one of that sort."""
    if fault.refuses_stream_options and request.has_stream_options:
        return NO_STREAM_OPTIONS
    return of_status(fault.status, code=fault.error_code) if fault.status != PLAIN.status else None


def refusal_reply(refusal: Refusal, *, fault: Fault = PLAIN) -> Reply:
    """An error answer."""
    page, headers = msgspec.json.encode(refusal.body), _JSON
    if fault.html:
        page, headers = _HTML_PAGE % refusal.status, ((b"content-type", b"text/html"),)
    if refusal.code == "rate_limit_exceeded":
        headers += ((b"retry-after", b"1"), (b"retry-after-ms", b"500"))
    length = (b"content-length", b"%d" % len(page))
    return Reply(status=refusal.status, headers=(*headers, length, *fault.headers), steps=iter([Send(page)]))


def json_reply(value: Any) -> Reply:
    """A plain JSON answer."""
    data = msgspec.json.encode(value)
    headers = (*_JSON, (b"content-length", b"%d" % len(data)))
    return Reply(status=200, headers=headers, steps=iter([Send(data)]))


def body_reply(answer: Answer, *, fault: Fault) -> Reply:
    """The non-stream answer, bent by *fault*."""
    written = wire.body(answer)
    if fault.usage == "never":
        del written["usage"]
    if fault.usage == "null":
        written["usage"] = None
    if fault.pad_kib:
        written["padding"] = "x" * (1024 * fault.pad_kib)
    if fault.break_with == "error_event":
        written = IN_STREAM.body
    data = msgspec.json.encode(written)
    if fault.preamble.isspace():
        data = fault.preamble + data
    if fault.break_with == "malformed":
        data = data[: 2 * len(data) // 3]
    if fault.gzip:
        data = gzip.compress(data, mtime=0)
    length = ((b"content-length", b"%d" % len(data)),) if fault.content_length else ()
    tokens = max(choice.tokens for choice in answer.choices)
    return Reply(
        status=200,
        headers=(*_JSON, *length, *fault.headers),
        steps=_body_steps(data, fault=fault, tokens=tokens),
        head_delay_ms=fault.head_delay_ms,
    )


def stream_reply(answer: Answer, *, include_usage: bool, fault: Fault) -> Reply:
    """The streamed answer, bent by *fault*."""
    frames = wire.frames(answer, usage=_usage_form(include_usage, fault=fault))
    return Reply(
        status=200,
        headers=(*_EVENTS, *fault.headers),
        steps=_sliced(_compressed(_events(frames, fault=fault), fault=fault), size=fault.slice_bytes),
        hidden_tokens=max(choice.reasoning_tokens for choice in answer.choices),
        head_delay_ms=fault.head_delay_ms,
        gap_ms=fault.gap_ms,
    )


def _usage_form(include_usage: bool, *, fault: Fault) -> wire.UsageForm:  # noqa: FBT001  the caller names it
    match fault.usage:
        case "last_chunk" | "every_chunk":
            return fault.usage
        case "null" if include_usage:
            return "null"
        case "as_asked" if include_usage:
            return "final"
        case _:
            return "none"


def _body_steps(data: bytes, *, fault: Fault, tokens: int) -> Iterator[Step]:
    half = data[: len(data) // 2]
    match fault.break_with:
        case "drop":
            yield Drop()
        case "cut":
            yield Send(half, tokens)
            yield Cut()
        case "stall":
            yield Send(half, tokens)
            yield Stall()
        case _:
            yield from _sliced(iter([Send(data, tokens)]), size=fault.slice_bytes)


def _events(frames: Iterator[wire.Frame], *, fault: Fault) -> Iterator[Step]:
    """The frames as events, up to the break that *fault* wants."""
    if fault.break_with == "drop":
        yield Drop()
    if fault.preamble:
        yield Send(fault.preamble)
    broken = fault.break_with == "none"
    padded = False
    for position, frame in enumerate(frames):
        if not broken and (position >= fault.break_after or frame.kind == "finish"):
            broken = True
            yield from _break(frame, fault=fault)
            if fault.break_with != "malformed":
                return
        payload = frame.payload
        if fault.pad_kib and frame.kind == "piece" and not padded:
            padded = True
            payload = payload[:-1] + b',"padding":"' + b"x" * (1024 * fault.pad_kib) + b'"}'
        if frame.kind != "done" or fault.done:
            yield Send(_event(payload, fault=fault), frame.tokens)


def _break(frame: wire.Frame, *, fault: Fault) -> Iterator[Step]:
    match fault.break_with:
        case "cut":
            yield Cut()
        case "stall":
            yield Stall()
        case "error_event":
            yield Send(_event(msgspec.json.encode(IN_STREAM.body), fault=fault))
        case _:
            yield Send(_event(frame.payload[: len(frame.payload) // 2], fault=fault))


def _event(payload: bytes, *, fault: Fault) -> bytes:
    return fault.field + payload + 2 * fault.line_end


def _compressed(steps: Iterator[Step], *, fault: Fault) -> Iterator[Step]:
    """Every step flushed, so that a client can read it at once."""
    if not fault.gzip:
        yield from steps
        return
    squeeze = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    for step in steps:
        if isinstance(step, Send):
            data = squeeze.compress(step.data) + squeeze.flush(zlib.Z_SYNC_FLUSH)
            yield Send(data, step.tokens)
        else:
            yield step
    yield Send(squeeze.flush())


def _sliced(steps: Iterator[Step], *, size: int) -> Iterator[Step]:
    for step in steps:
        if size and isinstance(step, Send):
            yield Send(step.data[:size], step.tokens)
            yield from (Send(step.data[at : at + size]) for at in range(size, len(step.data), size))
        else:
            yield step
