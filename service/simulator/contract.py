"""Does a request body keep the contract of `POST /v1/chat/completions`? Pure.

`REQUEST` is the contract as a value: members, types, enums, ranges. `violation` interprets it and answers with the
first breach, worded and coded as OpenAI does. `null` counts as absent for optional members; members the
contract does not name are accepted. Where the contract is silent this follows OpenAI:

- an assistant message with `tool_calls` may have `content: null` or none;
- `messages` is not empty, `max_tokens` is at least 1, `n` at most 128;
- content parts name their `type`; `stream_options` needs `stream: true`.

`reasoning_effort` is low, medium or high as the contract says: "minimal" and "none" are refused.
"""

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec

from service.simulator import rules
from service.simulator.rules import Anything, Flag, Items, Members, Number, OneOf, Rule, Text, Violation

_CONTENT_PART = Members(
    {
        "type": Text(("text", "image_url", "input_audio", "file", "video_url")),
        "text": Text(),
        "image_url": Members({"url": Text(), "detail": Text(("low", "high", "auto"))}),
        "input_audio": Members({"data": Text(), "format": Text(("wav", "mp3"))}),
        "file": Members({"filename": Text(), "file_data": Text(), "file_id": Text()}),
        "video_url": Members({"url": Text()}),
    },
    required=("type",),
)
