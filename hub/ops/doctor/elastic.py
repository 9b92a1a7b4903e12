"""The Elasticsearch servers: release, health, disks and clocks. Skipped if the directory is embedded."""

from collections.abc import Iterator

from hub.domain.dates import to_micros
from hub.ops.doctor.engines import CLOCKS_DIFFER_S
from hub.ops.doctor.report import DoctorFinding, down, note, ok, problem
from hub.parts import Parts
from indexer.engine import ServerState
from indexer.errors import DirectoryUnavailable

NEWEST_SERIES = (8, 19)
"""The release the hub is tested with. Other 8.x releases are compatible; the hub does not start with other majors."""


def check(parts: Parts) -> Iterator[DoctorFinding]:
    """Check every server of the cluster at HUB_INDEX_URL."""
    try:
        found = parts.directory.server()
    except DirectoryUnavailable as error:
        yield down(
            "elasticsearch",
            "Elasticsearch 没有应答，检索改由数据库回答。",
            f"Elasticsearch is unavailable: {error}. Lookups are answered by the database.",
            "启动它，检查 HUB_INDEX_URL；原因见它的日志。恢复后目录会自动补齐。",
            "Start it and check HUB_INDEX_URL; see its log. The directory catches up automatically.",
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
            f"Elasticsearch {versions} is older than 8.19, the release the hub is tested with.",
            "逐个节点升级到 8.19；目录可以随时用 hub index rebuild 重建。不要升级到 9。",
            "Upgrade node by node to 8.19, not to 9. `hub index rebuild` can rebuild the directory at any time.",
        )
    if found.status == "red":
        return down(
            "elasticsearch",
            "Elasticsearch 缺少分片（red），检索改由数据库回答。",
            "The cluster lacks primary shards (red). Lookups are answered by the database.",
            "启动缺少的节点；节点找不回来就运行 hub index rebuild，不要用 allocate_stale_primary。",
            "Start the missing nodes; if they are lost, run `hub index rebuild`, never `allocate_stale_primary`.",
        )
    if found.status != "green":
        return note(
            "elasticsearch",
            f"Elasticsearch {versions}，有 {found.unassigned} 个副本没有节点可放。",
            f"Elasticsearch {versions}; {found.unassigned} replica shards are unassigned.",
            "启动缺少的节点；只有一个节点时，把 HUB_INDEX_REPLICAS 设为 0。",
            "Start the missing nodes; with a single node, set HUB_INDEX_REPLICAS to 0.",
        )
    return ok("elasticsearch", f"Elasticsearch {versions}，状态正常。", f"Elasticsearch {versions} is green.")


def _disk(found: ServerState) -> DoctorFinding:
    room = (
        "清理或扩充这些磁盘；有了空间就会自动解除只读，目录也会自动补齐。",
        "Free some space; the index then accepts writes again and the directory catches up automatically.",
    )
    if found.is_closed:
        return problem(
            "elasticsearch disk",
            "目录的索引被设为只读：磁盘满时 Elasticsearch 会这样做。",
            "The index of the directory is read-only: Elasticsearch blocks writes when a disk is full (flood stage).",
            *room,
        )
    if found.full:
        return problem(
            "elasticsearch disk",
            f"这些节点的磁盘快满了：{', '.join(found.full)}。",
            f"The disks of these nodes are nearly full (low watermark): {', '.join(found.full)}.",
            *room,
        )
    return ok("elasticsearch disk", "Elasticsearch 的磁盘有余量。", "The Elasticsearch disks have free space.")


def _time(found: ServerState, now_ms: float) -> DoctorFinding:
    apart = {name: abs(clock - now_ms) / 1000 for name, clock in found.clocks.items()}
    wrong = sorted(name for name, seconds in apart.items() if seconds > CLOCKS_DIFFER_S)
    if wrong:
        most = max(apart.values())
        return problem(
            "elasticsearch time",
            f"本机和这些节点的时间最多相差 {most:.0f} 秒：{', '.join(wrong)}。",
            f"Clock skew of up to {most:.0f} s between this machine and these nodes: {', '.join(wrong)}.",
            "在两边校准时间：timedatectl set-ntp true（或 chronyc makestep）。",
            "Synchronise the clocks (NTP): `timedatectl set-ntp true`, or `chronyc makestep`.",
        )
    return ok("elasticsearch time", "本机和 Elasticsearch 的时间一致。", "The Elasticsearch clocks are in sync.")


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
