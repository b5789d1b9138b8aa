"""What the columns of the claims' tables mean: (dtype, unit, meaning, meaning of a missing value)."""

EFFECT_UNIT = "unit of the effect (effect_unit)"
METRIC_UNIT = "unit of the metric"

_SHARED = {
    "claim_id": ("text", "", "id of the claim in claims.yaml", "never missing"),
    "dataset": (
        "text",
        "",
        "stratum: data set spec, values of other columns, or a case's name; in verdicts.csv also all",
        "never missing",
    ),
    "metric": ("text", "", "metric that the row is about; event for claims about events", "never missing"),
    "block": ("text", "", "block: dataset_base/replicate, or the columns that the claim names", "never missing"),
    "imputed": (
        "bool",
        "",
        "a diverged cell stands behind the value, filled in with the worst one seen (or left out)",
        "never missing",
    ),
}

VERDICTS = {
    "claim_id": _SHARED["claim_id"],
    "sentence": ("text", "", "what is claimed, quoted", "never missing"),
    "source": ("text", "", "where it is said", "never missing"),
    "family": ("text", "", "claims whose p values are corrected together (Holm)", "never missing"),
    "kind": ("text", "", "kind of test", "never missing"),
    "dataset": _SHARED["dataset"],
    "estimate": (
        "float",
        EFFECT_UNIT,
        "mean effect, positive in favour of the claim; equivalence: the plain effect; identity: the error",
        "not tested",
    ),
    "ci_low": ("float", EFFECT_UNIT, "lower end of the 1 - alpha interval (see method)", "not tested, or one block"),
    "ci_high": ("float", EFFECT_UNIT, "upper end of the 1 - alpha interval", "not tested, or one block"),
    "margin": ("float", EFFECT_UNIT, "smallest effect of interest; identity: the tolerance", "not tested"),
    "p_value": (
        "float",
        "probability",
        "two-sided p of no effect; equivalence: of a difference of at least the margin",
        "not tested",
    ),
    "p_holm": (
        "float",
        "probability",
        "p after Holm: within the family (all), over the claim's strata (a stratum)",
        "not tested",
    ),
    "n": (
        "int",
        "blocks",
        "blocks that the estimate is made of; identity: inputs; all: summed over strata",
        "never missing",
    ),
    "mde": (
        "float",
        EFFECT_UNIT,
        "effect (equivalence: margin) that these blocks would have found with probability 0.8",
        "not tested",
    ),
    "verdict": (
        "text",
        "",
        "supported, refuted, equivalent (a claim of no difference upheld), conditional (upheld here, refuted there), "
        "inconclusive, not_tested; identities: holds, fails",
        "never missing",
    ),
    "reason": ("text", "", "why", "never missing"),
    "registered": ("text", "", "first 12 hex digits of sha256 of what the claim is judged by", "never missing"),
    "post_hoc": ("bool", "", "not registered as it is before its rows were seen", "never missing"),
    "effect_unit": ("text", "", "unit of the effect", "identity or not tested"),
    "equation": ("text", "", "the estimand: t treatment, c control in a block", "identity or not tested"),
    "component": ("text", "", "of several things that must all hold, the weakest, which is shown", "there is only one"),
    "method": (
        "text",
        "",
        "how the interval was made: t, constant, cluster t, Clopper-Pearson, none",
        "identity or not tested",
    ),
    "ci_tost_low": ("float", EFFECT_UNIT, "lower end of the 1 - 2 alpha interval", "not tested, or one block"),
    "ci_tost_high": ("float", EFFECT_UNIT, "upper end of the 1 - 2 alpha interval", "not tested, or one block"),
    "n_strata": ("int", "strata", "strata behind the row", "identity or not tested"),
    "n_diverged": ("int", "cells", "diverged cells among those that the claim reads", "identity or not tested"),
    "n_imputed": (
        "int",
        "values",
        "selected values that were filled in (or left out) because the cell diverged",
        "identity or not tested",
    ),
    "n_undefined": (
        "int",
        "blocks",
        "blocks whose effect has no value (a ratio to 0, a missing metric)",
        "identity or not tested",
    ),
    "selection_edge_share": (
        "float",
        "share",
        "largest share of an arm's blocks (in any condition, at any x) whose choice is at an end of its grid",
        "nothing was selected",
    ),
    "estimate_secondary": ("float", EFFECT_UNIT, "estimate with diverged cells treated the other way", "not tested"),
    "verdict_secondary": (
        "text",
        "",
        "verdict of that analysis; all: not corrected within the family",
        "identity or not tested",
    ),
    "naive_estimate": (
        "float",
        EFFECT_UNIT,
        "estimate of the wrong way that the claim shows beside",
        "no naive analysis",
    ),
    "naive_verdict": ("text", "", "its verdict, uncorrected and ungated", "no naive analysis"),
    "naive_trap": ("text", "", "what is wrong with it", "none named"),
    "post_hoc_why": ("text", "", "what changed since registration", "nothing"),
}

