"""SQL and files, and nothing else has them. Functions take a reader or a writer and return domain objects."""
