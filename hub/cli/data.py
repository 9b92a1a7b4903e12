"""`hub init`, `hub migrate`, `hub catalogue`, `hub sample` and `hub check`: the data directory."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop

if TYPE_CHECKING:
    from hub.domain.errors import FieldError
    from hub.ops.intake_upgrade import IntakeSet

MAX_CATALOGUE_BYTES = 16 * 1024 * 1024
_File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="YAML 文件。 A YAML file.")]

_Json = Annotated[bool, typer.Option("--json", help="输出 JSON。 Print JSON instead of a table.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        help="建立或补全数据目录、数据库和密钥；可以重复运行。"
        " Create or complete the data directory, the database and the keys (idempotent)."
    )(init)
    app.command(
        help="升级数据库，和 init 一样；加 --to 把内嵌数据库迁到 PostgreSQL。"
        " Upgrade the database, like `init`; with --to, move the embedded database to PostgreSQL."
    )(migrate)
    catalogue = typer.Typer(
        help="证照类型目录：机构、证照类型、事项。 The catalogue: authorities, certificate types and matters.",
        no_args_is_help=True,
    )
    catalogue.command("load", help="装入证照类型目录；可以重复运行。 Load a catalogue file (idempotent).")(load)
    catalogue.command("check", help="检查证照类型目录，列出所有问题。 List every problem in a catalogue file.")(
        check_catalogue
    )
    app.add_typer(catalogue, name="catalogue")
    sample = typer.Typer(help="示例城市。 The sample city.", no_args_is_help=True)
    sample.command(
        "load", help="装入示例城市；中断后再运行会接着装。 Load the sample city; resumes after an interruption."
    )(load_sample)
    app.add_typer(sample, name="sample")
    app.command(help="逐一核对全部证照：签名、状态、登记、账本。 Check the consistency of every certificate.")(check)


def init() -> None:
    """Create what is missing and report it."""
    from hub.db import engines
    from hub.ops.init import initialise

    settings = common.settings()
    done = initialise(settings)
    common.say(f"数据目录 Data directory: {settings.data_dir}")
    common.say(f"二维码里的地址 Address in QR codes: {done.public_url}")
    if done.migrated:
        common.say("数据库已建立或升级。", "Database created or upgraded.")
    if done.data_keys_made or done.signing_keys_made:
        common.say(
            f"新密钥：数据密钥 {done.data_keys_made}，签名密钥 {done.signing_keys_made}。",
            f"New keys: {done.data_keys_made} for data, {done.signing_keys_made} for signing.",
        )
    if done.master_key_made:
        common.say(
            f"主密钥在 {done.master_key}：请另存一份，不要和数据备份放在一起；丢了它，数据就打不开了。",
            "Keep a copy of the master key in another place, never with a backup of the data; without it, "
            "the data cannot be decrypted.",
        )
    _say_intake(done.intake_set)
    if not (done.migrated or done.data_keys_made or done.signing_keys_made or done.master_key_made):
        common.say("一切就绪，没有改动。", "Everything is in place; nothing changed.")
    if engines.lacks_service_role(engines.place_of(settings)):
        common.say_how_to_limit(settings)


def _say_intake(done: "tuple[IntakeSet, ...]") -> None:
    """List the matters whose `intake` was set, with what each authority took in; a person has to confirm them."""
    if not done:
        return
    common.say(
        f"有 {len(done)} 个事项没有写明谁可以收件，已按最近 180 天的收件机构设定。"
        "请核对，在证照类型目录文件里写明 intake，再运行 hub catalogue load。",
        f"{len(done)} matters did not say who may take them in; they were set to the authorities that did so within 180"
        " days. Check them, write `intake` into the catalogue file and run `hub catalogue load`.",
    )
    rows: list[tuple[object, ...]] = [
        (one.matter.code, taken.accepted_by, taken.decided, taken.cases - taken.decided)
        for one in done
        for taken in one.taken_in
    ]
    rows += [(one.matter.code, "own", "", "") for one in done if not one.taken_in]
    common.emit_table(("matter", "authority", "decided", "never_decided"), rows)


def migrate(
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="空的 PostgreSQL 数据库，用所有者登录。 An empty database, with its owner: postgresql+psycopg://user@host/db",
        ),
    ] = None,
) -> None:
    """Upgrade the data directory to this release, or move its database to a server."""
    if to is None:
        init()
    else:
        _move(to)


def _move(url: str) -> None:
    from hub.backup.to_postgres import Differs, migrate
    from hub.cli.serve import serve_lock_held

    settings = common.settings()
    try:
        with serve_lock_held(settings), common.progress("迁移 moving") as progress:
            done = migrate(settings, url, progress)
    except Differs as found:
        raise Stop(
            Exit.FAILED,
            f"读回的数据和原来的不一致（{found.table}），没有迁移。",
            "The data read back differs from the embedded database; nothing was moved.",
        ) from None
    if done.rows:
        common.emit_table(("table", "rows"), list(done.rows.items()))
        common.say("全部数据已迁移，逐表核对一致。", "All data was moved and every table verified.")
    else:
        common.say("之前已经迁移过了。", "The database was already moved.")
    common.say(
        f"请设置 HUB_DATABASE_URL，指向 {done.to}（服务用的用户）；HUB_DATA_DIR 和主密钥不变，密钥和文件还在那里。",
        "Set HUB_DATABASE_URL to that database, with the service's user. Keep the data directory and the master key:"
        " they still contain keys and files.",
    )
    common.say(
        "然后运行 hub check，启动 hub serve 和 hub work。原来的 hub.db 不能再用，核对后可以删除；请保留 hub.db.moved。",
        "Then run `hub check`, and start `hub serve` and `hub work`. The old hub.db can no longer be used; you may"
        " delete it after the check. Keep hub.db.moved.",
    )


def load(file: _File, as_json: _Json = False) -> None:
    """Load a catalogue file."""
    content = read_yaml(file)
    with common.opened() as parts:
        counts = parts.registration.load_catalogue(content).counts()
    if as_json:
        common.emit_json(counts)
    else:
        common.emit_table(("what", "count"), list(counts.items()))


def check_catalogue(file: _File) -> None:
    """Print every problem of a catalogue file to stdout; exit 1 if there is any."""
    content = read_yaml(file)
    with common.opened() as parts:
        problems: list[FieldError] = parts.registration.check_catalogue(content)
    for problem in problems:
        common.emit(f"{problem.pointer or '/'}  {problem.code}  {problem.message} {problem.message_en}".rstrip())
    if problems:
        raise Stop(Exit.FAILED, f"有 {len(problems)} 处要修改。", f"Problems: {len(problems)}.")
    common.say("没有问题。", "No problems.")


def read_yaml(path: Path) -> Any:
    """Read a YAML file as plain values; a file that is too large, invalid or has duplicate keys ends the command."""
    import yaml

    from hub.cli import plain_yaml

    if path.stat().st_size > MAX_CATALOGUE_BYTES:
        raise Stop(Exit.FAILED, "文件过大（上限 16 MiB）。", "The file is too large (16 MiB at most).")
    try:
        return plain_yaml.load(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise Stop(Exit.FAILED, "文件不是 UTF-8 编码，请转换后再试。", "The file is not UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
        raise Stop(Exit.FAILED, "YAML 读不出来：", f"{where}{error.problem or error.context}.") from None
    except (yaml.YAMLError, ValueError):
        raise Stop(Exit.FAILED, "YAML 读不出来。", "Invalid YAML.") from None


def load_sample() -> None:
    """Load the sample city."""
    from hub.sample import loader

    with common.opened() as parts, common.progress("示例城市 sample city") as progress:
        folder = parts.settings.data_dir / "sample"
        try:
            loader.load(parts, folder, progress)
        except loader.Unfinished:
            raise Stop(
                Exit.DEPENDENCY,
                "签名服务暂时不可用，示例城市没有装完；请再运行一次。",
                "Signing is unavailable; run the command again to resume.",
            ) from None
    common.say(f"示例城市已就绪：{folder / 'index.json'}", "The sample city is ready.")


def check() -> None:
    """Check everything; findings go to stdout, one per line, and the exit code is then 1."""
    from hub.ops import check as checking

    with common.opened() as parts, common.progress("核对 checking") as progress:
        report = checking.check(parts, progress)
    for finding in report.findings:
        common.emit(f"{finding.where}  {finding.what}")
    common.say(
        f"证照 {report.certificates}，版本 {report.versions}，文件 {report.documents}，变更 {report.acts}，"
        f"待签 {report.waiting}。",
        f"{report.certificates} certificates, {report.versions} versions, {report.documents} files,"
        f" {report.acts} events, {report.waiting} open cases.",
    )
    if not report.is_good:
        count = len(report.findings)
        raise Stop(Exit.FAILED, f"有 {count} 处不一致。", f"Findings: {count}.")
    common.say("全部一致。", "Everything is consistent.")
