"""All SQL for rows, and stored files. Functions take a reader or a writer and return domain objects."""
