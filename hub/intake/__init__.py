"""Intake (审批结果推送): receives what an approval system reports about a case, validates and records it."""

from hub.intake.receive import Intake

__all__ = ["Intake"]
