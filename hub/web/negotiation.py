"""Content negotiation: JSON or HTML, and gzip (RFC 9110 §12.5.1, §12.5.3)."""

from functools import lru_cache

_Rank = tuple[float, int]


@lru_cache(maxsize=512)
def prefers_json(accept: str) -> bool:
    """Whether JSON ranks above HTML, by quality and then by specificity; HTML wins a tie."""
    ranks = {"application/json": (0.0, 0), "text/html": (0.0, 0)}
    best: dict[str, _Rank] = {}
    for item in accept.lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        quality = _quality(parameters)
        for media_type in ranks:
            exactness = _exactness(media_range, media_type)
            if exactness > best.get(media_type, (0.0, 0))[1]:
                best[media_type] = (quality, exactness)
    ranks |= best
    return ranks["application/json"] > ranks["text/html"] and ranks["application/json"][0] > 0


@lru_cache(maxsize=512)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether `gzip`, or else `*`, has a quality above zero."""
    found = {}
    for item in accept_encoding.lower().split(","):
        coding, *parameters = (part.strip() for part in item.split(";"))
        found[coding] = _quality(parameters)
    return found.get("gzip", found.get("*", 0.0)) > 0


def _exactness(media_range: str, media_type: str) -> int:
    if media_range == media_type:
        return 3
    if media_range == media_type.partition("/")[0] + "/*":
        return 2
    return 1 if media_range == "*/*" else 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