SELECTED = {
    **{name: _SHARED[name] for name in ("claim_id", "dataset", "metric")},
    "condition": ("text", "", "side of an interaction or a share: claimed or other", "no interaction or share"),
    "x": ("float", "unit of x", "horizontal axis of a slope, after its transform", "no slope"),
    "block": _SHARED["block"],
    "arm": ("text", "", "treatment or control", "never missing"),
    "replicate": ("int", "", "replicate of the cell", "never missing"),
    "cell_id": ("text", "", "cell that stands for the arm in this block", "never missing"),
    "lambda": ("float", "1", "its λ", "none"),
    "lambda_rel": ("float", "data set's anchor", "its λ in units of the anchor", "none"),
    "lambda_clock": ("float", "", "its λ as the number of decay times in the run", "given in another unit"),
    "l1_ratio": ("float", "share", "its share of the L1 penalty", "none"),
    "lr": ("float", "1", "its learning rate", "exact minimiser"),
    "lr_rel": ("float", "data set's anchor", "its learning rate in units of the anchor", "exact minimiser"),
    "status": ("text", "", "ok or diverged", "never missing"),
    "selected_by": ("text", "", "column that the cell was chosen by", "no choice"),
    "selected_value": ("float", METRIC_UNIT, "its value there", "no choice, or diverged"),
    "edge": ("text", "", "ends of the grid that the choice sits on", "none"),
    "value": ("float", METRIC_UNIT, "metric of the cell; events: 1 or 0", "diverged, or undefined"),
    "value_used": ("float", METRIC_UNIT, "metric after diverged cells were filled in", "left out, or undefined"),
    "imputed": _SHARED["imputed"],
}

EFFECTS = {
    **{name: _SHARED[name] for name in ("claim_id", "dataset", "metric")},
    "component": (
        "text",
        "",
        "end of a curve: left end, right end; tolerance: the share (within 0.02) or the number of draws (best of 4)",
        "there is only one",
    ),
    "block": _SHARED["block"],
    "treatment": ("float", METRIC_UNIT, "treatment's value (interaction, share: where claimed; tolerance: its share or loss)", "slopes"),
    "control": ("float", METRIC_UNIT, "control's value, or the threshold", "slopes, or no control"),
    "treatment_other": (
        "float",
        METRIC_UNIT,
        "treatment's value on the other side of an interaction or a share",
        "no interaction or share",
    ),
    "control_other": ("float", METRIC_UNIT, "control's value on the other side of an interaction or a share", "no interaction or share"),
    "effect": ("float", EFFECT_UNIT, "effect of the block, positive in favour of the claim", "undefined, or left out"),
    "imputed": _SHARED["imputed"],
    "used": ("bool", "", "the block is part of the estimate", "never missing"),
}

TABLES = {"verdicts.csv": VERDICTS, "selected.csv": SELECTED, "effects.csv": EFFECTS}
