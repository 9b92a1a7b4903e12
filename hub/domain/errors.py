"""The complete list of error codes; every refusal has one, and codes are stable.

A `Refusal` is an answer, not a fault: rules and services raise it, and only `hub.web.problems` maps it to an HTTP
status. Texts never repeat input, because it may be personal data.
"""

import re
from dataclasses import dataclass

# Member names without personal data: ASCII, short, without digit runs that could be an identity number.
_WORD = re.compile(r"(?!.*[0-9]{6})[A-Za-z_$@][A-Za-z0-9_$@.:/~-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One problem in a request body: JSON pointer (RFC 6901), stable code, and what to do."""

    pointer: str
    code: str
    message: str
    message_en: str = ""


def pointer(location: tuple[int | str, ...]) -> str:
    """A JSON pointer (RFC 6901), as long as all its names are plain words.

    An unknown member's name may contain personal data: then the pointer ends at the object that contains it.
    """
    found = ""
    for part in location:
        if isinstance(part, str) and not _WORD.fullmatch(part):
            break
        found += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return found


class Refusal(Exception):  # noqa: N818 (a refusal is not an error of the program)
    """The request was understood and is refused; `code` is one of `TITLES`.

    detail: an extra sentence without personal data. errors: the places in the body. retry_after: seconds.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        pointer: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.retry_after = retry_after
        if pointer is not None and not errors:
            title, title_en = TITLES[code]
            errors = (FieldError(pointer, code, detail or title, title_en),)
        self.errors = errors


TITLES: dict[str, tuple[str, str]] = {
    "auth.missing": ("缺少访问令牌，请先从 /oauth/token 取得", "No access token; get one from /oauth/token"),
    "auth.invalid": ("访问令牌或签名断言无效", "The access token or assertion is invalid"),
    "auth.expired": ("访问令牌已过期，请重新取得", "The access token has expired; get a new one"),
    "auth.replayed": (
        "这个签名断言已经用过，每次请求都要换新的 jti",
        "The assertion was already used; use a new jti for every request",
    ),
    "auth.clock_skew": (
        "本机时间与服务器相差太大，请用 NTP 校准",
        "Clock skew too large; synchronise your clock (NTP)",
    ),
    "perm.scope": ("此账号没有这项操作的权限", "This client lacks the scope for this operation"),
    "perm.clerk": (
        "窗口人员未登记、已停用，或不属于该办件的机构",
        "The clerk is not registered with an authority of this case",
    ),
    "perm.case_required": (
        "需要一个由本机构办理或受理的办件，请先推送办件",
        "A case that your authority decides or accepted is required",
    ),
    "perm.case_not_open": ("办件已办结，或已超过办理期限", "The case is closed or too old"),
    "perm.intake": ("这个机构不收这个事项的办件", "This authority may not take in cases of this matter"),
    "perm.holder_not_in_case": ("此人不是该办件的当事人", "The case does not name this person"),
    "perm.type_not_in_matter": ("该事项不需要此类证照", "The matter does not require this certificate type"),
    "perm.not_issuer": ("只有颁发机构才能这样操作", "Only the issuing authority may do this"),
    "case.not_found": ("没有查到这个办件", "Case not found"),
    "certificate.not_found": ("没有查到这张证照", "Certificate not found"),
    "page.not_found": ("没有这个地址，请核对", "Not found; check the address"),
    "method.not_allowed": ("此地址不支持这种请求方法", "Method not allowed"),
    "case.conflict": (
        "该办件已推送过不同的内容，如需更正请提高 amendment",
        "This case was already pushed with different content",
    ),
    "case.stale": ("已有更新的更正，请先查询办件", "A later amendment is already on record"),
    "number.taken": ("这个证照编号已被另一张证照使用", "Another certificate already has this number"),
    "certificate.move": ("证照当前的状态不允许此操作", "The certificate's state does not allow this operation"),
    "certificate.not_active": (
        "该事项不接受处于当前状态的证照",
        "The matter does not accept a certificate in this state",
    ),
    "upload.too_large": ("请求内容过大", "The request body is too large"),
    "upload.timeout": ("请求内容没有在时限内传完，请重试", "The request body did not arrive in time"),
    "schema.invalid": ("请求内容不符合要求，请按 errors 逐项修改", "The request is invalid; see errors"),
    "id.length": ("证件号码的位数或格式不对", "The identity number has the wrong length or format"),
    "id.checksum": (
        "证件号码校验位不对，请对照证件逐位核对",
        "The check character of the identity number is wrong",
    ),
    "uscc.checksum": (
        "统一社会信用代码校验位不对（代码里没有字母 I O S V Z）",
        "The check character of the USCC is wrong",
    ),
    "matter.unknown": ("没有这个事项，请查 /api/v1/matters", "Unknown matter; see /api/v1/matters"),
    "type.unknown": (
        "没有这个证照类型或模板版本，请查 /api/v1/types",
        "Unknown certificate type or edition; see /api/v1/types",
    ),
    "type.not_in_matter": ("该事项不产生此类证照", "The matter does not yield this certificate type"),
    "date.order": ("日期的先后顺序不对", "The dates are in the wrong order"),
    "date.future": ("日期或时间晚于现在", "The date or time is in the future"),
    "glyph.missing": ("有版式文件字库里没有的字，请换一种写法", "The document font lacks a character"),
    "upload.unreadable": ("内容无法读取", "The content cannot be read"),
    "rate.limited": ("请求次数或查询人数超过限额，请稍后再试", "Too many requests, or too many people today"),
    "internal": (
        "系统出错，操作没有完成；报修时请提供 request_id",
        "Internal error; quote the request_id when you report it",
    ),
    "index.unavailable": ("目录暂时不可用，请稍后再试", "The directory is unavailable; retry shortly"),
    "sign.unavailable": ("签章服务暂时不可用，请稍后再试", "Signing is unavailable; retry shortly"),
    "database.unavailable": ("数据库暂时不可用，请稍后再试", "The database is unavailable; retry shortly"),
    "storage.full": ("存储空间不足，操作没有完成", "Storage is full; nothing was changed"),
}
