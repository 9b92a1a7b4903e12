"""Triggers that keep acts, audit and ledger append-only. Part of the first migration: never changed."""

from alembic import op


def protect(dialect: str) -> None:
    """A recorded act never changes, except that its sealed part may be re-sealed with another data key."""
    said = "home, certificate, revision, kind, version, standing, subkind, effective_on, recorded_at, client"
    for table, update in (("audit", "UPDATE"), ("acts", f"UPDATE OF {said}"), ("ledger", "UPDATE")):
        if dialect == "sqlite":
            for change in (update, "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{change.partition(' ')[0].lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
            continue
        op.execute(
            f"CREATE FUNCTION {table}_grows() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
        )
        for name, change, each in (
            ("update", update, "ROW"),
            ("delete", "DELETE", "ROW"),
            ("truncate", "TRUNCATE", "STATEMENT"),
        ):
            op.execute(
                f"CREATE TRIGGER {table}_no_{name} BEFORE {change} ON {table}"
                f" FOR EACH {each} EXECUTE FUNCTION {table}_grows()"
            )
    if dialect == "postgresql":
        _let_acts_be_resealed()


def _let_acts_be_resealed() -> None:
    """The service may not update acts; this function lets a rotation of data keys re-seal them and do nothing else."""
    schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
    op.execute(
        "CREATE FUNCTION reseal_act(of_home bigint, of_certificate bigint, of_revision integer, before bytea,"
        " after bytea) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER"
        f" SET search_path = {schema}, pg_temp AS"
        " $$ DECLARE changed integer; BEGIN"
        " UPDATE acts SET sealed = after WHERE home = of_home AND certificate = of_certificate"
        " AND revision = of_revision AND sealed = before;"
        " GET DIAGNOSTICS changed = ROW_COUNT; RETURN changed; END $$"
    )
    op.execute("REVOKE ALL ON FUNCTION reseal_act(bigint, bigint, integer, bytea, bytea) FROM PUBLIC")
