"""Who calls in the demo: four teams, nine keys, and the models they use. Pure data.

`PROFILES` are relative loads by hour of the day in UTC; `WEEK` are factors by weekday, Monday first.
"""

from collections.abc import Mapping

import msgspec

OPENAI, AZURE, ANTHROPIC, GOOGLE, DEEPSEEK, IN_HOUSE = (
    "openai",
    "azure-openai",
    "anthropic",
    "google",
    "deepseek",
    "in-house",
)


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One model at one upstream, and how fast it is there."""

    upstream: str
    provider: str
    model: str
    reports: str  # the model name in its answers
    ttft_ms: float  # median
    tokens_per_s: float
    reasons: bool = False
    writes_cache: bool = False
    reports_stream_usage: bool = True


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What one virtual key is used for."""

    key_name: str
    project: str
    offers: tuple[tuple[Offer, float], ...]  # with their shares
    calls_per_day: float  # on a full working day
    profile: str
    week: str
    stream_share: float
    input_tokens: float  # median
    output_tokens: float  # median
    cached_share: float = 0.0  # of prompts that start like an earlier one
    end_users: int = 0
    sessions: bool = False
    tags: tuple[str, ...] = ()
    user_agent: str = "OpenAI/Python 3.54.0"
    client_address: str = "10.20.0.14"


def _offer(upstream: str, provider: str, model: str, reports: str, *, speed: tuple[float, float]) -> Offer:
    return Offer(
        upstream=upstream,
        provider=provider,
        model=model,
        reports=reports,
        ttft_ms=speed[0],
        tokens_per_s=speed[1],
        reasons=model.startswith(("gpt-5", "o4")),
        writes_cache=model.startswith("gpt-5.6"),
        reports_stream_usage=upstream != IN_HOUSE,
    )


