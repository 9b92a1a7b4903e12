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

FILE_IMAGE = "file.image"
FILE_SEVERAL_CODES = "file.several_codes"
FILE_PARTS_DIFFER = "file.parts_differ"
FILE_WITHOUT_CREDENTIAL = "file.no_credential"
SEAL_OF_ANOTHER = "file.other_authority"
NO_CODE = "upload.no_code"
UNSIGNED = "pdf.unsigned"
CHECKER_FAILED = "pdf.checker_failed"

MEANINGS: dict[str, tuple[str, str]] = {
    HOST_FOREIGN: ("网址不属于本平台", "The address was never ours"),
    CODE_MALFORMED: ("不是 16 位公开码", "Not a public code of 16 characters"),
    CODE_UNKNOWN: ("没有登记此公开码", "This code is not on record"),
    ISSUER_FOREIGN: ("签发平台不是本平台", "Issued by another platform"),
    KEY_UNKNOWN: ("签名密钥不是本平台的", "The signing key was never ours"),
    SIGNATURE_WRONG: ("签名与内容不符", "The signature does not fit the content"),
    NOT_AS_ISSUED: ("与平台登记的签发内容不同", "Not what was issued under this number"),
    RECORD_MISSING: ("签名属实，但平台没有登记，无法得知是否有效", "Signed by us, but not on record"),
    RECORD_DAMAGED: ("平台登记与其签名不符，平台须自查", "The platform's own record does not fit its signature"),
    RECORD_UNREADABLE: ("平台登记暂时无法读取", "The platform's record cannot be read now"),
    DATABASE_UNAVAILABLE: ("数据库暂不可用", "The database is not available now"),
    FILE_IMAGE: (
        "照片或扫描件：核验的是其中的二维码，请与纸面内容核对",
        "A photo or scan: its QR code was verified, compare what is printed",
    ),
    FILE_SEVERAL_CODES: ("文件中有多个不同的二维码，请逐个核验", "Several different QR codes: check them one by one"),
    FILE_PARTS_DIFFER: ("文件的二维码与所附凭证不是同一证照", "Its QR code and its credential are of two certificates"),
    FILE_WITHOUT_CREDENTIAL: ("文件没有可读取的凭证", "There is no credential in it that can be read"),
    SEAL_OF_ANOTHER: ("签章不是该证照颁发机构的", "The seal is not that of the issuing authority"),
    NO_CODE: ("没有找到本平台的二维码", "No QR code of ours was found"),
    UNSIGNED: ("文件没有签章，只有其中的二维码可以核验", "No seal in it: only its QR code can be verified"),
    "upload.unreadable": ("不是可以读取的 PDF、JPEG 或 PNG 文件", "Not a PDF, JPEG or PNG that can be read"),
    "upload.too_large": ("文件过大", "The file is too large"),
    "pdf.changed": ("盖章后文件内容被改动", "Changed after it was sealed"),
    "pdf.appended": ("盖章后文件被追加内容", "Something was added after it was sealed"),
    "pdf.truncated": ("文件不完整，后部缺失", "Its end is missing"),
    "pdf.several_signatures": (
        "文件有多个签名，不是签发时的样子",
        "It has several signatures, and was issued with one",
    ),
    "pdf.untrusted_signer": ("签章证书不是本平台颁发的", "The seal's X.509 certificate does not lead to our roots"),
    "pdf.signer_revoked": ("签章证书已被吊销", "The seal's X.509 certificate was revoked"),
    "pdf.signer_expired": ("签章证书已到期，无法确认盖章时间", "The seal's X.509 certificate has ended"),
    "pdf.revocation_unknown": ("暂时无法确认签章证书是否被吊销", "Whether the seal was revoked cannot be known now"),
    "pdf.encrypted": ("文件已加密，无法检查签章", "It is encrypted: its seal cannot be checked"),
    "pdf.too_complex": ("文件过于复杂，未能检查", "Too complex to be checked"),
    "pdf.too_many_pages": ("文件页数过多，只看了前几页", "Too many pages: only the first ones were looked at"),
    "pdf.damaged": ("文件结构损坏，无法检查签章", "Damaged: its seal cannot be checked"),
    "pdf.deadline": ("检查未在时限内完成", "Checking took too long"),
    CHECKER_FAILED: ("文件检查程序未能完成", "The program that reads files did not finish"),
    "pdf.checker_busy": ("文件检查程序正忙", "The program that reads files is busy"),
}


def meaning(code: str) -> tuple[str, str]:
    """What a problem means, Chinese and English; one sentence for everything that a format's reader refuses."""
    return MEANINGS.get(code, ("内容不符合规定的格式", "It does not have the prescribed form"))
