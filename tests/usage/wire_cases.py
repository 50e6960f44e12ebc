"""The recordings of `tests/wire/` as values."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from service.usage.dialects import Dialect, dialect_for
from service.usage.meter import BodyMeter, StreamMeter
from service.usage.tokens import TokenUsage

WIRE = Path(__file__).parent.parent / "wire"
_BLANK_LINE = re.compile(rb"((?>\r\n|\r|\n){2,})")


class WireCase(msgspec.Struct, frozen=True):
    """One recording and what it means."""

    name: str
    data: bytes
    stream: bool
    dialect: Dialect
    choices: int
    hidden_events: int
    expected: dict[str, Any]

    def check(self, meter: StreamMeter | BodyMeter) -> None:
        metered = meter.result()
        events = meter.events if isinstance(meter, StreamMeter) else None
        actual = msgspec.structs.asdict(metered)
        for field, value in self.expected.items():
            match field:
                case "usage":
                    assert metered.usage == (None if value is None else TokenUsage(**value))
                case "events":
                    assert events in {None, value}
                case "output_characters":
                    assert meter.generated().characters == value
                case "finish_reasons" | "usage_flags":
                    assert actual[field] == tuple(value)
                case _:
                    assert actual[field] == value, field

    def without_usage_event(self) -> bytes:
        """The stream without its extra usage event, found in the plainest way."""
        pieces = _BLANK_LINE.split(self.data)
        kept, hidden = bytearray(), 0
        for event, blank in zip(pieces[::2], [*pieces[1::2], b""], strict=True):
            if is_extra_usage(event):
                hidden += 1
            else:
                kept += event + blank
        assert hidden == self.hidden_events
        return bytes(kept)


def is_extra_usage(event: bytes) -> bool:
    data = b"\n".join(line[5:] for line in re.split(rb"[\r\n]+", event) if line.startswith(b"data:"))
    try:
        value = json.loads(data)
    except ValueError:
        return False
    if not isinstance(value, dict) or value.get("error") is not None:
        return False
    return value.get("choices") == [] and isinstance(value.get("usage"), dict)


def load_cases(*, stream: bool) -> list[WireCase]:
    suffix = ".sse" if stream else ".json"
    cases = []
    for path in sorted(WIRE.glob("*/*.expected.json")):
        recording = path.with_name(path.name.removesuffix(".expected.json") + suffix)
        if not recording.exists():
            continue
        about = json.loads(path.read_text("utf-8"))
        cases.append(
            WireCase(
                name=f"{path.parent.name}/{recording.stem}",
                data=recording.read_bytes(),
                stream=stream,
                dialect=dialect_for(about["dialect"]),
                choices=about.get("choices", 1),
                hidden_events=about.get("hidden_events", 0),
                expected=about["expected"],
            )
        )
    return cases


def replay(meter: StreamMeter | BodyMeter, chunks: list[bytes]) -> bytes:
    """Feed *chunks*; returns all that was forwarded."""
    forwarded = bytearray()
    for chunk in chunks:
        forwarded += meter.feed(chunk)
    if isinstance(meter, StreamMeter):
        forwarded += meter.end()
    return bytes(forwarded)
