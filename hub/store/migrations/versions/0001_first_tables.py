"""First tables, and the three that may only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "acts",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("subkind", sa.Text(), nullable=True),
        sa.Column("effective_on", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("home", "certificate", "revision"),
    )
    op.create_table(
        "audit",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("clerk", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("case_number", sa.Text(), nullable=True),
        sa.Column("party", sa.BigInteger(), nullable=True),
        sa.Column("home", sa.BigInteger(), nullable=True),
        sa.Column("certificate", sa.BigInteger(), nullable=True),
        sa.Column("request", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("month", "id"),
    )
    op.create_table(
        "authorities",
        sa.Column("code", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "blind_index",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("key_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key_number", "hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cases",
        sa.Column("source", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case_number", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("accepted_by", sa.Text(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("amendment", sa.Integer(), nullable=False),
        sa.Column("matter", sa.Text(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "case_number"),
    )
    op.create_table(
        "certificates",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("origin", sa.SmallInteger(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("issued_on", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("superseded_on", sa.Integer(), nullable=True),
        sa.Column("organisation", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("home", "certificate"),
    )
    op.create_table(
        "clerks",
        sa.Column("authority", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("staff_number", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "staff_number"),
    )
    op.create_table(
        "client_keys",
        sa.Column("client", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("client", "kid"),
    )
    op.create_table(
        "clients",
        sa.Column("client", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("acts_for", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client"),
    )
    op.create_table(
        "cursors",
        sa.Column("consumer", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer"),
    )
    op.create_table(
        "data_keys",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "documents",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("receipt", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("home", "certificate", "version", "kind", "receipt"),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index("documents_by_digest", ["sha256"], unique=False)
        batch_op.create_index("documents_by_file", ["file"], unique=True)

    op.create_table(
        "editions",
        sa.Column("type", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("edition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type", "edition"),
    )
    op.create_table(
        "handles",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "holdings",
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("issued_on", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("superseded_on", sa.Integer(), nullable=True),
        sa.Column("ended", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "home", "certificate"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "id_blocks",
        sa.Column("name", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "intents",
        sa.Column("source", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case_number", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("intent", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("amendment", sa.Integer(), nullable=False),
        sa.Column("key_ids", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("voided", sa.SmallInteger(), nullable=False),
        sa.Column("reserved_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "case_number", "intent"),
    )
    with op.batch_alter_table("intents", schema=None) as batch_op:
        batch_op.create_index(
            "intents_due",
            ["next_attempt_at"],
            unique=False,
            sqlite_where=sa.text("voided = 0"),
            postgresql_where=sa.text("voided = 0"),
        )
        batch_op.create_index(
            "intents_one_open",
            ["source", "case_number"],
            unique=True,
            sqlite_where=sa.text("voided = 0"),
            postgresql_where=sa.text("voided = 0"),
        )

    op.create_table(
        "jtis",
        sa.Column("client", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("jti", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "jti"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("jtis", schema=None) as batch_op:
        batch_op.create_index("jtis_old", ["expires_at"], unique=False)

    op.create_table(
        "ledger",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    with op.batch_alter_table("ledger", schema=None) as batch_op:
        batch_op.create_index("ledger_by_certificate", ["home", "certificate", "revision"], unique=False)

    op.create_table(
        "materials",
        sa.Column("matter", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("of_role", sa.Text(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("accepts", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("matter", "ordinal"),
    )
    op.create_table(
        "matters",
        sa.Column("code", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("open_days", sa.Integer(), nullable=False),
        sa.Column("yields", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "outbox",
        sa.Column("entry", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index("outbox_by_certificate", ["home", "certificate", "revision"], unique=False)

    op.create_table(
        "parties",
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id_type", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("party"),
    )
    op.create_table(
        "public_urls",
        sa.Column("url", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("url"),
    )
    op.create_table(
        "pushes",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("case_number", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("amendment", sa.Integer(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("month", "source", "case_number", "digest"),
    )
    with op.batch_alter_table("pushes", schema=None) as batch_op:
        batch_op.create_index("pushes_by_case", ["source", "case_number", "digest"], unique=False)

    op.create_table(
        "retrievals",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("receipt", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("party", sa.BigInteger(), nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("clerk", sa.Text(), nullable=False),
        sa.Column("clerk_authority", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_on", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("month", "receipt"),
    )
    with op.batch_alter_table("retrievals", schema=None) as batch_op:
        batch_op.create_index(
            "retrievals_by_case", ["source", "case_number", "clerk", "home", "certificate", "version"], unique=False
        )

    op.create_table(
        "seen_counts",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("who", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "who"),
    )
    op.create_table(
        "seen",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("who", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "who", "party"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "successions",
        sa.Column("version_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "types",
        sa.Column("code", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number_personal", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "versions",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version_key", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("qr_kid", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("case_number", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("superseded_on", sa.Integer(), nullable=True),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("home", "certificate", "version"),
    )
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.create_index("versions_by_key", ["version_key"], unique=False)
        batch_op.create_index(
            "versions_not_good",
            ["version_key", "standing", "superseded_on"],
            unique=False,
            sqlite_where=sa.text("standing <> 1 OR superseded_on IS NOT NULL"),
            postgresql_where=sa.text("standing <> 1 OR superseded_on IS NOT NULL"),
        )

    op.create_table(
        "x509_certificates",
        sa.Column("serial", sa.Text(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
    )
    # What an act says never changes; only the key that it is sealed with does.
    said = "home, certificate, revision, kind, version, standing, subkind, effective_on, recorded_at, client"
    for table, update in (("audit", "UPDATE"), ("acts", f"UPDATE OF {said}"), ("ledger", "UPDATE")):
        for change in (update, "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{change.partition(' ')[0].lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
