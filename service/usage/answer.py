"""The facts of one answer, gathered from its JSON objects in order: one for a body, many for a stream. Pure.

In each object, usage is looked for at the top, then in `x_groq`, then in the first choice.
The first error counts; a finish reason `error` (Mistral, OpenRouter) is one.
"""

from typing import Any

import msgspec

from service.usage import native
from service.usage.dialects import Dialect
from service.usage.envelope import Choice, Envelope, choices_of, x_groq_of
from service.usage.fields import as_text, index_of, is_null, text_of, value_of
from service.usage.latest import MOST_CHOICES, LatestUsage, Origin
from service.usage.metered import LONGEST_RAW, Metered
from service.usage.normalise import read_timings, read_usage


class Answer:
    """Facts of one answer so far."""

    __slots__ = (
        "_choices_expected",
        "_dialect",
        "_error",
        "_finished",
        "_model",
        "_response_id",
        "_seen",
        "_service_tier",
        "_start",
        "_usage",
        "ended",
        "flags",
        "has_error",
        "other_form",
        "output_open",
    )

    def __init__(self, dialect: Dialect, *, choices: int = 1) -> None:
        self._dialect = dialect
        self._choices_expected = choices
        self._usage = LatestUsage(dialect)
        self._response_id: str | None = None
        self._model: str | None = None
        self._service_tier: str | None = None
        self._finished: dict[int, str] = {}
        self._seen: set[int] = set()
        self._error: tuple[str | None, str | None] = (None, None)
        self._start: bytes | None = None
        self.has_error = False
        self.output_open = False
        """The usage seen counts the input; that of the output is still to come (Anthropic's Messages)."""
        self.other_form = False
        """The answer is no chat completion."""
        self.ended = False
        """An object said that the answer ends."""
        self.flags: set[str] = set()

    @property
    def identified(self) -> bool:
        """The identifier and the model of the answer are known."""
        return self._response_id is not None and self._model is not None

    @property
    def all_finished(self) -> bool:
        """Every choice expected or seen has a finish reason."""
        return len(self._finished) >= max(self._choices_expected, len(self._seen), 1)

    def read(self, envelope: Envelope, *, event: int = 0) -> None:
        """Take in one object, which came as event number *event*."""
        if native.opens(envelope):
            self.output_open = True
        elif native.ends(envelope):
            self.ended = True
        in_chat_form = native.in_chat_form(envelope)
        self.other_form = self.other_form or in_chat_form is not envelope
        envelope = in_chat_form
        self._response_id = self._response_id or text_of(envelope.id)
        self._model = self._model or text_of(envelope.model)
        self._service_tier = text_of(envelope.service_tier) or self._service_tier
        self._read_errors(envelope)
        choices = choices_of(envelope.choices) or []
        indexes = tuple(index_of(choice.index) for choice in choices[:MOST_CHOICES])
        for index, choice in zip(indexes, choices, strict=False):
            self._read_choice(choice, index=index)
        self._read_usage(
            envelope,
            first=choices[0] if choices else None,
            origin=Origin(event=event, choices=indexes, all_finished=self.all_finished),
        )

    def metered(self, *, events: int, terminal: bool) -> Metered:
        """The facts after *events* events."""
        complete = terminal or self.all_finished
        standing = self._usage.standing(events=events, complete=complete)
        flags = self.flags | standing.flags
        raw = standing.raw
        if raw is not None and len(raw) > LONGEST_RAW:
            raw = None
            flags.add("raw_too_long")
        error_type, error_code = self._error
        return Metered(
            usage=standing.usage,
            usage_source=standing.source,
            usage_raw=None if raw is None else raw.decode(errors="replace"),
            usage_flags=tuple(sorted(flags)),
            provider_cost_nanos=standing.provider_cost_nanos,
            response_id=self._response_id,
            response_model=self._model,
            service_tier=self._service_tier,
            finish_reasons=tuple(self._finished[index] for index in sorted(self._finished)),
            error_type=error_type,
            error_code=error_code,
            has_error=self.has_error,
            terminal=terminal,
            complete=complete,
        )

    def _read_choice(self, choice: Choice, *, index: int) -> None:
        if len(self._seen) < MOST_CHOICES:
            self._seen.add(index)
        reason = text_of(choice.finish_reason)
        if reason is not None and index in self._seen:
            self._finished[index] = reason
        if not is_null(choice.error) or reason == "error":
            self._note_error(value_of(choice.error) or reason)

    def _read_errors(self, envelope: Envelope) -> None:
        if not is_null(envelope.error):
            self._note_error(value_of(envelope.error), named=text_of(envelope.error_type))
        elif text_of(envelope.object) == "error":  # vLLM and Mistral: the object is the error
            self._note_error({"type": text_of(envelope.type), "code": text_of(envelope.code)})

    def _note_error(self, error: Any, *, named: str | None = None) -> None:
        if not error or self.has_error:
            return
        self.has_error = True
        self._error = (named, None)
        if isinstance(error, dict):
            kind = as_text(error.get("type")) or as_text(error.get("status")) or named
            self._error = (kind, as_text(error.get("code")))

    def _read_usage(self, envelope: Envelope, *, first: Choice | None, origin: Origin) -> None:
        candidates = [envelope.usage]
        if not is_null(envelope.x_groq) and (x_groq := x_groq_of(envelope.x_groq)) is not None:
            candidates.append(x_groq.usage)
            if not is_null(x_groq.error):
                self._note_error(value_of(x_groq.error))
        if first is not None:
            candidates.append(first.usage)
        for candidate in candidates:
            if not is_null(candidate) and self._offer(candidate, origin=origin):
                return
        if not is_null(envelope.timings):
            raw = bytes(envelope.timings)
            if (timings := read_timings(raw)) is not None:
                self._usage.offer(raw, reading=timings, origin=origin, stand_in=True)

    def _offer(self, candidate: msgspec.Raw, *, origin: Origin) -> bool:
        raw = bytes(candidate)
        if self._start is not None:
            raw = native.joined_usage(self._start, raw)
            self.output_open = False
        elif self.output_open:
            self._start = raw
        reading = read_usage(raw, self._dialect)
        if reading is None:
            return False
        self._usage.offer(raw, reading=reading, origin=origin)
        return True
