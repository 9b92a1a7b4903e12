"""`hub doctor`: everything that goes wrong slowly, looked at in one go, with what to do about each."""

from hub.ops.doctor.examination import examine
from hub.ops.doctor.report import Finding, State, verdict

__all__ = ["Finding", "State", "examine", "verdict"]
