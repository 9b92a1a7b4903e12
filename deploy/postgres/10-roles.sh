#!/bin/bash
# The image runs this once, when the database is created. It creates two roles: the owner, which creates and alters the
# tables in the migration job, and the service, which has only the privileges that the migration job grants it.
set -euo pipefail

role() { # name password-file
  psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=name="$1" \
    --set=password="$(cat "$2")" --quiet <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
SQL
}

role hub_owner /run/secrets/database_owner_password
role hub_service /run/secrets/database_password
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --quiet <<'SQL'
CREATE DATABASE hub OWNER hub_owner ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
REVOKE ALL ON DATABASE hub FROM PUBLIC;
GRANT CONNECT ON DATABASE hub TO hub_service;
\connect hub
ALTER SCHEMA public OWNER TO hub_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
