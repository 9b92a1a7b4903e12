"""How a verdict is told to people, Chinese and English, for pages and the terminal alike. Nothing here is personal."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from hub.domain.certificate import KIND_EN, REVOCATION_KINDS, SUSPENSION_KINDS
from hub.domain.dates import day_of
from hub.verification import problems
from hub.verification.verdict import Finding, Presented, PublicCertificate, PublicCopy, Verdict, VerdictState

SOON_DAYS = 30


class Tone(StrEnum):
    """Colour of the band; an icon and words always say the same."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OVER = "over"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Headline:
    """What stands in the band: icon, title, second line."""

    tone: Tone
    icon: str
    title: str
    title_en: str
    line: str
    line_en: str


_FIXED = {
    VerdictState.NOT_FOUND: Headline(
        Tone.OVER,
        "?",
        "未查到此证照",
        "Not found",
        "不等于证照是假的：请逐位核对编号。",
        "This does not mean that it is false: compare the code character by character.",
    ),
    VerdictState.TAMPERED: Headline(
        Tone.BAD,
        "⚠",
        "内容与签名不一致",
        "Altered",
        "内容可能被修改，请勿采信；可向颁发机构核实。",
        "It may have been changed. Do not rely on it; ask the issuing authority.",
    ),
    VerdictState.UNTRUSTED: Headline(
        Tone.BAD,
        "⚠",
        "不是本平台签发",
        "Not issued here",
        "签名或网址不属于本平台，本平台不能证明其真实。",
        "Its signature or address was never ours: we cannot vouch for it.",
    ),
    VerdictState.UNKNOWN: Headline(
        Tone.CALM,
        "⟳",
        "暂时无法核验",
        "Could not be checked now",
        "与证照真伪无关，请稍后再试。",
        "This says nothing about the certificate. Try again shortly.",
    ),
    VerdictState.SUPERSEDED: Headline(
        Tone.OVER,
        "↻",
        "已换发新证",
        "Replaced by a newer one",
        "此版本已被新证替代，请持证人出示最新证照。",
        "Ask the holder for the current certificate.",
    ),
    VerdictState.VALID: Headline(
        Tone.GOOD,
        "✓",
        "证照有效",
        "Valid",
        "签名完好 · 颁发机构可信 · 当前有效。",
        "Unaltered, signed by a trusted authority, in force today.",
    ),
}

CHECKS = (
    ("intact", "内容完好，未被修改", "Unaltered since issue"),
    ("trusted", "由本平台为颁发机构签发", "Issued and signed here"),
    ("in_force", "未被暂停、注销或替代", "Not suspended, revoked or replaced"),
    ("within_dates", "在有效期内", "Within its dates"),
)
ANSWERS = {
    Finding.YES: ("✓", "是", "yes"),
    Finding.NO: ("✕", "否", "no"),
    Finding.UNKNOWN: ("?", "未能核验", "not checked"),
}


def headline(verdict: Verdict) -> Headline:
    """The verdict's title and second line."""
    shown, copy = verdict.certificate, verdict.copy
    if verdict.state is VerdictState.UNKNOWN and _is_of_file(verdict):
        return _of_file(shown)
    if verdict.state is VerdictState.CODE_EXPIRED and copy is not None:
        return _of_old_copy(copy)
    if shown is None or verdict.state is not shown.state:
        return _FIXED.get(verdict.state, _FIXED[VerdictState.UNKNOWN])
    head = _of_certificate(shown, day_of(verdict.checked_at))
    if problems.FILE_IMAGE in verdict.problems:
        head = _of_picture(head, is_valid=verdict.state is VerdictState.VALID)
    return head if copy is None else replace(head, title=f"{head.title}（加注件）", title_en=f"{head.title_en}; a copy")


def _is_of_file(verdict: Verdict) -> bool:
    is_file = verdict.presented is Presented.PDF or problems.FILE_IMAGE in verdict.problems
    return is_file and problems.DATABASE_UNAVAILABLE not in verdict.problems


def _of_picture(head: Headline, *, is_valid: bool) -> Headline:
    """The certificate that the QR code of a photo leads to: what is printed beside the code was not verified."""
    return replace(
        head,
        title=f"按二维码：{head.title}",
        title_en=f"By its QR code: {head.title_en}",
        line="只核验了二维码；图片上的内容请与下面逐项核对。" if is_valid else head.line,
        line_en="Only the QR code was verified: compare the picture with what follows." if is_valid else head.line_en,
    )


