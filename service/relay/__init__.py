"""The hot path: from the client's request to the upstream and back, with exactly one record."""
