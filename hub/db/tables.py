"""The schema, for Alembic alone; at run time the store uses plain SQL.

Types mean the same on both engines: instants are BIGINT µs since 1970 UTC, dates INTEGER yyyymmdd, codes TEXT, small
enums SMALLINT, bytes BLOB/BYTEA; no JSON, boolean, timestamp or serial columns. The primary keys of growing tables
start with their partition key: `home`, `party`, or the month or day. Uniqueness is enforced in `handles` and
`blind_index`. `sealed` columns hold all personal data of a row (see hub.vault).
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, SmallInteger, Table, Text, text

metadata = MetaData()
_BY_BYTES = Text().with_variant(Text(collation="C"), "postgresql")
"""Both engines order texts by their bytes, whatever the server's locale."""


_Kind = type[BigInteger | Integer | SmallInteger | Text | LargeBinary]


def _type(kind: _Kind) -> BigInteger | Integer | SmallInteger | Text | LargeBinary:
    return _BY_BYTES if kind is Text else kind()


def _key(name: str, kind: _Kind = BigInteger) -> Column[object]:
    return Column(name, _type(kind), primary_key=True, autoincrement=False)


def _must(name: str, kind: _Kind = BigInteger) -> Column[object]:
    return Column(name, _type(kind), nullable=False)


def _may(name: str, kind: _Kind = BigInteger) -> Column[object]:
    return Column(name, _type(kind), nullable=True)


# --- people and registries -----------------------------------------------------------------------------------------

parties = Table("parties", metadata, _key("party"), _must("id_type", Text), _must("sealed", LargeBinary))

blind_index = Table(  # kind: 1 party, 2 number
    "blind_index",
    metadata,
    _key("kind", SmallInteger),
    _key("key_number", Integer),
    _key("hash", LargeBinary),
    _must("target"),
    _must("home"),
    _must("rules", SmallInteger),
    sqlite_with_rowid=False,
)

handles = Table(  # kind: 1 identifier, 2 public code, 3 copy code, which refers to a receipt
    "handles",
    metadata,
    _key("kind", SmallInteger),
    _key("value", Text),
    _must("home"),
    _must("certificate"),
    _must("version", Integer),
    _may("receipt", Text),
    sqlite_with_rowid=False,
)

# --- cases and pushes ------------------------------------------------------------------------------------------------

cases = Table(
    "cases",
    metadata,
    _key("source", Text),
    _key("case_number", Text),
    _must("authority", Text),
    _must("accepted_by", Text),
    _must("status", SmallInteger),
    _must("amendment", Integer),
    _must("matter", Text),
    _must("accepted_at"),
    _may("completed_at"),
    _must("revision", Integer),
    _must("recorded_at"),
    _must("sealed", LargeBinary),
    _may("opened_by", Text),
    _may("clerk", Text),
    _may("decided", SmallInteger),
    _may("objected_at"),
    Index("cases_decided", "authority", "accepted_at", "source", "case_number"),
    Index("cases_taken_in", "accepted_by", "accepted_at", "source", "case_number"),
)

case_numbers = Table(  # the second number of a case
    "case_numbers",
    metadata,
    _key("source", Text),
    _key("case_number", Text),
    _must("of_source", Text),
    _must("of_case_number", Text),
    _must("recorded_at"),
    Index("case_numbers_of", "of_source", "of_case_number", unique=True),
)

case_uses = Table(
    "case_uses",
    metadata,
    _key("source", Text),
    _key("case_number", Text),
    _must("lookups", Integer),
    _must("retrievals", Integer),
)

alarms = Table("alarms", metadata, _key("name", Text), _must("count", Integer), _must("at"))

pushes = Table(
    "pushes",
    metadata,
    _key("month", Integer),
    _key("source", Text),
    _key("case_number", Text),
    _key("digest", LargeBinary),
    _must("client", Text),
    _must("amendment", Integer),
    _must("status", SmallInteger),
    _must("at"),
    _must("sealed", LargeBinary),
    _may("reply", LargeBinary),
    Index("pushes_by_case", "source", "case_number", "digest"),
)

intents = Table(
    "intents",
    metadata,
    _key("source", Text),
    _key("case_number", Text),
    _key("intent"),
    _must("amendment", Integer),
    _must("key_ids", Text),
    _must("attempts", Integer),
    _must("next_attempt_at"),
    _must("voided", SmallInteger),
    _must("reserved_at"),
    _must("sealed", LargeBinary),
    Index(
        "intents_one_open",
        "source",
        "case_number",
        unique=True,
        sqlite_where=text("voided = 0"),
        postgresql_where=text("voided = 0"),
    ),
    Index("intents_due", "next_attempt_at", sqlite_where=text("voided = 0"), postgresql_where=text("voided = 0")),
)

