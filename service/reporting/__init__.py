"""Every number anyone sees: one query per number, executed by all who show it."""
