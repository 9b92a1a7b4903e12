"""`hub doctor`: checks for everything that degrades slowly, with a fix for each problem."""

from hub.ops.doctor.examination import examine
from hub.ops.doctor.report import DoctorFinding, State, verdict

__all__ = ["DoctorFinding", "State", "examine", "verdict"]
