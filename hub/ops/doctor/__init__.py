"""`hub doctor`: everything that goes wrong slowly, looked at in one go, with what to do about each."""

from hub.ops.doctor.examination import examine
from hub.ops.doctor.report import DoctorFinding, State, verdict

__all__ = ["DoctorFinding", "State", "examine", "verdict"]
