"""The catalogue of an invented city: its districts and departments, and the certificates that they issue.

Region codes are GB/T 2260; organisation codes are from a range that was never assigned (`MB9Y`).
"""

from dataclasses import dataclass
from typing import Any

from hub.domain.numbers import uscc_check_character

REGIONS = {
    "350100": "福州市",
    "350102": "福州市鼓楼区",
    "350103": "福州市台江区",
    "350104": "福州市仓山区",
    "350105": "福州市马尾区",
    "350111": "福州市晋安区",
    "350112": "福州市长乐区",
    "350121": "闽侯县",
    "350122": "连江县",
    "350123": "罗源县",
    "350124": "闽清县",
    "350125": "永泰县",
    "350181": "福清市",
}
WEIGHTS = (30, 12, 9, 14, 4, 10, 9, 9, 6, 2, 3, 3, 13)
"""How the city's certificates are distributed over its regions."""

DEPARTMENTS = (
    "公安局",
    "市场监督管理局",
    "民政局",
    "自然资源和规划局",
    "卫生健康局",
    "人力资源和社会保障局",
    "教育局",
    "交通运输局",
    "住房和城乡建设局",
    "应急管理局",
    "农业农村局",
    "文化和旅游局",
)

SEX = [{"code": "1", "label": "男"}, {"code": "2", "label": "女"}]


def _field(name: str, label: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "label": label, "type": kind, "required": True, **more}


FIELDS: dict[str, list[dict[str, Any]]] = {
    "identity": [
        _field("sex", "性别", "code", codes=SEX),
        _field("birth_date", "出生日期", "date"),
        _field("address", "住址", max_length=100),
        _field("organ", "签发机关", max_length=50, masked=False),
    ],
    "qualification": [
        _field("speciality", "专业", max_length=60, masked=False),
        _field("grade", "等级", max_length=20, masked=False),
        _field("hours", "学时", "integer"),
        _field("approved_on", "批准日期", "date"),
    ],
    "proof": [
        _field("purpose", "用途", max_length=60),
        _field("period_from", "起始日期", "date"),
        _field("period_to", "截止日期", "date"),
        _field("conclusion", "结论", max_length=200),
    ],
    "property": [
        _field("location", "坐落", max_length=120),
        _field("right", "权利类型", max_length=40, masked=False),
        _field("use", "用途", max_length=40, masked=False),
        _field("area", "面积", "decimal"),
        _field("term", "使用期限", max_length=60),
    ],
    "company": [
        _field("entity_type", "类型", max_length=60, masked=False),
        _field("representative", "负责人", max_length=50, masked=False),
        _field("capital", "注册资本", max_length=40, masked=False),
        _field("established_on", "成立日期", "date", masked=False),
        _field("address", "住所", max_length=120, masked=False),
        _field("scope", "经营范围", max_length=1000, masked=False),
    ],
    "permit": [
        _field("representative", "负责人", max_length=50, masked=False),
        _field("premises", "地址", max_length=120, masked=False),
        _field("items", "许可项目", max_length=200, masked=False),
        _field("organ", "监管机构", max_length=60, masked=False),
    ],
}

