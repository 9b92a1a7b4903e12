"""Every problem that the hub itself finds; readers of formats add theirs (`qr.*`, `credential.*`, docs/formats.md)."""

HOST_FOREIGN = "host.foreign"
CODE_MALFORMED = "code.malformed"
CODE_UNKNOWN = "code.unknown"
ISSUER_FOREIGN = "issuer.foreign"
KEY_UNKNOWN = "key.unknown"
SIGNATURE_WRONG = "signature.wrong"
NOT_AS_ISSUED = "record.differs"
RECORD_MISSING = "record.missing"
RECORD_DAMAGED = "record.damaged"
RECORD_UNREADABLE = "record.unreadable"
DATABASE_UNAVAILABLE = "database.unavailable"

MEANINGS: dict[str, tuple[str, str]] = {
    HOST_FOREIGN: ("网址不属于本平台", "The address was never ours"),
    CODE_MALFORMED: ("不是 16 位公开码", "Not a public code of 16 characters"),
    CODE_UNKNOWN: ("没有登记此公开码", "This code is not on record"),
    ISSUER_FOREIGN: ("签发平台不是本平台", "Issued by another platform"),
    KEY_UNKNOWN: ("签名密钥不是本平台的", "The signing key was never ours"),
    SIGNATURE_WRONG: ("签名与内容不符", "The signature does not fit the content"),
    NOT_AS_ISSUED: ("与平台登记的签发内容不同", "Not what was issued under this number"),
    RECORD_MISSING: ("签名属实,但平台没有登记,无法得知是否有效", "Signed by us, but not on record"),
    RECORD_DAMAGED: ("平台登记与其签名不符,平台须自查", "The platform's own record does not fit its signature"),
    RECORD_UNREADABLE: ("平台登记暂时无法读取", "The platform's record cannot be read now"),
    DATABASE_UNAVAILABLE: ("数据库暂不可用", "The database is not available now"),
}


def meaning(code: str) -> tuple[str, str]:
    """What a problem means, Chinese and English; one sentence for everything that a format's reader refuses."""
    return MEANINGS.get(code, ("内容不符合规定的格式", "It does not have the prescribed form"))
