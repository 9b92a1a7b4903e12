"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

# Named NUMBER_OLDEST, see `schema.works_on`. The previous release keeps running meanwhile: new columns are nullable,
# nothing that it uses is renamed or dropped, and no table is rewritten. One table per migration, because a changed
# table stays locked until the migration ends. An index on a growing table is a migration of its own that can be
# restarted: inside `op.get_context().autocommit_block()`, SET lock_timeout = 0 (it blocks no other session), DROP INDEX
# CONCURRENTLY IF EXISTS, then create it with postgresql_concurrently=True.
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
