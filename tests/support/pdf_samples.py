"""Shared samples for the PDF tests: a city's seals, sheets of every kind, a credential and a QR text."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

from PIL import Image

from signing import credential, identifier, public_code, qr, x509
from signing.keys import KeyFolder, PublicKey, Purpose
from signing.pdf.check.finding import Trust
from signing.pdf.draw.rendition import render
from signing.pdf.draw.sheet import Annotation, Field, Kind, Sheet, SheetHolder, Table
from signing.pdf.draw.signature import SealKey

MADE = datetime(2026, 3, 2, 9, 30, tzinfo=UTC).astimezone()
CHECKED = MADE + timedelta(days=3)
DAY = date(2026, 1, 5)
TYPE, AUTHORITY = "11100000000013338W011", "11430000006122244L"
NAME = "福州市市场监督管理局"
CITY = "福州市电子证照共享平台"
RARE = "𬭊"  # U+2CB4A, extension E: beyond 16 bits


@dataclass(frozen=True)
class City:
    """One hub's keys; the caller chooses the validity of the seal certificate."""

    folder: KeyFolder
    root: PublicKey
    issuing: PublicKey
    root_der: bytes
    issuing_der: bytes

    def seal(self, name: str = NAME, code: str = AUTHORITY, start: datetime = MADE, days: int = 700) -> SealKey:
        key = self.folder.generate(Purpose.DOCUMENT, authority=code)
        validity = x509.Validity(start - timedelta(days=30), start + timedelta(days=days))
        der = x509.build_document(
            self.folder,
            self.issuing,
            self.issuing_der,
            key,
            authority_name=name,
            validity=validity,
            crl_url="http://127.0.0.1:8080/x509/issuing.crl",
        )
        return SealKey(self.folder, key, (der, self.issuing_der, self.root_der))

    def crls(self, *revoked: x509.Revoked, at: datetime = CHECKED) -> tuple[bytes, bytes]:
        week = x509.Validity(at - timedelta(days=1), at + timedelta(days=6))
        return (
            x509.build_crl(self.folder, self.root, self.root_der, number=1, validity=week, revoked=[]),
            x509.build_crl(self.folder, self.issuing, self.issuing_der, number=1, validity=week, revoked=revoked),
        )

    def trust(self, *revoked: x509.Revoked, at: datetime = CHECKED) -> Trust:
        return Trust((self.root_der,), (self.issuing_der,), self.crls(*revoked, at=at))


def new_city(name: str = CITY) -> City:
    folder = KeyFolder(Path(mkdtemp()), b"x")
    root, issuing = folder.generate(Purpose.ROOT), folder.generate(Purpose.ISSUING)
    validity = x509.Validity(MADE - timedelta(days=3650), MADE + timedelta(days=3650))
    root_der = x509.build_root(folder, root, name, validity)
    issuing_der = x509.build_issuing(
        folder, root, root_der, issuing, name=name, validity=validity, crl_url="http://127.0.0.1:8080/x509/root.crl"
    )
    return City(folder, root, issuing, root_der, issuing_der)


@cache
def city() -> City:
    return new_city()


@cache
def seal() -> SealKey:
    return city().seal()


@cache
def printed() -> tuple[str, str, str, str]:
    """Identifier, public code, QR text and credential of one certificate, signed by a key of the city."""
    folder = city().folder
    key = folder.generate(Purpose.CREDENTIAL)
    ident = identifier.build(TYPE, AUTHORITY, identifier.new_serial(), 1)
    holder = credential.Holder("福州湾畔农村商业银行股份有限公司", "001", "91990100MA9G0D37XE")
    fields: dict[str, credential.JSON] = {f"field_{place}": "福州市台江区江滨里1号" for place in range(8)}
    claims = credential.Claims(
        "http://127.0.0.1:8080", TYPE, 1, 1_767_225_600, ident, 1, AUTHORITY, DAY, DAY, None, "issued", 0, 77,
        holder.id_number, (holder,), fields,
    )  # fmt: skip
    prepared = credential.prepare(claims, key.kid)
    text = credential.assemble(prepared, folder.sign(key.kid, Purpose.CREDENTIAL, prepared.signing_input))
    code = public_code.new_code()
    face = qr.prepare(qr.Face(ident, "9199**********37XE", (holder.name,), DAY, DAY, None, 0, 77), code, key.kid)
    digits = qr.assemble(face, folder.sign(key.kid, Purpose.CREDENTIAL, face.to_be_signed))
    return ident, code, qr.text("http://127.0.0.1:8080", code, digits), text


