"""Alembic migrations; frozen history."""
