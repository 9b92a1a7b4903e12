"""The search engine's servers: their release, health, disks and clocks. Nothing where the directory is a file."""

from collections.abc import Iterator

from hub.domain.dates import to_micros
from hub.ops.doctor.engines import CLOCKS_DIFFER_S
from hub.ops.doctor.report import DoctorFinding, down, note, ok, problem
from hub.parts import Parts
from indexer.engine import ServerState
from indexer.errors import DirectoryUnavailable

NEWEST_SERIES = (8, 19)
"""The release that the hub is tried with; others of 8 stay compatible, others than 8 stop the start."""


def look(parts: Parts) -> Iterator[DoctorFinding]:
    """Every server of the cluster at HUB_INDEX_URL."""
    try:
        found = parts.directory.server()
    except DirectoryUnavailable as error:
        yield down(
            "elasticsearch",
            "Elasticsearch 不应答;检索由数据库回答。",
            f"Elasticsearch cannot be asked: {error}; lookups are answered by the database.",
            "启动它,核对 HUB_INDEX_URL;原因见它的日志。恢复后自动补齐。",
            "Start it and check HUB_INDEX_URL; its log says why. Afterwards the directory catches up by itself.",
        )
        return
    if found is not None:
        yield _server(found)
        yield _disk(found)
        yield _time(found, to_micros(parts.clock.now()) / 1000)


def _server(found: ServerState) -> DoctorFinding:
    versions = ", ".join(found.versions)
    if any(_series(version) < NEWEST_SERIES for version in found.versions):
        return problem(
            "elasticsearch",
            f"Elasticsearch {versions} 低于 8.19。",
            f"Elasticsearch {versions} is older than 8.19, with which the hub is tried.",
            "逐个节点升级到 8.19;目录可随时用 hub index rebuild 重建。不要升级到 9。",
            "Upgrade node by node to 8.19; the directory can be built anew with `hub index rebuild`. Not to 9.",
        )
    if found.status == "red":
        return down(
            "elasticsearch",
            "Elasticsearch 缺少分片(red);检索由数据库回答。",
            "Shards of the cluster are away (red); lookups are answered by the database.",
            "启动缺少的节点;节点回不来时运行 hub index rebuild,不要用 allocate_stale_primary。",
            "Start the nodes that are away; where they are lost, `hub index rebuild`, never `allocate_stale_primary`.",
        )
    if found.status != "green":
        return note(
            "elasticsearch",
            f"Elasticsearch {versions},有 {found.unassigned} 个副本没有节点可放。",
            f"Elasticsearch {versions}; {found.unassigned} copies of shards have no node.",
            "启动缺少的节点;只有一个节点时把 HUB_INDEX_REPLICAS 设为 0。",
            "Start the nodes that are away; with a single node set HUB_INDEX_REPLICAS to 0.",
        )
    return ok("elasticsearch", f"Elasticsearch {versions},状态正常。", f"Elasticsearch {versions} is green.")


def _disk(found: ServerState) -> DoctorFinding:
    room = (
        "清理或扩充这些盘;空出来以后它自己解除只读,目录自动补齐。",
        "Make room there: then it takes writes again by itself and the directory catches up.",
    )
    if found.is_closed:
        return problem(
            "elasticsearch disk",
            "目录的索引是只读的:盘满时 Elasticsearch 会这样做。",
            "The directory's index takes no writes: what Elasticsearch does when a disk is full (flood stage).",
            *room,
        )
    if found.full:
        return problem(
            "elasticsearch disk",
            f"这些节点的盘快满了:{', '.join(found.full)}。",
            f"The disks of these nodes are nearly full (low watermark): {', '.join(found.full)}.",
            *room,
        )
    return ok("elasticsearch disk", "Elasticsearch 的盘有余量。", "There is room on the disks of Elasticsearch.")


def _time(found: ServerState, now_ms: float) -> DoctorFinding:
    apart = {name: abs(clock - now_ms) / 1000 for name, clock in found.clocks.items()}
    wrong = sorted(name for name, seconds in apart.items() if seconds > CLOCKS_DIFFER_S)
    if wrong:
        most = max(apart.values())
        return problem(
            "elasticsearch time",
            f"本机与这些节点的时间相差至多 {most:.0f} 秒:{', '.join(wrong)}。",
            f"This machine's clock and those of these nodes differ by up to {most:.0f} s: {', '.join(wrong)}.",
            "在两边校准时间:timedatectl set-ntp true(或 chronyc makestep)。",
            "Set the clocks: `timedatectl set-ntp true`, or `chronyc makestep`.",
        )
    return ok("elasticsearch time", "本机与 Elasticsearch 的时间一致。", "The clocks of Elasticsearch agree with ours.")


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
