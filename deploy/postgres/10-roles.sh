#!/bin/bash
# Run once by the image, when the database is made. Two roles: the owner, who makes and changes the tables in the
# migration job, and the service, which is given its rights on them there and has no others.
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
