"""The embedded directory: one SQLite FTS5 file per generation."""
