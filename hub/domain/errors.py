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
    "auth.missing": ("缺少访问令牌,请先从 /oauth/token 取得", "No access token: get one from /oauth/token"),
    "auth.invalid": ("访问令牌或签名断言无效", "The access token or assertion is not valid"),
    "auth.expired": ("访问令牌已过期,请重新取得", "The access token has expired: get a new one"),
    "auth.replayed": (
        "签名断言已使用过,每次请求须用新的 jti",
        "The assertion was used before: use a new jti each time",
    ),
    "auth.clock_skew": ("本机时间与服务器相差过大,请校准", "The clocks differ too much: set yours"),
    "perm.scope": ("此账号没有该操作的权限范围", "This client does not have the scope for this operation"),
    "perm.clerk": (
        "窗口人员未登记、已停用或不属于该办件的机构",
        "The clerk is not registered for an authority of this case",
    ),
    "perm.case_required": (
        "需要一个由本机构办理或受理的办件",
        "A case that your authority decides or took in is required",
    ),
    "perm.case_not_open": ("办件已办结或已超过办理期限", "The case has ended or is too old"),
    "perm.holder_not_in_case": ("此人不是该办件的当事人", "This person is not named in the case"),
    "perm.type_not_in_matter": ("该事项不需要此类证照", "The matter does not need this certificate type"),
    "perm.not_issuer": ("只有颁发机构可以这样做", "Only the issuing authority may do this"),
    "case.not_found": ("未找到此办件", "No such case"),
    "certificate.not_found": ("未查到此证照", "No such certificate"),
    "page.not_found": ("没有这个地址,请核对", "There is nothing at this address"),
    "method.not_allowed": ("此地址不支持该请求方法", "This address does not answer that method"),
    "case.conflict": ("同一办件已有不同的内容", "The case already has another content"),
    "case.stale": ("此更正次数低于已登记的更正次数", "A later amendment is already on record"),
    "number.taken": ("该证照编号已被另一证照使用", "Another certificate already has this number"),
    "certificate.move": ("证照当前状态不允许此操作", "The certificate's state does not allow this"),
    "certificate.not_active": (
        "证照当前状态不被该事项接受",
        "The matter does not accept the certificate in this state",
    ),
    "upload.too_large": ("请求内容过大", "The request body is too large"),
    "upload.timeout": ("请求内容未在时限内到达", "The request body did not arrive in time"),
    "schema.invalid": ("请求内容不符合要求,请按 errors 逐项修改", "The request body is not valid: see errors"),
    "id.length": ("证件号码长度不符", "The identity number has the wrong length or form"),
    "id.checksum": ("证件号码校验位不符,请对照证件逐位核对", "The identity number's check character is wrong"),
    "uscc.checksum": ("统一社会信用代码校验位不符(没有字母 I O S V Z)", "The USCC's check character is wrong"),
    "matter.unknown": ("没有这个事项,请查 /api/v1/matters", "No such matter: see /api/v1/matters"),
    "type.unknown": ("没有这个证照类型或模板版本,请查 /api/v1/types", "No such certificate type or edition"),
    "type.not_in_matter": ("该事项不产生此类证照", "The matter does not yield this certificate type"),
    "date.order": ("日期先后不符", "The dates are in the wrong order"),
    "date.future": ("日期或时间晚于现在", "The date or time is in the future"),
    "glyph.missing": ("含有版式文件字库没有的字", "A character is missing from the document font"),
    "upload.unreadable": ("内容无法读取", "The content cannot be read"),
    "rate.limited": ("请求或查询人数超过限额,请稍后再试", "Too many requests or too many people today"),
    "internal": ("系统出现问题,操作未完成;报修时请提供 request_id", "Something failed here; quote request_id"),
    "index.unavailable": ("目录暂不可用", "The directory is not available"),
    "sign.unavailable": ("签章服务暂不可用,稍后重试", "Signing is not available: try again shortly"),
    "database.unavailable": ("数据库暂不可用,稍后重试", "The database is not available: try again shortly"),
    "storage.full": ("存储空间不足,操作未完成", "Storage is full: nothing was done"),
}
