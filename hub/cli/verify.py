"""`hub verify`: verify a QR text, a code, a credential or a file in the terminal."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli import common
from hub.cli.common import Exit, Stop
from signing.pdf.check.finding import MAX_BYTES, What, kind_of

if TYPE_CHECKING:
    from hub.verification import PublicCertificate, PublicCopy, Verdict, Verification

_MAX_TEXT_BYTES = 256 * 1024
_LONGEST_NAME = 1024
_HELP = """核验 PDF 证照、照片、二维码全文、公开码或签名数据。 Verify a PDF, a photo, a QR text, a code or a credential.

图片和没有签章的文件不能自证，结论不会是“有效”。 A picture or an unsealed file proves nothing itself.

Exit code: 0 有效 valid; 1 其他结论 any other verdict."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("verify", help=_HELP)(verify)


def verify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_TEXT",
            help="PDF、JPEG 或 PNG 文件；二维码全文、16 位公开码、签名数据，或者存有它的文件；- 表示标准输入。"
            " A PDF, JPEG or PNG file; a QR text, a code, a credential, or a file containing one; - for stdin.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="输出 JSON，和接口相同。 Print the verdict as JSON, as the API returns it.")
    ] = False,
) -> None:
    """Print the same verdict as the API and the page, from the local data directory, without network access."""
    from hub.verification import VerdictState

    raw = _bytes_of(what)
    text = None if kind_of(raw) is not What.OTHER else _decoded(raw)
    with common.opened() as parts:
        found = parts.verification
        verdict = found.verify_file(raw) if text is None else _judge(found, text)
    if as_json:
        common.emit_json(verdict.as_json())
    else:
        _print_verdict(verdict)
    if verdict.state is not VerdictState.VALID:
        raise typer.Exit(Exit.FAILED)


def _judge(verification: "Verification", text: str) -> "Verdict":
    """A credential contains a `~` or two dots; any other text was scanned or typed."""
    is_credential = "://" not in text and ("~" in text or text.count(".") == 2)
    return verification.verify_credential(text) if is_credential else verification.verify_qr(text)


def _bytes_of(what: str) -> bytes:
    """The argument itself, or the content of the file or stdin, up to one byte more than the largest file."""
    if what == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(what) <= _LONGEST_NAME and "\0" not in what and os.path.isfile(what):  # noqa: PTH113 (never raises)
        with Path(what).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    return what.encode("utf-8", "surrogateescape")


def _decoded(raw: bytes) -> str:
    if len(raw) > _MAX_TEXT_BYTES:
        raise Stop(Exit.FAILED, "内容太大，不是二维码全文或签名数据。", "Too large for a QR text or a credential.")
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise Stop(
            Exit.FAILED,
            "认不出来；请给出 PDF、照片、二维码全文、公开码或签名数据。",
            "Unknown content: provide a PDF, a photo, a QR text, a code or a credential.",
        ) from None
    if not text:
        raise Stop(Exit.FAILED, "内容为空。", "Nothing to verify.")
    return text


def _print_verdict(verdict: "Verdict") -> None:
    from hub.domain.dates import show_moment
    from hub.verification import problems, verdict_text

    head = verdict_text.headline(verdict)
    common.emit(f"{head.icon} {head.title}  {head.title_en}")
    common.emit(f"  {head.line}")
    common.emit(f"  {head.line_en}")
    common.emit(f"  核验时间 Checked at: {show_moment(verdict.checked_at)}")
    for name, zh, en in verdict_text.CHECKS:
        icon, answer, answer_en = verdict_text.ANSWERS[getattr(verdict.checks, name)]
        common.emit(f"  {icon} {zh}：{answer}  {en}: {answer_en}")
    for code in verdict.problems:
        zh, en = problems.meaning(code)
        common.emit(f"  ! {zh}  {en} [{code}]")
    if verdict.copy is not None:
        _print_copy(verdict.copy)
    if verdict.certificate is not None:
        _print_certificate(verdict.certificate, own_state=verdict.certificate.state is not verdict.state)


def _print_copy(copy: "PublicCopy") -> None:
    from hub.domain.dates import show_moment
    from hub.verification import verdict_text

    for label, value in (
        ("用证凭证 Receipt", copy.receipt_number),
        ("调取单位 Made for", copy.authority_name),
        ("办理事项 Matter", copy.matter_name),
        ("调取时间 Retrieved at", show_moment(copy.retrieved_at)),
        ("当时状态 State at retrieval", " ".join(verdict_text.state_words(copy.state_then))),
        ("使用期限 Usable until", str(copy.expires_on)),
    ):
        common.emit(f"    {label}: {value}")


def _print_certificate(shown: "PublicCertificate", *, own_state: bool) -> None:
    from hub.verification import verdict_text

    lines = [("证照名称 Certificate", f"{shown.type_name} {shown.type_name_en}".rstrip())]
    if shown.holders is not None:
        lines.append(("持证主体 Holder", "、".join(shown.holders)))
    if shown.number is not None:
        lines.append(("证照编号 Number", shown.number))
    lines += [
        ("颁发机构 Authority", f"{shown.authority_name} {shown.authority_name_en}".rstrip()),
        ("颁发日期 Issued on", str(shown.issued_on)),
        ("有效期自 Valid from", str(shown.valid_from)),
        ("有效期至 Valid until", str(shown.valid_until or "长期 no expiry")),
        ("证照标识 Identifier", shown.identifier),
        ("版本 Version", str(shown.version)),
    ]
    if own_state:
        lines.append(("登记状态 Recorded state", " ".join(verdict_text.state_words(shown.state, shown.kind))))
    for label, value in lines:
        common.emit(f"    {label}: {value}")
