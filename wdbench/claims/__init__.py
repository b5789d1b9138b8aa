"""Claims judged: selection on validation, paired blocks, decision rules, registration."""

from wdbench.claims import equivalence, event, interaction, share, slopes, superiority, tolerance  # noqa: F401 (registers the kinds)
from wdbench.claims.gate import check
from wdbench.claims.judge import Judgement, judge
from wdbench.claims.registration import register

__all__ = ["Judgement", "check", "judge", "register"]
