"""Intake (审批结果推送): what an approval system says about a case, checked and put on record."""

from hub.intake.receive import Intake

__all__ = ["Intake"]