def licence() -> Sheet:
    ident, code, text, _ = printed()
    return Sheet(
        kind=Kind.LICENCE,
        type_code=TYPE,
        title="营业执照",
        title_en="Business licence",
        authority=NAME,
        authority_en="Fuzhou Administration for Market Regulation",
        identifier=ident,
        code=code,
        qr_text=text,
        number="91990100MA9G0D37XE",
        holders=(SheetHolder("福州湾畔农村商业银行股份有限公司", "统一社会信用代码", "91990100MA9G0D37XE"),),
        fields=(
            Field("类型", "Type", "股份有限公司(非上市)"),
            Field("法定代表人", "Legal representative", f"欧阳{RARE}川"),
            Field("注册资本", "Registered capital", "壹拾亿圆整"),
            Field("成立日期", "Established on", "2012年5月28日"),
            Field("住所", "Address", "福州市台江区江滨里1号"),
            Field(
                "经营范围",
                "Business scope",
                "吸收公众存款;发放短期、中期和长期贷款;办理国内结算;办理票据承兑与贴现;代理发行、代理兑付、承销政府债券;"
                "经银行业监督管理机构批准的其他业务。(依法须经批准的项目,经相关部门批准后方可开展经营活动)",
            ),
        ),
        issued_on=DAY,
        valid_from=DAY,
        valid_until=None,
        seal=NAME,
    )


def approval() -> Sheet:
    return replace(
        licence(),
        kind=Kind.APPROVAL,
        type_code="11350000MB9G00191W004",
        title="大型群众性活动安全许可决定书",
        title_en="Public safety approval for a large event",
        authority="福州市公安局",
        authority_en="Fuzhou Public Security Bureau",
        number="榕公许〔2026〕第0137号",
        fields=(
            Field("活动名称", "Event", "2026年闽江之夜音乐会"),
            Field("参加人数", "Participants", "8000"),
            Field("许可内容", "Decision", "经审查,该活动符合《大型群众性活动安全管理条例》规定的条件,准予举办。"),
        ),
        valid_until=date(2026, 10, 4),
        seal="福州市公安局",
    )


def proof() -> Sheet:
    return replace(
        licence(),
        kind=Kind.PROOF,
        type_code="11350000MB9G00191W003",
        title="无犯罪记录证明",
        title_en="Certificate of no criminal record",
        number="鼓公证〔2026〕00421号",
        holders=(SheetHolder("林小满", "公民身份号码", "35010219900307283X"),),
        fields=(Field("用途", "Purpose", "入职"), Field("查询结论", "Finding", "未发现该人有犯罪记录。")),
        valid_until=date(2027, 2, 1),
    )


def estate(units: int = 23) -> Sheet:
    rows = tuple(
        (f"福州市鼓楼区榕荫路{n}号{n}座10{n}室", f"350112001001GB00112F0002{n:04}", "成套住宅", f"46.{n:02}")
        for n in range(1, units + 1)
    )
    columns = (("坐落", "Location"), ("不动产单元号", "Unit number"), ("用途", "Use"), ("面积(㎡)", "Area"))
    return replace(
        licence(),
        type_code="11100000MB03271699001",
        title="不动产权证书",
        title_en="Real estate title certificate",
        number="闽(2016)福州市不动产权第9000275号",
        holders=(
            SheetHolder("高听泉", "公民身份号码", "990102196309080577"),
            SheetHolder(f"欧阳{RARE}川", "公民身份号码", "990103198012124132"),
        ),
        fields=(
            Field("共有情况", "Co-ownership", "按份共有"),
            Field("权利类型", "Kind of right", "国有建设用地使用权/房屋所有权"),
            Field("不动产单元", "Units", Table(columns, rows)),
        ),
    )


def driver() -> Sheet:
    picture = BytesIO()
    Image.linear_gradient("L").resize((350, 490)).convert("RGB").save(picture, "JPEG")
    return replace(
        licence(),
        type_code="11350000MB9G00191W001",
        title="机动车驾驶证",
        title_en="Driving licence",
        authority="福建省福州市公安局交通警察支队车辆管理所",
        authority_en="Vehicle Administration Office, Traffic Police Detachment, Fuzhou Public Security Bureau",
        number="990102196309080577",
        holders=(SheetHolder("古丽巴哈尔·阿卜杜热伊木·买买提艾力", "公民身份号码", "990102196309080577"),),
        fields=(
            Field("性别", "Sex", "女"),
            Field("出生日期", "Date of birth", "1963年9月8日"),
            Field("住址", "Address", "福建省福州市鼓楼区东街街道军门社区榕荫路7号2座101室"),
            Field("准驾车型", "Vehicle class", "C1E"),
            Field("记录", "Remarks", ""),
        ),
        valid_until=date(2032, 1, 5),
        seal="福建省福州市公安局交通警察支队车辆管理所",
        photo=picture.getvalue(),
    )


SHEETS = {"licence": licence, "approval": approval, "proof": proof, "estate": estate, "driver": driver}


def note() -> Annotation:
    return Annotation(
        receipt_number="YZ20260302-000317",
        authority="福州市不动产登记和交易中心",
        clerk="王小谷(工号 0137)",
        case_number="FZBDC-2026-0302-0031",
        matter="不动产转移登记",
        purpose="核验转让方身份与权属",
        made_at=MADE,
        expires_on=date(2026, 4, 1),
    )


@cache
def sealed(name: str) -> bytes:
    return render(SHEETS[name](), printed()[3], seal(), MADE)
