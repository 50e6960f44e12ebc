"""Which part of a prompt was seen before: the rule of OpenAI's prompt cache, in memory and bounded.

A prompt is cut into blocks of 128 tokens; a prefix counts as cached from 1,024 tokens on, in steps of 128, when
the same prefix came before from the same account for the same model.
"""

import hashlib
from collections import OrderedDict

BLOCK_TOKENS = 128
MINIMUM_TOKENS = 1024
_BLOCK_CHARS = 4 * BLOCK_TOKENS


class PromptCache:
    """Remembers the newest *capacity* blocks."""

    def __init__(self, *, capacity: int = 65_536) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def look_up(self, prompt: bytes, *, owner: str) -> int:
        """How many tokens of *prompt* are cached for *owner*; remembers all of it."""
        known, unbroken = 0, True
        digest = hashlib.blake2b(owner.encode(), digest_size=16).digest()
        for start in range(0, len(prompt) - _BLOCK_CHARS + 1, _BLOCK_CHARS):
            block = prompt[start : start + _BLOCK_CHARS]
            digest = hashlib.blake2b(block, key=digest, digest_size=16).digest()
            unbroken = unbroken and digest in self._seen
            known += unbroken
            self._seen[digest] = None
            self._seen.move_to_end(digest)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)
        tokens = known * BLOCK_TOKENS
        return tokens if tokens >= MINIMUM_TOKENS else 0