# --- certificates ----------------------------------------------------------------------------------------------------

certificates = Table(
    "certificates",
    metadata,
    _key("home"),
    _key("certificate"),
    _must("type", Text),
    _must("authority", Text),
    _must("serial", Text),
    _must("origin", SmallInteger),
    _must("standing", SmallInteger),
    _must("revision", Integer),
    _must("version", Integer),
    _must("issued_on", Integer),
    _must("valid_from", Integer),
    _may("valid_until", Integer),
    _may("superseded_on", Integer),
    _may("organisation", Text),
)

versions = Table(
    "versions",
    metadata,
    _key("home"),
    _key("certificate"),
    _key("version", Integer),
    _must("version_key"),
    _must("identifier", Text),
    _must("code", Text),
    _must("edition", Integer),
    _must("kid", Text),
    _must("qr_kid", Text),
    _must("source", Text),
    _must("case_number", Text),
    _must("issued_on", Integer),
    _must("valid_from", Integer),
    _may("valid_until", Integer),
    _may("superseded_on", Integer),
    _must("standing", SmallInteger),
    _must("recorded_at"),
    _must("sealed", LargeBinary),
    Index("versions_by_key", "version_key"),
    Index(
        "versions_not_good",  # a covering index for status lists: avoids reading rows with their sealed bytes
        "version_key",
        "standing",
        "superseded_on",
        sqlite_where=text("standing <> 1 OR superseded_on IS NOT NULL"),
        postgresql_where=text("standing <> 1 OR superseded_on IS NOT NULL"),
    ),
)

holdings = Table(
    "holdings",
    metadata,
    _key("party"),
    _key("home"),
    _key("certificate"),
    _must("ordinal", SmallInteger),
    _must("type", Text),
    _must("standing", SmallInteger),
    _must("issued_on", Integer),
    _must("valid_from", Integer),
    _may("valid_until", Integer),
    _may("superseded_on", Integer),
    _must("ended", SmallInteger),
    sqlite_with_rowid=False,
)

successions = Table(
    "successions",
    metadata,
    _key("version_key"),
    _must("source", Text),
    _must("case_number", Text),
    sqlite_with_rowid=False,
)

acts = Table(
    "acts",
    metadata,
    _key("home"),
    _key("certificate"),
    _key("revision", Integer),
    _must("kind", SmallInteger),
    _must("version", Integer),
    _must("standing", SmallInteger),
    _may("subkind", Text),
    _must("effective_on", Integer),
    _must("recorded_at"),
    _must("client", Text),
    _must("sealed", LargeBinary),
)

documents = Table(  # kind: 1 rendition (receipt is empty), 2 copy; key_number: the data key that sealed the file
    "documents",
    metadata,
    _key("home"),
    _key("certificate"),
    _key("version", Integer),
    _key("kind", SmallInteger),
    _key("receipt", Text),
    _must("sha256", LargeBinary),
    _must("file", Text),
    _must("size", Integer),
    _must("key_number", Integer),
    _must("recorded_at"),
    Index("documents_by_digest", "sha256"),
    Index("documents_by_file", "file"),  # random names; a UNIQUE index could not be partitioned
)

# --- the feed --------------------------------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    _key("entry"),
    _must("home"),
    _must("certificate"),
    _must("revision", Integer),
    _must("kind", SmallInteger),
    _must("leaf", LargeBinary),
    Index("outbox_by_certificate", "home", "certificate", "revision"),
)

ledger = Table(
    "ledger",
    metadata,
    _key("position"),
    _must("home"),
    _must("certificate"),
    _must("revision", Integer),
    _must("kind", SmallInteger),
    _must("leaf", LargeBinary),
    Index("ledger_by_certificate", "home", "certificate", "revision"),
)

cursors = Table("cursors", metadata, _key("consumer", Text), _must("position"))

index_dead = Table(  # documents that the directory's engine rejected; derived, like the directory itself
    "index_dead",
    metadata,
    _key("party"),
    _key("home"),
    _key("certificate"),
    _must("revision", Integer),
    _must("reason", Text),
    _must("at"),
)

# --- use and audit ---------------------------------------------------------------------------------------------------

