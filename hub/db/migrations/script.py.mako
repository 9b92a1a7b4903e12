"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

# Named NUMBER_OLDEST, see `schema.works_on`. The release before goes on while this is done: new columns may be empty,
# nothing that it uses is renamed or taken away, no table is rewritten; one table a migration, for what is changed stays
# locked until its end. An index of a table that grows is a migration of its own and may be begun anew: inside
# `op.get_context().autocommit_block()`, SET lock_timeout = 0 (nobody waits behind it), DROP INDEX CONCURRENTLY IF
# EXISTS, then create it with postgresql_concurrently=True.
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
