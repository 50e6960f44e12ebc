"""Providers: what is configured, which one serves a model, and the client that calls it."""
