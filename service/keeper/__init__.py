"""The keeper: what has to be done beside the requests, once, whoever does it."""
