"""Alerts: rules over the books, a state machine that claims each crossing once, an outbox, channels."""
