"""The simulated upstream: OpenAI-shaped answers with no key and no network."""
