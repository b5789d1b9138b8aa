"""Claims judged again, and whether their verdicts stand."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd

from wdbench import orphans
from wdbench.claims import judge
from wdbench.config.claims import Claim
from wdbench.errors import UserError
from wdbench.replication.variants import Variant, variants

COLUMNS = ("claim_id", "variant", "detail", "verdict", "estimate", "ci_low", "ci_high", "n", "reason", "main_verdict", "main_estimate",
           "stands", "same_sign")
DECIDED = {"supported": "for", "equivalent": "for", "refuted": "against", "conditional": "both"}


def replicate(
    runs: pd.DataFrame, claims: Sequence[Claim], expected: pd.DataFrame, verdicts: pd.DataFrame, unavailable: Mapping[str, str],
    elsewhere: Mapping[str, str], fresh: pd.DataFrame | None, processes: int, seen: Callable[[int, int], None] = lambda done, of: None,
) -> pd.DataFrame:
    """COLUMNS, one row a claim and variant (see `variants`) that changes it; claims without a verdict in `verdicts` have none.

    runs, claims, expected, unavailable, elsewhere: as `claims.judge` takes them; verdicts: what it made of them. fresh: verdicts of the
    same claims on replicates of their own (variant `fresh`; rows with another registered hash are left out), or None. seen(done, of) is
    told of families judged. Results do not depend on `processes`. Raises UserError where there is nothing to judge again.
    """
    main = verdicts[verdicts["dataset"] == "all"].set_index("claim_id")
    known = [claim for claim in claims if claim.tested and main["verdict"].get(claim.id, "not_tested") != "not_tested"]
    tasks = [(variant, family) for variant in variants(known, runs, expected)
             for family in dict.fromkeys(claim.family for claim in variant.claims)]
    global _SHARED
    _SHARED = runs, expected, dict(unavailable), dict(elsewhere)
    parts = [] if fresh is None else [_fresh(fresh, main)]
    # forked, so that the rows are not sent to every process
    with ProcessPoolExecutor(processes, get_context("fork"), orphans.begin_in_a_pool) as pool:
        for done, found in enumerate(pool.map(_judged, tasks), 1):
            parts.append(found)
            seen(done, len(tasks))
    parts = [part for part in parts if len(part)]
    if not parts:
        raise UserError("verdicts.csv: verdict: no claim has one that could be judged again; valid: a finished run (snakemake --cores 2)")
    table = pd.concat(parts, ignore_index=True)
    table = table.join(main[["verdict", "estimate"]].add_prefix("main_"), on="claim_id")
    table["stands"] = [stands(*row) for row in zip(table["main_verdict"], table["verdict"], table["variant"], strict=True)]
    signs = np.sign(table["estimate"]) * np.sign(table["main_estimate"])
    table["same_sign"] = np.select([signs > 0, signs <= 0], ["yes", "no"], "")
    order = {claim.id: position for position, claim in enumerate(claims)}
    return table.sort_values("claim_id", key=lambda ids: ids.map(order), kind="stable")[list(COLUMNS)].reset_index(drop=True)


_SHARED: tuple[Any, ...] = ()


def _judged(task: tuple[Variant, str]) -> pd.DataFrame:
    variant, family = task
    runs, expected, unavailable, elsewhere = _SHARED
    if variant.where:
        runs, expected = runs.query(variant.where), expected.query(variant.where)
    members = [claim for claim in variant.claims if claim.family == family]
    found = judge(runs, [claim.model_copy(update={"naive": None}) for claim in members], expected, unavailable=unavailable,
                  elsewhere=elsewhere).verdicts
    found = found[(found["dataset"] == "all") & found["claim_id"].isin(variant.changed)]
    return found.assign(variant=variant.name, detail=variant.detail)[[name for name in COLUMNS if name in found or name in _OWN]]


_OWN = ("variant", "detail")


def _fresh(fresh: pd.DataFrame, main: pd.DataFrame) -> pd.DataFrame:
    whole = fresh[(fresh["dataset"] == "all") & fresh["claim_id"].isin(main.index)]
    same = whole["registered"].astype(str).to_numpy() == main.loc[whole["claim_id"], "registered"].astype(str).to_numpy()
    judged = main.loc[whole["claim_id"], "verdict"].ne("not_tested").to_numpy() & whole["kind"].ne("identity").to_numpy()
    found = whole[same & judged].assign(variant="fresh", detail="other replicates")
    return found[[name for name in COLUMNS if name in found]]


def stands(main: str, again: str, variant: str) -> str:
    """yes: the same verdict; contradicted: for against against (depends: by another margin, which asks another question); partly: one of
    them is conditional; undecided: there was a verdict, and there is none now; decided: there was none, and there is one now.
    """
    one, other = DECIDED.get(main), DECIDED.get(again)
    if main == again or one is None and other is None:
        return "yes"
    if other is None:
        return "undecided"
    if one is None:
        return "decided"
    if "both" in (one, other):
        return "partly"
    # supported and equivalent cannot both be verdicts of one claim
    return "yes" if one == other else "depends" if variant == "margin" else "contradicted"
