"""Machine and files: checks that need no database."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from hub.ops.doctor.report import DoctorFinding, note, ok, problem
from hub.parts import documents_folder, keys_folder
from hub.settings import Settings
from signing import glyphs
from signing.errors import SigningError

OLDEST_PYTHON = (3, 11)
FREE_BYTES = 1024**3
FREE_FILES = 10_000
_DRAWN = "证照镕喆Aa0〔〕"
"""Sample characters of names and numbers."""
_NAMED_AT_MOST = 3


def check(settings: Settings, unknown: list[str]) -> Iterator[DoctorFinding]:
    """Run the checks. unknown: `HUB_*` names in the environment that are not settings."""
    yield _names(unknown)
    yield _python()
    yield _fonts()
    if not settings.data_dir.is_dir():
        yield problem(
            "folder",
            f"没有数据目录 {settings.data_dir}。",
            "The data directory does not exist.",
            "检查 HUB_DATA_DIR，或者运行 hub init。",
            "Check HUB_DATA_DIR, or run `hub init`.",
        )
        return
    yield _disk(settings.data_dir)
    yield _rights(settings)
    yield from _secrets(settings)


def _names(unknown: list[str]) -> DoctorFinding:
    if not unknown:
        return ok("settings", "设置的名字都没有写错。", "All HUB_* names are settings.")
    return problem(
        "settings",
        f"没有这样的设置：{', '.join(unknown)}。",
        "These environment variables are not settings and have no effect.",
        "对照 docs/settings.md 改正拼写，或者去掉。",
        "Correct the spelling (docs/settings.md), or remove them.",
    )


def _python() -> DoctorFinding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return ok("python", f"Python {version}，版本合适。", f"Python {version} is recent enough.")
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return problem(
        "python",
        f"Python {version} 过旧。",
        f"Python {version} is too old.",
        f"安装 Python {oldest} 或更高版本，删除 .venv，再运行 scripts/start。",
        f"Install Python {oldest} or later, delete .venv and run scripts/start.",
    )


def _fonts() -> DoctorFinding:
    again = (
        "重新运行 scripts/start（或重建镜像），它会装上字体。",
        "Run scripts/start again (or rebuild the image) to install the font.",
    )
    try:
        missing = glyphs.missing(_DRAWN)
    except SigningError:
        return problem("fonts", "没有版式文件的字体。", "The document font is missing.", *again)
    if missing:
        return problem("fonts", "版式文件的字体不完整。", "The document font lacks common characters.", *again)
    return ok("fonts", "版式文件的字体可用。", "The document font is available.")


def _disk(folder: Path) -> DoctorFinding:
    free = shutil.disk_usage(folder).free
    found = os.statvfs(folder)
    if free < FREE_BYTES:
        return problem(
            "disk",
            f"数据目录所在的磁盘只剩 {free >> 20} MiB。",
            f"Only {free >> 20} MiB of disk space are left for the data directory.",
            "清理或扩充磁盘；满了以后不能签发，但不会丢数据。",
            "Free some space or enlarge the disk; when it is full, nothing can be issued, but no data is lost.",
        )
    if found.f_files and found.f_favail < FREE_FILES:
        return problem(
            "disk",
            f"数据目录所在的磁盘只能再建 {found.f_favail} 个文件。",
            f"Only {found.f_favail} inodes are left for the data directory.",
            "清理小文件，或者换用 inode 更多的文件系统。",
            "Remove small files, or use a file system with more inodes.",
        )
    return ok("disk", f"剩余 {free >> 30} GiB。", f"{free >> 30} GiB are free.")


def _rights(settings: Settings) -> DoctorFinding:
    """The data directory must be accessible only to its owner, the user who runs the hub."""
    ours = [
        settings.data_dir,
        *sorted(settings.data_dir.glob("hub.db*")),
        keys_folder(settings),
        *sorted(keys_folder(settings).glob("*.pem")),
        documents_folder(settings),
    ]
    there = [path for path in ours if path.exists()]
    unusable = [path for path in there if not os.access(path, os.R_OK | (os.W_OK if path.suffix != ".pem" else 0))]
    if unusable:
        return problem(
            "rights",
            f"不能读写：{_listed(unusable, settings)}。",
            f"User {os.geteuid()} cannot read or write these files.",
            f"改用服务的用户运行，或 chown -R 服务用户 {settings.data_dir}。",
            "Run this as the hub's user, or `chown -R` the data directory to that user.",
        )
    loose = [path for path in there if path.stat().st_mode & 0o077]
    if loose:
        return problem(
            "rights",
            f"其他用户也能进入：{_listed(loose, settings)}。",
            "Other users of this machine have access to these files.",
            f"chmod -R go= {settings.data_dir}",
            "Remove the permissions of all other users.",
        )
    if os.geteuid() == 0 and settings.data_dir.stat().st_uid != 0:
        return note(
            "rights",
            "现在是 root 用户，服务用的是另一个用户。",
            "You are root, but the hub runs as another user.",
            "用服务的用户运行 hub，免得留下服务打不开的文件。",
            "Run `hub` as that user, otherwise it may not be able to open new files.",
        )
    return ok("rights", "只有服务的用户能读写数据。", "Only the hub's user has access to the data.")


def _secrets(settings: Settings) -> Iterator[DoctorFinding]:
    """Secret files named by settings must be readable, but not by users outside the group."""
    named = {
        f"HUB_{field.upper()}": value
        for field in type(settings).model_fields
        if field.endswith("_file") and not field.endswith("_ca_file")
        if isinstance(value := getattr(settings, field), Path)
    }
    master = settings.master_key_path
    named["HUB_MASTER_KEY_FILE"] = master
    bad = [name for name, path in named.items() if not os.access(path, os.R_OK)]
    if bad:
        yield problem(
            "secrets",
            f"机密文件丢失或读不出：{', '.join(sorted(bad))}。",
            "Secret files are missing, or not readable by this user.",
            "检查路径和属主；主密钥丢了就从它自己的备份取回。",
            "Check path and owner; restore a lost master key from its own backup.",
        )
        return
    loose = [name for name, path in named.items() if path.stat().st_mode & _allowed(path, master)]
    if loose:
        yield problem(
            "secrets",
            f"机密文件的权限过宽：{', '.join(sorted(loose))}。",
            "Secret files are readable by others.",
            "chmod 0600（同组服务共用的用 0440）。",
            "`chmod 0600`, or 0440 if services in one group share the file.",
        )
        return
    yield ok("secrets", "机密文件只有服务能读。", "Only the hub can read the secret files.")


def _allowed(path: Path, master: Path) -> int:
    """The permission bits that a secret must not have; the master key must not be shared with a group."""
    return stat.S_IRWXG | stat.S_IRWXO if path == master else stat.S_IRWXO | stat.S_IWGRP


def _listed(paths: list[Path], settings: Settings) -> str:
    names = [str(p.relative_to(settings.data_dir)) if p != settings.data_dir else str(p) for p in paths]
    more = f" …({len(names)})" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(names[:_NAMED_AT_MOST]) + more
