"""The SQL store: tables, column types, engine and schema versions."""
