"""Chinese text as tokens: every edge case on which equal results of all engines depend."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer import tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("福州海湾里", ["福州", "州海", "海湾", "湾里"]),
        ("福州", ["福州"]),
        ("福", ["福"]),
        ("", []),
        ("ＫＴＶ１２", ["ktv12"]),
        ("星光KTV城", ["星光", "ktv", "城"]),
        ("阿依努尔·买合苏提", ["阿依", "依努", "努尔", "买合", "合苏", "苏提"]),
        ("福州(鼓楼)店", ["福州", "鼓楼", "店"]),
        ("福州（鼓楼）店", ["福州", "鼓楼", "店"]),
        ("Cafe 3", ["cafe", "3"]),
        ("郑𤩽记", ["郑𤩽", "𤩽记"]),
        ("品、质", ["品", "质"]),
        ("\ue000记", ["\ue000记"]),
        ("〇一商行", ["〇一", "一商", "商行"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens.tokens(text) == expected


@given(st.text(max_size=12), st.text(max_size=12))
@example("ΟΔΟΣ", "ΣΑΜΟΣ")
@example("か", "\u3099か")
def test_words_side_by_side_are_the_words_of_each(organisation: str, title: str) -> None:
    """The embedded engine caches the tokens of titles and names, and joins them."""
    assert tokens.tokens(f"{organisation} {title}".strip()) == tokens.tokens(organisation) + tokens.tokens(title)


@pytest.mark.parametrize("dot", "·•・‧∙⋅･")
def test_every_name_dot_is_one_form(dot: str) -> None:
    assert tokens.normalise(f"古丽{dot}阿不都") == "古丽 阿不都"


@pytest.mark.parametrize("text", ["", " ", "福", "a", "、", "福" * 65])
def test_what_is_too_short_or_too_long_is_not_asked(text: str) -> None:
    assert tokens.query_tokens(text) == []


def test_a_single_character_next_to_a_word_is_dropped() -> None:
    assert tokens.query_tokens("光KTV城") == ["ktv"]
    assert tokens.matches(tokens.query_tokens("光KTV城"), "星光KTV城市")


@given(st.text(alphabet="福州海湾里鼓楼置业", min_size=2, max_size=12), st.data())
def test_a_chinese_query_matches_exactly_as_a_substring(text: str, data: st.DataObject) -> None:
    query = data.draw(st.text(alphabet="福州海湾里鼓楼置业", min_size=2, max_size=4))
    assert tokens.matches(tokens.query_tokens(query), text) == (query in text)


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = tokens.normalise(text)
    assert tokens.normalise(once) == once
    assert all(token == token.lower() and " " not in token for token in tokens.tokens(text))
