"""Which columns hold sealed personal data."""

SEALED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("parties", "sealed", ("party",)),
    ("cases", "sealed", ("source", "case_number")),
    ("pushes", "sealed", ("month", "source", "case_number", "digest")),
    ("pushes.reply", "reply", ("month", "source", "case_number", "digest")),
    ("intents", "sealed", ("source", "case_number", "intent")),
    ("versions", "sealed", ("home", "certificate", "version")),
    ("acts", "sealed", ("home", "certificate", "revision")),
    ("retrievals", "sealed", ("month", "receipt")),
    ("clerks", "sealed", ("authority", "staff_number")),
)
"""(label in the AAD, column, primary key) of every sealed column: what a rotation of data keys re-seals.

The label is the table, followed by `.column` unless the column is `sealed`. The files of `documents` are sealed too;
`hub.store.documents` re-seals those.
"""
