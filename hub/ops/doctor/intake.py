"""Check who may take cases in, and who takes in cases that are never decided."""

from collections.abc import Iterator

from hub.ops.doctor.report import DoctorFinding, ok, problem
from hub.parts import Parts
from hub.store.case_use import By, out_of_line_by

_SHOWN = 10


def check(parts: Parts) -> Iterator[DoctorFinding]:
    """Check that a person has set `intake` of every matter, and compare clerks and clients with their peers."""
    open_ones = [matter.code for matter in parts.catalogue().matters.values() if not matter.confirmed]
    if open_ones:
        shown = ", ".join(open_ones[:_SHOWN]) + (" …" if len(open_ones) > _SHOWN else "")
        yield problem(
            "intake",
            f"{len(open_ones)} 个事项由谁收件还没有人确认：{shown}",
            f"Who may take in {len(open_ones)} matters is not confirmed yet.",
            "在证照类型目录文件里为这些事项写明 intake，再运行 hub catalogue load。",
            "Write `intake` for these matters into the catalogue file and run `hub catalogue load`.",
        )
    else:
        yield ok("intake", "每个事项都写明了谁可以收件。", "Every matter says who may take it in.")
    yield from _never_decided(parts)


def _never_decided(parts: Parts) -> Iterator[DoctorFinding]:
    now, reader = parts.clock.now(), parts.database.reader
    found = [tally for by in By for tally in out_of_line_by(reader, by, now)]
    if not found:
        yield ok(
            "undecided",
            "没有人收的办件明显多数没有办理结果。",
            "No clerk or client takes in conspicuously many undecided cases.",
        )
        return
    shown = "；".join(f"{tally.who} {tally.undecided}/{tally.used}" for tally in found[:_SHOWN])
    yield problem(
        "undecided",
        f"这些窗口人员或账号收的办件查过人却没有办理结果，明显比别人多：{shown}",
        f"{len(found)} clerks or clients took in conspicuously many cases that were looked up and never decided.",
        "由决定机构用 GET /api/v1/cases?role=deciding 核对这些办件；不是真实申请的，提出异议并停用账号。",
        "Let the deciding authorities check these cases with GET /api/v1/cases?role=deciding, object to those that are"
        " not genuine, and disable the account.",
    )
