"""Virtual keys: their shape, and the registry that holds them."""
