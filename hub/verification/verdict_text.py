"""The texts of a verdict in Chinese and English, for pages and the terminal. None contains personal data."""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from hub.domain.certificate import KIND_EN, REVOCATION_KINDS, SUSPENSION_KINDS
from hub.domain.dates import day_of
from hub.verification import problems
from hub.verification.verdict import Presented, PublicCertificate, PublicCopy, Verdict, VerdictAnswer, VerdictState

SOON_DAYS = 30


class Tone(StrEnum):
    """The colour of the headline; icon and text always express the same."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    OVER = "over"
    CALM = "calm"


@dataclass(frozen=True, slots=True)
class Headline:
    """The headline: icon, title and second line."""

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
        "这不等于证照是假的：请逐位核对编号。",
        "This does not mean that the certificate is fake. Check the code character by character.",
    ),
    VerdictState.TAMPERED: Headline(
        Tone.BAD,
        "⚠",
        "内容与签名不一致",
        "Altered",
        "内容可能被改过，请不要采信；可以向颁发机构核实。",
        "The content may have been changed. Do not rely on it; ask the issuing authority.",
    ),
    VerdictState.UNTRUSTED: Headline(
        Tone.BAD,
        "⚠",
        "不是本平台签发",
        "Not issued here",
        "签名或网址不属于本平台，本平台不能证明其真实。",
        "The signature or the address is not ours; we cannot vouch for it.",
    ),
    VerdictState.COMPARE: Headline(
        Tone.WARN,
        "◫",
        "请逐项核对",
        "Compare every line",
        "图片不能自证，请与下面逐项核对。",
        "A picture proves nothing itself. Compare it with the record below, line by line.",
    ),
    VerdictState.UNKNOWN: Headline(
        Tone.CALM,
        "⟳",
        "暂时无法核验",
        "Verification unavailable",
        "与证照真伪无关，请稍后再试。",
        "This says nothing about the certificate. Please try again shortly.",
    ),
    VerdictState.SUPERSEDED: Headline(
        Tone.OVER,
        "↻",
        "已换发新证",
        "Replaced",
        "这一版已被新证替代，请持证人出示最新的证照。",
        "Ask the holder for the current certificate.",
    ),
    VerdictState.VALID: Headline(
        Tone.GOOD,
        "✓",
        "证照有效",
        "Valid",
        "签名完好 · 颁发机构可信 · 当前有效。",
        "Unaltered, issued by a trusted authority, in force today.",
    ),
}

CHECKS = (
    ("intact", "内容完好，未被修改", "Not altered since it was issued"),
    ("trusted", "由本平台为颁发机构签发", "Issued through this hub"),
    ("in_force", "未被暂停、注销或替代", "Not suspended, revoked or replaced"),
    ("within_dates", "在有效期内", "Within its validity period"),
)
ANSWERS = {
    VerdictAnswer.YES: ("✓", "是", "yes"),
    VerdictAnswer.NO: ("✕", "否", "no"),
    VerdictAnswer.UNKNOWN: ("?", "未能核验", "could not be checked"),
}


def headline(verdict: Verdict) -> Headline:
    """The headline of a verdict."""
    shown, copy = verdict.certificate, verdict.copy
    if verdict.state is VerdictState.UNKNOWN and _is_of_file(verdict):
        return _of_file(shown)
    if verdict.state is VerdictState.CODE_EXPIRED and copy is not None:
        return _of_old_copy(copy)
    if shown is not None and verdict.state is shown.state:
        head = _of_certificate(shown, day_of(verdict.checked_at))
        head = _of_picture(head, shown) if verdict.presented is Presented.PICTURE else head
    else:
        head = _FIXED.get(verdict.state, _FIXED[VerdictState.UNKNOWN])
        copy = copy if verdict.state is VerdictState.COMPARE else None
    return (
        head
        if copy is None
        else replace(head, title=f"{head.title}（加注件）", title_en=f"{head.title_en} (annotated copy)")
    )


def _is_of_file(verdict: Verdict) -> bool:
    is_file = verdict.presented in {Presented.PDF, Presented.PICTURE}
    return is_file and problems.DATABASE_UNAVAILABLE not in verdict.problems


def _of_picture(head: Headline, shown: PublicCertificate) -> Headline:
    """The certificate that a picture leads to; the picture itself is not called genuine."""
    head = replace(head, title=f"按登记：{head.title}", title_en=f"On record: {head.title_en}")
    if shown.state is not VerdictState.EXPIRED:
        return head
    line, english = f"已在 {shown.valid_until} 到期，不能再用。", f"It expired on {shown.valid_until}."
    return replace(head, line=line, line_en=english)


def _of_file(shown: PublicCertificate | None) -> Headline:
    """A file that could not be checked; its QR code or credential, if any, leads to a certificate."""
    if shown is None or shown.state is VerdictState.UNKNOWN:
        line = "与证照真伪无关；请扫描证照上的二维码，或者输入它下面的公开码。"
        english = "This says nothing about the certificate. Scan its QR code, or enter the code below it."
        return Headline(Tone.CALM, "?", "文件未能核验", "The file could not be checked", line, english)
    word, word_en = state_words(shown.state, shown.kind)
    line = f"按文件中的二维码或签名数据查到的证照：{word}。文件可能被改过，请逐项核对。"
    english = f"The certificate that it leads to is: {word_en}. The file may have been changed; compare every line."
    return Headline(Tone.CALM, "?", "文件本身不能证明", "The file itself is no proof", line, english)


def _of_old_copy(copy: PublicCopy) -> Headline:
    line = f"这份加注件的使用期限已在 {copy.expires_on} 结束；证照本身的状态见下面。"
    english = f"It could be used until {copy.expires_on}. See the state of the certificate below."
    return Headline(Tone.OVER, "⏱", "加注件已过期", "Copy expired", line, english)


def state_words(state: VerdictState, kind: str | None = None) -> tuple[str, str]:
    """A state in a few words, with its kind."""
    word = (REVOCATION_KINDS | SUSPENSION_KINDS).get(kind or "")
    zh, en = _SHORT[state]
    if word is None:
        return zh, en
    return (f"已{word}" if state is VerdictState.REVOKED else f"{zh}（{word}）"), f"{en} ({KIND_EN[kind or '']})"


_SHORT = {
    VerdictState.TAMPERED: ("内容与签名不一致", "altered"),
    VerdictState.UNTRUSTED: ("不是本平台签发", "not issued here"),
    VerdictState.NOT_FOUND: ("未查到", "not found"),
    VerdictState.CODE_EXPIRED: ("加注件已过期", "copy expired"),
    VerdictState.REVOKED: ("已注销", "revoked"),
    VerdictState.SUPERSEDED: ("已换发新证", "replaced"),
    VerdictState.EXPIRED: ("已过期", "expired"),
    VerdictState.SUSPENDED: ("暂停使用", "suspended"),
    VerdictState.NOT_YET: ("尚未生效", "not yet in force"),
    VerdictState.VALID: ("有效", "valid"),
    VerdictState.COMPARE: ("待核对", "to be compared"),
    VerdictState.UNKNOWN: ("暂时无法核验", "could not be verified"),
}


def _of_certificate(shown: PublicCertificate, today: date) -> Headline:
    if shown.state is VerdictState.REVOKED:
        return _revoked(shown)
    if shown.state is VerdictState.SUSPENDED:
        return _suspended(shown)
    until = shown.valid_until
    if shown.state is VerdictState.EXPIRED:
        line = f"已在 {until} 到期。签名真实，但不能作为有效证照使用。"
        return Headline(
            Tone.OVER, "⏱", "证照已过期", "Expired", line, f"It expired on {until}. It is genuine, but no longer valid."
        )
    if shown.state is VerdictState.NOT_YET:
        line = f"从 {shown.valid_from} 起有效。"
        return Headline(Tone.WARN, "!", "尚未生效", "Not yet in force", line, f"Valid from {shown.valid_from}.")
    if shown.state is VerdictState.SUPERSEDED and shown.since is not None:
        fixed = _FIXED[VerdictState.SUPERSEDED]
        line, english = f"从 {shown.since} 起，{fixed.line}", f"Replaced on {shown.since}. {fixed.line_en}"
        return Headline(fixed.tone, fixed.icon, fixed.title, fixed.title_en, line, english)
    if shown.state is VerdictState.VALID and until is not None and (left := (until - today).days) <= SOON_DAYS:
        line = f"将在 {until} 到期，还剩 {left} 天。"
        english = f"It expires on {until}, in {left} days."
        return Headline(Tone.GOOD, "✓", "证照有效（即将到期）", "Valid, expires soon", line, english)
    return _FIXED[shown.state]


def _revoked(shown: PublicCertificate) -> Headline:
    word = REVOCATION_KINDS.get(shown.kind or "", "注销")
    english = KIND_EN.get(shown.kind or "", "revoked")
    since = "" if shown.since is None else f"于 {shown.since} 生效，"
    since_en = "" if shown.since is None else f" on {shown.since}"
    line = f"{word}{since}不能再使用。"
    title_en = english[:1].upper() + english[1:]
    return Headline(Tone.BAD, "✕", f"证照已{word}", title_en, line, f"Permanently revoked{since_en}.")


def _suspended(shown: PublicCertificate) -> Headline:
    word = SUSPENSION_KINDS.get(shown.kind or "", "其他")
    english = KIND_EN.get(shown.kind or "", "other")
    since = "" if shown.since is None else f"，从 {shown.since} 起"
    since_en = "" if shown.since is None else f" since {shown.since}"
    line = f"原因类别：{word}{since}；请联系颁发机构。"
    return Headline(
        Tone.WARN, "‖", "证照暂停使用", f"Suspended: {english}", line, f"Not in force{since_en}. Contact the authority."
    )