GPT_4O = _offer(OPENAI, "openai", "gpt-4o", "gpt-4o-2024-08-06", speed=(430, 78))
GPT_4O_AZURE = _offer(AZURE, "azure", "gpt-4o", "gpt-4o-2024-08-06", speed=(520, 70))
GPT_4O_MINI = _offer(OPENAI, "openai", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", speed=(340, 95))
GPT_4O_MINI_AZURE = _offer(AZURE, "azure", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", speed=(410, 84))
GPT_41_MINI = _offer(OPENAI, "openai", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", speed=(390, 88))
GPT_41_NANO = _offer(OPENAI, "openai", "gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", speed=(260, 140))
GPT_5 = _offer(OPENAI, "openai", "gpt-5", "gpt-5-2025-08-07", speed=(900, 72))
GPT_5_MINI = _offer(OPENAI, "openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", speed=(620, 105))
GPT_56_SOL = _offer(OPENAI, "openai", "gpt-5.6-sol", "gpt-5.6-sol", speed=(850, 80))
O4_MINI = _offer(OPENAI, "openai", "o4-mini", "o4-mini-2025-04-16", speed=(700, 110))
SONNET = _offer(ANTHROPIC, "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", speed=(780, 64))
HAIKU = _offer(ANTHROPIC, "anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", speed=(410, 130))
GEMINI_FLASH = _offer(GOOGLE, "google", "gemini-2.5-flash", "gemini-2.5-flash", speed=(380, 160))
DEEPSEEK_CHAT = _offer(DEEPSEEK, "deepseek", "deepseek-chat", "deepseek-chat", speed=(1100, 38))
CONTRACT_READER = _offer(
    IN_HOUSE, "vllm", "acme-contract-reader-7b", "acme-contract-reader-7b", speed=(120, 55)
)

FALLBACKS: Mapping[str, Offer] = {GPT_4O.model: GPT_4O_AZURE, GPT_4O_MINI.model: GPT_4O_MINI_AZURE}

PROFILES: Mapping[str, tuple[float, ...]] = {
    "office": (0, 0, 0, 0, 0, 1, 3, 7, 10, 11, 10, 8, 8, 10, 10, 8, 5, 3, 1, 1, 0, 0, 0, 0),
    "shop": (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 9, 9, 10, 10, 10, 11, 12, 12, 11, 8, 5, 3),
    "night": (20, 25, 25, 18, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 12),
    "always": (1,) * 24,
}
WEEK: Mapping[str, tuple[float, ...]] = {
    "office": (1.0, 1.06, 1.08, 1.02, 0.88, 0.08, 0.05),
    "shop": (0.95, 0.92, 0.94, 1.0, 1.12, 1.25, 1.1),
    "even": (1.0,) * 7,
}

_PRODUCTION = ("env:prod",)

WORKLOADS = (
    Workload(
        key_name="support-assistant",
        project="support",
        offers=((GPT_4O_MINI, 0.82), (GPT_4O, 0.18)),
        calls_per_day=420,
        profile="shop",
        week="shop",
        stream_share=0.97,
        input_tokens=1_450,
        output_tokens=190,
        cached_share=0.62,
        end_users=900,
        sessions=True,
        tags=(*_PRODUCTION, "feature:chat"),
        user_agent="OpenAI/JS 7.57.0",
    ),
    Workload(
        key_name="support-triage",
        project="support",
        offers=((GPT_41_NANO, 1.0),),
        calls_per_day=260,
        profile="always",
        week="even",
        stream_share=0.0,
        input_tokens=620,
        output_tokens=24,
        tags=(*_PRODUCTION, "feature:triage"),
    ),
    Workload(
        key_name="code-review",
        project="engineering",
        offers=((SONNET, 0.74), (HAIKU, 0.26)),
        calls_per_day=130,
        profile="office",
        week="office",
        stream_share=0.9,
        input_tokens=9_800,
        output_tokens=640,
        cached_share=0.55,
        end_users=38,
        tags=("env:ci",),
        client_address="10.20.4.7",
    ),
    Workload(
        key_name="dev-sandbox",
        project="engineering",
        offers=((GPT_5, 0.5), (O4_MINI, 0.3), (GPT_56_SOL, 0.2)),
        calls_per_day=75,
        profile="office",
        week="office",
        stream_share=0.7,
        input_tokens=1_900,
        output_tokens=520,
        end_users=22,
        tags=("env:dev",),
        user_agent="python-httpx/0.28.1",
        client_address="10.20.9.31",
    ),
    Workload(
        key_name="copywriter",
        project="marketing",
        offers=((GPT_5_MINI, 0.55), (GEMINI_FLASH, 0.3), (GPT_4O, 0.15)),
        calls_per_day=110,
        profile="office",
        week="office",
        stream_share=0.95,
        input_tokens=780,
        output_tokens=430,
        end_users=14,
        tags=(*_PRODUCTION, "feature:copy"),
    ),
    Workload(
        key_name="campaign-batch",
        project="marketing",
        offers=((GPT_4O, 1.0),),
        calls_per_day=30,
        profile="office",
        week="office",
        stream_share=0.0,
        input_tokens=1_200,
        output_tokens=350,
        tags=(*_PRODUCTION, "feature:campaign"),
        client_address="10.20.6.2",
    ),
    Workload(
        key_name="nightly-extraction",
        project="data",
        offers=((GPT_41_MINI, 1.0),),
        calls_per_day=240,
        profile="night",
        week="even",
        stream_share=0.0,
        input_tokens=3_400,
        output_tokens=260,
        cached_share=0.3,
        tags=("env:batch",),
        client_address="10.20.7.19",
    ),
    Workload(
        key_name="research-agent",
        project="data",
        offers=((DEEPSEEK_CHAT, 0.6), (GPT_56_SOL, 0.4)),
        calls_per_day=55,
        profile="shop",
        week="office",
        stream_share=0.6,
        input_tokens=5_200,
        output_tokens=720,
        cached_share=0.45,
        sessions=True,
        tags=("env:research",),
    ),
    Workload(
        key_name="contract-reader",
        project="data",
        offers=((CONTRACT_READER, 1.0),),
        calls_per_day=45,
        profile="office",
        week="office",
        stream_share=0.4,
        input_tokens=4_100,
        output_tokens=310,
        end_users=9,
        tags=("env:pilot",),
    ),
)

EXHAUSTED_KEY = "dev-sandbox"
SPIKING_KEY = "campaign-batch"
