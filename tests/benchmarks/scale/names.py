"""Names, numbers and addresses of people and organisations that do not exist: region 99 was never assigned."""

import random
from datetime import date, timedelta

from hub.domain.case import Person
from hub.domain.numbers import citizen_check_character, uscc_check_character
from tests.benchmarks.scale.city import REGIONS, WEIGHTS

_SURNAMES = "陈林黄郑王张李吴刘蔡杨许谢苏叶江何庄曾潘洪翁余邱游徐周赖廖罗郭高朱魏卢詹薛施柯方程肖邓温范姚傅汤阮欧阳"
_GIVEN = (
    "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉玲红建国华志健宇轩子涵梓欣怡浩然雨晨思琪佳慧鑫婷婷雪梅"
    "海燕春生金水木火土成龙凤仪安康福禄寿喜乐永顺德义仁信诚达通远长青松柏山川河江湖云星月阳光"
)
_LONG = ("阿依古丽·买买提", "古丽巴哈尔·阿布都热合曼", "迪丽努尔·艾山江", "巴特尔·苏和巴图", "扎西·罗布次仁")
_BRANDS = "榕闽福海江山星云宏鼎盛泰恒远通达信诚金银华茂昌隆源和康安丰润嘉亿顺兴旺永新创智博雅美佳乐优品鑫瑞祥"
TRADES = (
    "餐饮管理",
    "贸易",
    "科技",
    "建筑工程",
    "物业管理",
    "食品",
    "医药",
    "置业",
    "物流",
    "文化传媒",
    "教育咨询",
    "农业发展",
    "汽车服务",
    "电子商务",
    "环保科技",
    "装饰工程",
    "水产养殖",
    "旅行社",
    "人力资源服务",
    "供应链管理",
    "网络科技",
    "服装",
    "茶业",
    "酒店管理",
    "医疗器械",
)
_FORMS = (
    "有限公司",
    "有限公司",
    "有限公司",
    "有限责任公司",
    "股份有限公司",
    "有限公司福州分公司",
    "合伙企业(有限合伙)",
)
_SHOPS = ("食杂店", "小吃店", "便利店", "理发店", "服装店", "药店", "五金店", "水果店", "茶行", "汽车修理部")
_ROADS = [
    "五四",
    "五一",
    "八一七",
    "六一",
    "华林",
    "湖东",
    "古田",
    "国货",
    "工业",
    "金山",
    "浦上",
    "则徐",
    "连江",
    "福马",
    "福飞",
    "斗门",
    "秀峰",
    "魁岐",
    "首占",
    "龙江",
]


def region(rng: random.Random) -> str:
    """A random region of the city, weighted by its share of certificates."""
    return rng.choices(tuple(REGIONS), WEIGHTS)[0]


def person(number: int, rng: random.Random) -> Person:
    """Person `number` of a hundred million."""
    born = date(1945, 1, 1) + timedelta(days=rng.randrange(2_300) * 10 + number // 10_000_000)
    digits = f"99{number // 1000 % 10_000:04d}{born:%Y%m%d}{number % 1000:03d}"
    return Person(_name(rng), "111", digits + citizen_check_character(digits))


def body(number: int, rng: random.Random) -> Person:
    """Organisation `number` of a hundred million: three in ten are one-person shops, with a short or a long name."""
    place = REGIONS[region(rng)]
    is_shop = rng.random() < 0.3
    first = f"{92 if is_shop else 91}99010{number // 10_000_000}MA{number % 10_000_000:07d}"
    if is_shop:
        name = f"{place}{brand(rng)}{rng.choice(_SHOPS)}"
    else:
        name = f"{place if rng.random() < 0.7 else '福建'}{brand(rng)}{rng.choice(TRADES)}{rng.choice(_FORMS)}"
    return Person(name, "001", first + uscc_check_character(first))


def _name(rng: random.Random) -> str:
    drawn = rng.random()
    if drawn < 0.01:
        return rng.choice(_LONG)
    given = 1 if drawn < 0.13 else 3 if drawn > 0.98 else 2
    return rng.choice(_SURNAMES) + "".join(rng.choices(_GIVEN, k=given))


def brand(rng: random.Random) -> str:
    """Two to four characters, as a search term."""
    return "".join(rng.choices(_BRANDS, k=rng.choices((2, 3, 4), (70, 22, 8))[0]))


def address(rng: random.Random) -> str:
    """An invented address."""
    place = REGIONS[region(rng)]
    detail = (
        f"{rng.randrange(1, 40)}号楼{rng.randrange(1, 4)}单元{rng.randrange(101, 2999)}室" if rng.random() < 0.7 else ""
    )
    return f"福建省{place}{rng.choice(_ROADS)}路{rng.randrange(1, 900)}号{detail}"
