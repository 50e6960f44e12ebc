"""CPU time of metering one answer, as the relay does it: `python benchmarks/usage.py`.

Prints microseconds per event of a stream (one event per chunk, and 16 per chunk), per non-stream body of
about 1 KB, and per usage object. Figures are the best of several rounds: the machine may be noisy.
"""

import time
from collections.abc import Callable
from functools import partial

from service.usage.dialects import AUTO, Dialect, dialect_for
from service.usage.meter import BodyMeter, StreamMeter
from service.usage.normalise import read_usage

EVENT = (
    b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","object":"chat.completion.chunk","created":1741570283,'
    b'"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_fc9f1d7035","choices":[{"index":0,'
    b'"delta":{"content":" fish"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"pNzKQ0JFTo"}\n\n'
)
USAGE = (
    b'{"prompt_tokens":1117,"completion_tokens":246,"total_tokens":1363,"prompt_tokens_details":{"cached_tokens":1024,'
    b'"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}'
)
LAST = (
    EVENT.replace(b'{"content":" fish"}', b"{}").replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    + b'data: {"id":"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG","model":"gpt-4o-2024-08-06","choices":[],"usage":'
    + USAGE
    + b"}\n\ndata: [DONE]\n\n"
)
BODY = (
    b'{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion","created":1741569952,'
    b'"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"'
    + b"Hello! How can I assist you today? " * 14
    + b'","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":'
    + USAGE
    + b',"service_tier":"default","system_fingerprint":"fp_fc9f1d7035"}'
)
EVENTS = 400
ROUNDS = 15


def microseconds(run: Callable[[], object], *, times: int) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for _ in range(times):
            run()
        best = min(best, time.process_time_ns() - begin)
    return best / times / 1000


def stream(chunk: bytes, *, chunks: int, hide: bool, dialect: Dialect = AUTO) -> None:
    meter = StreamMeter(dialect, hide_usage=hide)
    for _ in range(chunks):
        meter.feed(chunk)
    meter.feed(LAST)
    meter.end()
    assert meter.result().usage is not None


def body() -> None:
    meter = BodyMeter(AUTO)
    meter.feed(BODY)
    assert meter.result().usage is not None


def main() -> None:
    openai = dialect_for("openai")
    for hide in (False, True):
        alone = partial(stream, EVENT, chunks=EVENTS, hide=hide)
        sixteens = partial(stream, EVENT * 16, chunks=EVENTS // 16, hide=hide)
        split = partial(halves, hide=hide)
        figures = [microseconds(run, times=10) / EVENTS for run in (alone, sixteens, split)]
        print(
            "event, hide_usage={!s:5}  {:6.2f} us alone {:6.2f} us in sixteens {:6.2f} us in halves".format(
                hide, *figures
            )
        )
    fifty = microseconds(partial(stream, EVENT, chunks=48, hide=True), times=50)
    print(f"whole stream of 50 events {fifty:6.1f} us")
    print(f"body of {len(BODY)} bytes        {microseconds(body, times=500):6.1f} us")
    print(f"usage object              {microseconds(partial(read_usage, USAGE, openai), times=1000):6.1f} us")


def halves(*, hide: bool) -> None:
    meter = StreamMeter(AUTO, hide_usage=hide)
    first, second = EVENT[:150], EVENT[150:]
    for _ in range(EVENTS):
        meter.feed(first)
        meter.feed(second)
    meter.feed(LAST)
    assert meter.result().usage is not None


if __name__ == "__main__":
    main()
