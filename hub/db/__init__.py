"""Database engines: drivers, pool, roles, DDL and migrations. Knows tables and columns, never a certificate."""
