"""The admin API: one module per resource, behind one guard."""
