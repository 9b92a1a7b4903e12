"""The problems found by the hub itself; format readers add their own (`qr.*`, `credential.*`, docs/formats.md)."""

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
    HOST_FOREIGN: ("网址不属于本平台", "The address is not ours"),
    CODE_MALFORMED: ("不是 16 位公开码", "Not a public code of 16 characters"),
    CODE_UNKNOWN: ("没有登记此公开码", "This code is not on record"),
    ISSUER_FOREIGN: ("签发平台不是本平台", "Not issued by this hub"),
    KEY_UNKNOWN: ("签名密钥不是本平台的", "The signing key is not ours"),
    SIGNATURE_WRONG: ("签名和内容对不上", "The signature does not match the content"),
    NOT_AS_ISSUED: ("和平台登记的签发内容不同", "Different from what was issued under this identifier"),
    RECORD_MISSING: ("签名是真的，但平台没有登记，无法知道是否有效", "Signed by us, but not on record"),
    RECORD_DAMAGED: ("平台登记和它的签名不符，平台要自查", "Our own record does not match its signature"),
    RECORD_UNREADABLE: ("平台登记暂时读不出来", "Our record cannot be read at the moment"),
    DATABASE_UNAVAILABLE: ("数据库暂时不可用", "The database is unavailable at the moment"),
    FILE_IMAGE: (
        "图片不能自证：只核验了其中的二维码，图片上的内容请逐项核对",
        "A picture is no proof: only its QR code was verified; compare every line",
    ),
    FILE_SEVERAL_CODES: ("文件中有多个不同的二维码，请逐个核验", "Several different QR codes; verify them one by one"),
    FILE_PARTS_DIFFER: (
        "文件的二维码和签名数据不是同一张证照",
        "The QR code and the credential belong to different certificates",
    ),
    FILE_WITHOUT_CREDENTIAL: ("文件里没有能读取的签名数据", "No readable credential in the file"),
    SEAL_OF_ANOTHER: ("签章不是该证照颁发机构的", "The seal does not belong to the issuing authority"),
    NO_CODE: ("没有找到本平台的二维码", "No QR code of this hub was found"),
    UNSIGNED: ("文件没有签章，只有其中的二维码可以核验", "The file has no seal; only its QR code can be verified"),
    "upload.unreadable": ("不是能读取的 PDF、JPEG 或 PNG 文件", "Not a readable PDF, JPEG or PNG file"),
    "upload.too_large": ("文件过大", "The file is too large"),
    "pdf.changed": ("盖章后文件内容被改动", "Changed after sealing"),
    "pdf.appended": ("盖章后文件被追加内容", "Content was appended after sealing"),
    "pdf.truncated": ("文件不完整，后部缺失", "The end of the file is missing"),
    "pdf.several_signatures": (
        "文件有多个签名，不是签发时的样子",
        "Several signatures; it was issued with one",
    ),
    "pdf.untrusted_signer": ("签章证书不是本平台颁发的", "The seal's X.509 certificate was not issued by this hub"),
    "pdf.signer_revoked": ("签章证书已被吊销", "The seal's X.509 certificate is revoked"),
    "pdf.signer_expired": (
        "签章证书已到期，无法确认盖章时间",
        "The seal's X.509 certificate has expired; the time of sealing cannot be confirmed",
    ),
    "pdf.revocation_unknown": (
        "暂时无法确认签章证书是否被吊销",
        "The revocation status of the seal cannot be determined at the moment",
    ),
    "pdf.encrypted": ("文件已加密，无法检查签章", "The file is encrypted; its seal cannot be checked"),
    "pdf.too_complex": ("文件太复杂，没能检查", "The file is too complex to be checked"),
    "pdf.too_many_pages": ("文件页数太多，只看了前几页", "Too many pages; only the first ones were examined"),
    "pdf.damaged": ("文件结构损坏，无法检查签章", "The file is damaged; its seal cannot be checked"),
    "pdf.deadline": ("检查未在时限内完成", "Checking took too long"),
    CHECKER_FAILED: ("文件检查程序未能完成", "The file checker failed"),
    "pdf.checker_busy": ("文件检查程序正忙", "The file checker is busy"),
}


def meaning(code: str) -> tuple[str, str]:
    """The meaning of a problem in Chinese and English; format errors share one sentence."""
    return MEANINGS.get(code, ("内容的格式不对", "The content does not have the prescribed format"))
