"""The overall verdict from those of the strata."""

import numpy as np

from wdbench.claims.kinds import Ruling, number

UPHELD = ("supported", "equivalent")
SHARE = 2 / 3


def overall(strata: dict[str, Ruling], p_holm: float, alpha: float) -> Ruling:
    """Supported (equivalent) on at least 2/3 of the tested strata and refuted on none, with p after Holm < alpha: the
    same.

    On some and refuted on others: conditional, naming both sides. Refuted on more than half and upheld on none:
    refuted. Else inconclusive. A stratum that was not tested does not vote, and is named.
    """
    tested = {name: ruling for name, ruling in strata.items() if ruling.verdict != "not_tested"}
    absent = {name: ruling for name, ruling in strata.items() if ruling.verdict == "not_tested"}
    rest = "".join(f"; not tested on {name}: {ruling.reason}" for name, ruling in absent.items())
    if not tested:
        return Ruling("not_tested", rest.removeprefix("; ") or "nothing to test it on")
    sides = {
        word: [name for name, ruling in tested.items() if ruling.verdict == word]
        for word in (*UPHELD, "refuted", "inconclusive")
    }
    upheld = sides["supported"] + sides["equivalent"]
    listed = "; ".join(f"{word} on {', '.join(names)}" for word, names in sides.items() if names)
    grid = "".join(f"; {name}: {ruling.reason}" for name, ruling in tested.items() if ruling.reason.startswith("grid: "))
    told = f"{listed}{grid}{rest}"
    if len(tested) == 1:
        (only,) = tested.items()
        told = f"{only[0]}: {only[1].reason}{rest}"
    if upheld and sides["refuted"]:
        return Ruling("conditional", told)
    if len(upheld) >= SHARE * len(tested) - 1e-9:
        if np.isfinite(p_holm) and p_holm < alpha:
            return Ruling("equivalent" if sides["equivalent"] else "supported", told)
        return Ruling(
            "inconclusive", f"p after Holm in its family is {number(p_holm)}, not below {number(alpha)}; {told}"
        )
    if len(sides["refuted"]) > len(tested) / 2:
        return Ruling("refuted", told)
    return Ruling("inconclusive", told)
