"""How fast the simulated model speaks. Pure."""

import msgspec


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to the first token, then tokens a second; zero tokens a second means as fast as possible."""

    tokens_per_s: float = 0
    ttft_s: float = 0

    def before_head_s(self, hidden_tokens: int) -> float:
        """Seconds until the first token, with *hidden_tokens* of reasoning before it."""
        return self.ttft_s + self.seconds(hidden_tokens) if self.tokens_per_s else 0

    def seconds(self, tokens: int) -> float:
        """Seconds that *tokens* take."""
        return tokens / self.tokens_per_s if self.tokens_per_s else 0


BELIEVABLE = Pace(tokens_per_s=160, ttft_s=0.25)
