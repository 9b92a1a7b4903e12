"""Database engines: drivers, connection pool, roles, DDL and migrations. Knows tables and columns, not certificates."""
