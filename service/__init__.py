"""Tollkeeper: the relay, the keeper, the admin API and the command line."""