def _of_file(shown: PublicCertificate | None) -> Headline:
    """A file that proves nothing, answered by its QR code where it has one."""
    if shown is None or shown.state is VerdictState.UNKNOWN:
        line = "与证照真伪无关；请扫描证照上的二维码，或输入其下的公开码。"
        english = "This says nothing about the certificate. Scan its QR code, or type the code under it."
        return Headline(Tone.CALM, "?", "文件未能核验", "The file could not be checked", line, english)
    word, word_en = state_words(shown.state, shown.kind)
    line = f"按文件中的二维码查到的证照：{word}。文件可能被改过，请逐项核对。"
    english = f"Its QR code leads to a certificate that is: {word_en}. Compare every line: a file can be changed."
    return Headline(Tone.CALM, "?", "文件本身不能证明", "The file proves nothing by itself", line, english)


def _of_old_copy(copy: PublicCopy) -> Headline:
    line = f"此加注件的使用期限已于 {copy.expires_on} 结束；证照本身的状态见下。"
    english = f"It was good until {copy.expires_on}. The state of the certificate itself is below."
    return Headline(Tone.OVER, "⏱", "加注件已过期", "This copy is out of date", line, english)


def state_words(state: VerdictState, kind: str | None = None) -> tuple[str, str]:
    """A state in a word or two, with the kind's own word."""
    word = (REVOCATION_KINDS | SUSPENSION_KINDS).get(kind or "")
    zh, en = _SHORT[state]
    if word is None:
        return zh, en
    return (f"已{word}" if state is VerdictState.REVOKED else f"{zh}（{word}）"), f"{en} ({KIND_EN[kind or '']})"


_SHORT = {
    VerdictState.TAMPERED: ("内容与签名不一致", "altered"),
    VerdictState.UNTRUSTED: ("不是本平台签发", "not issued here"),
    VerdictState.NOT_FOUND: ("未查到", "not found"),
    VerdictState.CODE_EXPIRED: ("加注件已过期", "copy out of date"),
    VerdictState.REVOKED: ("已注销", "revoked"),
    VerdictState.SUPERSEDED: ("已换发新证", "replaced"),
    VerdictState.EXPIRED: ("已过期", "expired"),
    VerdictState.SUSPENDED: ("暂停使用", "suspended"),
    VerdictState.NOT_YET: ("尚未生效", "not yet in force"),
    VerdictState.VALID: ("有效", "valid"),
    VerdictState.UNKNOWN: ("暂时无法核验", "could not be checked"),
}


def _of_certificate(shown: PublicCertificate, today: date) -> Headline:
    if shown.state is VerdictState.REVOKED:
        return _revoked(shown)
    if shown.state is VerdictState.SUSPENDED:
        return _suspended(shown)
    until = shown.valid_until
    if shown.state is VerdictState.EXPIRED:
        line = f"已于 {until} 到期。签名真实，但不能作为有效证照使用。"
        return Headline(Tone.OVER, "⏱", "证照已过期", "Expired", line, f"It ended on {until}. Genuine, but over.")
    if shown.state is VerdictState.NOT_YET:
        line = f"自 {shown.valid_from} 起有效。"
        return Headline(Tone.WARN, "!", "尚未生效", "Not yet in force", line, f"In force from {shown.valid_from}.")
    if shown.state is VerdictState.SUPERSEDED and shown.since is not None:
        fixed = _FIXED[VerdictState.SUPERSEDED]
        line, english = f"自 {shown.since} 起，{fixed.line}", f"Since {shown.since}. {fixed.line_en}"
        return Headline(fixed.tone, fixed.icon, fixed.title, fixed.title_en, line, english)
    if shown.state is VerdictState.VALID and until is not None and (left := (until - today).days) <= SOON_DAYS:
        line = f"将于 {until} 到期，剩余 {left} 天。"
        english = f"It ends on {until}, {left} days from now."
        return Headline(Tone.GOOD, "✓", "证照有效（即将到期）", "Valid, ending soon", line, english)
    return _FIXED[shown.state]


def _revoked(shown: PublicCertificate) -> Headline:
    word = REVOCATION_KINDS.get(shown.kind or "", "注销")
    english = KIND_EN.get(shown.kind or "", "revoked")
    since = "" if shown.since is None else f"于 {shown.since} 生效，"
    since_en = "" if shown.since is None else f" on {shown.since}"
    line = f"{word}{since}不能再使用。"
    title_en = english[:1].upper() + english[1:]
    return Headline(Tone.BAD, "✕", f"证照已{word}", title_en, line, f"Ended for good{since_en}.")


def _suspended(shown: PublicCertificate) -> Headline:
    word = SUSPENSION_KINDS.get(shown.kind or "", "其他")
    english = KIND_EN.get(shown.kind or "", "other")
    since = "" if shown.since is None else f"，自 {shown.since} 起"
    since_en = "" if shown.since is None else f" since {shown.since}"
    line = f"原因类别：{word}{since}；请联系颁发机构。"
    return Headline(
        Tone.WARN, "‖", "证照暂停使用", f"Suspended: {english}", line, f"Not in force{since_en}. Ask the authority."
    )