# department, name, form, years of validity (0: unlimited), weight; * marks those with the holder's own number
_PEOPLE = """
0 居民身份证* identity 20 100|0 居民户口簿 identity 0 60|0 机动车驾驶证* identity 10 60|0 居住证* identity 1 20
0 无犯罪记录证明 proof 0 25|0 户籍证明 proof 0 12|0 出入境记录证明 proof 0 6|2 结婚证 identity 0 30|2 离婚证 identity 0 9
2 最低生活保障证 identity 1 5|2 婚姻登记记录证明 proof 0 8|2 殡葬证明 proof 0 4|3 不动产权证书 property 0 45
3 不动产登记证明 property 0 20|3 无房证明 proof 0 14|4 出生医学证明 identity 0 18|4 医师执业证书 qualification 0 4
4 护士执业证书 qualification 5 5|4 健康证明 proof 1 24|4 独生子女父母光荣证 identity 0 5|5 社会保障卡* identity 10 55
5 社会保险参保证明 proof 0 30|5 职业资格证书 qualification 0 10|5 专业技术职务任职资格证书 qualification 0 8
5 失业登记证明 proof 1 6|5 退休证* identity 0 8|6 教师资格证书 qualification 0 7|6 学历证明 proof 0 10
6 普通话水平测试等级证书 qualification 0 8|7 道路运输从业人员从业资格证 qualification 6 6|7 网络预约出租汽车驾驶员证 qualification 3 3
7 船员适任证书 qualification 5 1|8 建造师注册证书 qualification 3 3|8 公租房保障资格证明 proof 1 3
9 特种作业操作证 qualification 6 7|9 安全生产知识考核合格证 qualification 3 4|10 兽医执业资格证书 qualification 0 1
10 农村土地承包经营权证 property 30 6|11 导游证 qualification 3 2|11 非物质文化遗产传承人证书 qualification 0 1
"""
_BODIES = """
1 营业执照 company 0 90|1 食品经营许可证 permit 5 40|1 药品经营许可证 permit 5 5|1 医疗器械经营许可证 permit 5 4
1 食品生产许可证 permit 5 3|1 特种设备使用登记证 permit 0 8|1 小餐饮登记证 permit 3 8|1 计量标准考核证书 permit 5 1
0 特种行业许可证 permit 0 3|0 大型群众性活动安全许可决定书 permit 1 1|0 保安服务许可证 permit 0 1|2 社会团体法人登记证书 company 5 2
2 民办非企业单位登记证书 company 5 2|2 养老机构备案回执 permit 0 1|3 建设用地规划许可证 property 0 2
3 建设工程规划许可证 property 0 3|3 不动产权证书(单位) property 40 6|4 医疗机构执业许可证 permit 15 3
4 公共场所卫生许可证 permit 4 9|4 放射诊疗许可证 permit 0 1|5 劳务派遣经营许可证 permit 3 1|5 人力资源服务许可证 permit 5 1
6 民办学校办学许可证 permit 5 2|6 校车使用许可 permit 1 1|7 道路运输经营许可证 permit 4 6|7 道路运输证 permit 0 12
7 港口经营许可证 permit 3 1|8 建筑业企业资质证书 permit 5 3|8 安全生产许可证 permit 3 3|8 建筑工程施工许可证 permit 0 4
8 商品房预售许可证 property 0 1|9 危险化学品经营许可证 permit 3 1|9 烟花爆竹经营许可证 permit 3 1|10 农药经营许可证 permit 5 1
10 动物防疫条件合格证 permit 0 1|10 水域滩涂养殖证 property 20 1|11 娱乐经营许可证 permit 2 1|11 出版物经营许可证 permit 6 1
11 旅行社业务经营许可证 permit 0 1|11 网络文化经营许可证 permit 3 1
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of certificate: issued by whom, to whom, for how long (years, 0: unlimited), and how often."""

    code: str
    name: str
    form: str
    department: int
    years: int
    weight: int
    for_bodies: bool
    has_own_number: bool


def body_code(region: str, number: int) -> str:
    """The code of an authority."""
    first = f"11{region}MB9Y{number:05d}"
    return first + uscc_check_character(first)


AUTHORITIES = {
    (region, department): body_code(region, place * len(DEPARTMENTS) + department)
    for place, region in enumerate(REGIONS)
    for department in range(len(DEPARTMENTS))
}


def _kinds() -> list[Kind]:
    found = []
    for for_bodies, text in ((False, _PEOPLE), (True, _BODIES)):
        for line in text.replace("|", "\n").split("\n"):
            if line:
                department, name, form, years, weight = line.split()
                code = f"{body_code('350000', int(department))}{len(found) + 1:03d}"
                own = name.endswith("*")
                found.append(
                    Kind(code, name.rstrip("*"), form, int(department), int(years), int(weight) * 10, for_bodies, own)
                )
    return found


KINDS = _kinds()
OF_PEOPLE = [kind for kind in KINDS if not kind.for_bodies]
OF_BODIES = [kind for kind in KINDS if kind.for_bodies]
GRANT, SUBSIDY = "SCALE-GRANT", "SCALE-SUBSIDY"
PLATFORM = AUTHORITIES["350100", 1]
ASKED_FOR = [kind.code for kind in sorted(OF_PEOPLE, key=lambda kind: -kind.weight)[:12]]
"""The types required by the matter whose counter does the lookups."""


def catalogue() -> dict[str, Any]:
    """The document for `hub catalogue load`."""
    types = [
        {
            "code": kind.code,
            "name": kind.name,
            "kind": "proof" if kind.form == "proof" else "licence",
            "number_personal": kind.has_own_number,
            "fields": FIELDS[kind.form],
        }
        for kind in KINDS
    ]
    materials = [{"name": code, "of": "applicant", "type_codes": [code]} for code in ASKED_FOR]
    matters = [
        {"code": GRANT, "name": "核发证照", "authority_code": PLATFORM, "yields": [k.code for k in KINDS]},
        {"code": SUBSIDY, "name": "补贴申领", "authority_code": PLATFORM, "materials": materials},
    ]
    authorities = [
        {"code": code, "region": region, "name": REGIONS[region] + DEPARTMENTS[department]}
        for (region, department), code in AUTHORITIES.items()
    ]
    return {"authorities": authorities, "types": types, "matters": matters}