retrievals = Table(
    "retrievals",
    metadata,
    _key("month", Integer),
    _key("receipt", Text),
    _must("party"),
    _must("home"),
    _must("certificate"),
    _must("version", Integer),
    _must("source", Text),
    _must("case_number", Text),
    _must("clerk", Text),
    _must("clerk_authority", Text),
    _must("client", Text),
    _must("state", Text),
    _must("at"),
    _must("expires_on", Integer),
    _must("sealed", LargeBinary),
    Index("retrievals_by_case", "source", "case_number", "clerk", "home", "certificate", "version"),
)

audit = Table(
    "audit",
    metadata,
    _key("month", Integer),
    _key("id"),
    _must("at"),
    _must("client", Text),
    _may("clerk", Text),
    _must("action", Text),
    _must("outcome", Text),
    _may("source", Text),
    _may("case_number", Text),
    _may("party"),
    _may("home"),
    _may("certificate"),
    _may("request", Text),
)

seen = Table(
    "seen",
    metadata,
    _key("day", Integer),
    _key("scope", SmallInteger),
    _key("who", Text),
    _key("party"),
    sqlite_with_rowid=False,
)

seen_counts = Table(  # how many rows of `seen` share a day, scope and who
    "seen_counts",
    metadata,
    _key("day", Integer),
    _key("scope", SmallInteger),
    _key("who", Text),
    _must("people", Integer),
)

# --- small tables -----------------------------------------------------------------------------------------------------

id_blocks = Table("id_blocks", metadata, _key("name", Text), _must("next"))

data_keys = Table(  # purpose: seal, blind, digest, status, files; state: 1 next, 2 active, 3 retired, 4 spent
    "data_keys",
    metadata,
    _key("number", Integer),
    _must("purpose", Text),
    _must("state", SmallInteger),
    _must("created_at"),
    _must("wrapped", LargeBinary),
)

signing_keys = Table(  # state: 1 next, 2 active, 3 retired
    "signing_keys",
    metadata,
    _key("kid", Text),
    _must("purpose", Text),
    _must("authority", Text),
    _must("state", SmallInteger),
    _must("created_at"),
    _may("retired_at"),
    _must("spki", LargeBinary),
)

x509_certificates = Table(
    "x509_certificates",
    metadata,
    _key("serial", Text),
    _must("kid", Text),
    _must("name", Text),
    _must("authority", Text),
    _must("not_before"),
    _must("not_after"),
    _may("revoked_at"),
    _must("der", LargeBinary),
)

clients = Table(
    "clients",
    metadata,
    _key("client", Text),
    _must("name", Text),
    _must("authority", Text),
    _must("source", Text),
    _must("acts_for", Text),
    _must("scopes", Text),
    _must("disabled", SmallInteger),
    _must("created_at"),
    _may("dpop", SmallInteger),
    _may("own_source", SmallInteger),
)

client_keys = Table(
    "client_keys",
    metadata,
    _key("client", Text),
    _key("kid", Text),
    _must("spki", LargeBinary),
    _must("created_at"),
    _may("expires_at"),
)

clerks = Table(
    "clerks",
    metadata,
    _key("authority", Text),
    _key("staff_number", Text),
    _must("disabled", SmallInteger),
    _must("created_at"),
    _must("sealed", LargeBinary),
)

jtis = Table(
    "jtis",
    metadata,
    _key("client", Text),
    _key("jti", Text),
    _must("expires_at"),
    Index("jtis_old", "expires_at"),
    sqlite_with_rowid=False,
)

_AUTHORITY = (_key("code", Text), _must("name", Text), _must("name_en", Text), _must("region", Text))
authorities = Table("authorities", metadata, *_AUTHORITY, _may("kind", Text))

types = Table(
    "types",
    metadata,
    _key("code", Text),
    _must("name", Text),
    _must("name_en", Text),
    _must("kind", Text),
    _must("number_personal", SmallInteger),
)

editions = Table(
    "editions",
    metadata,
    _key("type", Text),
    _key("edition", Integer),
    _must("since", Integer),
    _must("digest", LargeBinary),
    _must("content", Text),
)

matters = Table(
    "matters",
    metadata,
    _key("code", Text),
    _must("name", Text),
    _must("name_en", Text),
    _must("authority", Text),
    _must("open_days", Integer),
    _must("yields", Text),
    _may("intake", Text),
    _may("regions", Text),
    _may("max_people", Integer),
    _may("confirmed", SmallInteger),
)

materials = Table(
    "materials",
    metadata,
    _key("matter", Text),
    _key("ordinal", SmallInteger),
    _must("name", Text),
    _must("name_en", Text),
    _must("of_role", Text),
    _must("types", Text),
    _must("accepts", Text),
    _may("fields", Text),
)

public_urls = Table("public_urls", metadata, _key("url", Text), _must("since"), _must("current", SmallInteger))
