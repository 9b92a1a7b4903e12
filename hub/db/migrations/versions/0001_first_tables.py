"""The first tables, three of which are append-only."""

import sqlalchemy as sa
from alembic import op

from hub.db.migrations import append_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Texts are ordered by their bytes, whatever the server's locale, and no upgrade of its collation library changes that.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _people()
    _cases()
    _certificates()
    _changes()
    _derived()
    _record()
    _accounts()
    _catalogue()
    _keys()
    append_only.protect("sqlite" if op.get_bind().dialect.name == "sqlite" else "postgresql")


def _people() -> None:
    op.create_table(
        "parties",
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id_type", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("party"),
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
        "handles",
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", TEXT, autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("receipt", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_with_rowid=False,
    )


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("source", TEXT, autoincrement=False, nullable=False),
        sa.Column("case_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("accepted_by", TEXT, nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("amendment", sa.Integer(), nullable=False),
        sa.Column("matter", TEXT, nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("source", "case_number"),
    )
    op.create_table(
        "pushes",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", TEXT, autoincrement=False, nullable=False),
        sa.Column("case_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), autoincrement=False, nullable=False),
        sa.Column("client", TEXT, nullable=False),
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
        "intents",
        sa.Column("source", TEXT, autoincrement=False, nullable=False),
        sa.Column("case_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("intent", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("amendment", sa.Integer(), nullable=False),
        sa.Column("key_ids", TEXT, nullable=False),
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


def _certificates() -> None:
    op.create_table(
        "certificates",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("serial", TEXT, nullable=False),
        sa.Column("origin", sa.SmallInteger(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("issued_on", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("superseded_on", sa.Integer(), nullable=True),
        sa.Column("organisation", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("home", "certificate"),
    )
    op.create_table(
        "versions",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version_key", sa.BigInteger(), nullable=False),
        sa.Column("identifier", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("kid", TEXT, nullable=False),
        sa.Column("qr_kid", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("case_number", TEXT, nullable=False),
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
        "holdings",
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("issued_on", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.Integer(), nullable=False),
        sa.Column("valid_until", sa.Integer(), nullable=True),
        sa.Column("superseded_on", sa.Integer(), nullable=True),
        sa.Column("ended", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "home", "certificate"),
        sqlite_with_rowid=False,
    )


def _changes() -> None:
    op.create_table(
        "successions",
        sa.Column("version_key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("case_number", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("version_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "acts",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("standing", sa.SmallInteger(), nullable=False),
        sa.Column("subkind", TEXT, nullable=True),
        sa.Column("effective_on", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("home", "certificate", "revision"),
    )
    op.create_table(
        "documents",
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("receipt", TEXT, autoincrement=False, nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("file", TEXT, nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("home", "certificate", "version", "kind", "receipt"),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index("documents_by_digest", ["sha256"], unique=False)
        batch_op.create_index("documents_by_file", ["file"], unique=False)


def _derived() -> None:
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
        "cursors",
        sa.Column("consumer", TEXT, autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer"),
    )
    op.create_table(
        "index_dead",
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("home", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("certificate", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "home", "certificate"),
    )


def _record() -> None:
    op.create_table(
        "retrievals",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("receipt", TEXT, autoincrement=False, nullable=False),
        sa.Column("party", sa.BigInteger(), nullable=False),
        sa.Column("home", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("case_number", TEXT, nullable=False),
        sa.Column("clerk", TEXT, nullable=False),
        sa.Column("clerk_authority", TEXT, nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
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
        "audit",
        sa.Column("month", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("client", TEXT, nullable=False),
        sa.Column("clerk", TEXT, nullable=True),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("outcome", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=True),
        sa.Column("case_number", TEXT, nullable=True),
        sa.Column("party", sa.BigInteger(), nullable=True),
        sa.Column("home", sa.BigInteger(), nullable=True),
        sa.Column("certificate", sa.BigInteger(), nullable=True),
        sa.Column("request", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("month", "id"),
    )
    op.create_table(
        "seen_counts",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("who", TEXT, autoincrement=False, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "who"),
    )
    op.create_table(
        "seen",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scope", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("who", TEXT, autoincrement=False, nullable=False),
        sa.Column("party", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("day", "scope", "who", "party"),
        sqlite_with_rowid=False,
    )


def _accounts() -> None:
    op.create_table(
        "clients",
        sa.Column("client", TEXT, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("acts_for", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client"),
    )
    op.create_table(
        "client_keys",
        sa.Column("client", TEXT, autoincrement=False, nullable=False),
        sa.Column("kid", TEXT, autoincrement=False, nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("client", "kid"),
    )
    op.create_table(
        "clerks",
        sa.Column("authority", TEXT, autoincrement=False, nullable=False),
        sa.Column("staff_number", TEXT, autoincrement=False, nullable=False),
        sa.Column("disabled", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "staff_number"),
    )
    op.create_table(
        "jtis",
        sa.Column("client", TEXT, autoincrement=False, nullable=False),
        sa.Column("jti", TEXT, autoincrement=False, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client", "jti"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("jtis", schema=None) as batch_op:
        batch_op.create_index("jtis_old", ["expires_at"], unique=False)


def _catalogue() -> None:
    op.create_table(
        "authorities",
        sa.Column("code", TEXT, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_en", TEXT, nullable=False),
        sa.Column("region", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "types",
        sa.Column("code", TEXT, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_en", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("number_personal", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "editions",
        sa.Column("type", TEXT, autoincrement=False, nullable=False),
        sa.Column("edition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("type", "edition"),
    )
    op.create_table(
        "matters",
        sa.Column("code", TEXT, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_en", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("open_days", sa.Integer(), nullable=False),
        sa.Column("yields", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "materials",
        sa.Column("matter", TEXT, autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("name_en", TEXT, nullable=False),
        sa.Column("of_role", TEXT, nullable=False),
        sa.Column("types", TEXT, nullable=False),
        sa.Column("accepts", TEXT, nullable=False),
        sa.Column("fields", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("matter", "ordinal"),
    )


def _keys() -> None:
    op.create_table(
        "id_blocks",
        sa.Column("name", TEXT, autoincrement=False, nullable=False),
        sa.Column("next", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "data_keys",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "signing_keys",
        sa.Column("kid", TEXT, autoincrement=False, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "x509_certificates",
        sa.Column("serial", TEXT, autoincrement=False, nullable=False),
        sa.Column("kid", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("serial"),
    )
    op.create_table(
        "public_urls",
        sa.Column("url", TEXT, autoincrement=False, nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("url"),
    )
