"""`hub doctor`: checks for everything that degrades slowly, with a fix for each problem."""

from hub.ops.doctor.examination import examine
from hub.ops.doctor.report import Finding, State, verdict

__all__ = ["Finding", "State", "examine", "verdict"]
