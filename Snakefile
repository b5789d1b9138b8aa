# Data -> exact minimisers and packs of cells -> tables -> verdicts -> figures -> report.
# Rules only; what is in a pack and when it is stale is decided in wdbench/workflow.py.
from wdbench.lock import hold
from wdbench.workflow import Workflow

wdbench = Workflow(config)
hold(alone=wdbench.set_damaged_aside)


localrules:
    all,
    figures,
    report,


rule all:
    default_target: True
    input:
        wdbench.published,


rule report:
    input:
        wdbench.file("report"),


rule figures:
    input:
        wdbench.path("figures/index.csv"),


rule check_data:
    message:
        "data: every loader against its reference figure"
    output:
        wdbench.path("data_checks.csv"),
    params:
        run=wdbench.command,
        code=wdbench.code("datasets"),
        absent=sorted(wdbench.absent),
    shell:
        "{params.run} data check --available --csv {output:q} > /dev/null"


rule oracle:
    message:
        "oracle: exact minimisers of {wildcards.dataset}"
    output:
        wdbench.path("oracle/{dataset}.parquet"),
    log:
        wdbench.path("logs/oracle.{dataset}.log"),
    params:
        run=wdbench.command,
        problems=lambda wildcards: wdbench.problems(wildcards.dataset),
    priority: 20
    shell:
        "{params.run} oracle {wildcards.dataset:q} 2> >(tee {log:q} >&2)"


# exact packs first: they hold the longest jobs, and a long job that starts last leaves a core idle
rule solve:
    message:
        "solve: {wildcards.pack}"
    output:
        rows=wdbench.path("packs/{pack}~exact.parquet"),
        trajectories=wdbench.path("packs/{pack}~exact.trajectories.parquet"),
        supports=wdbench.path("packs/{pack}~exact.supports.parquet"),
    log:
        wdbench.path("logs/train.{pack}~exact.log"),
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(f"{wildcards.pack}~exact"),
    priority: 30
    shell:
        "{params.run} train {wildcards.pack:q}~exact 2> >(tee {log:q} >&2)"


rule train:
    message:
        "train: {wildcards.pack}"
    input:
        lambda wildcards: wdbench.oracle_of(wildcards.pack),
    output:
        rows=wdbench.path("packs/{pack}.parquet"),
        trajectories=wdbench.path("packs/{pack}.trajectories.parquet"),
        supports=wdbench.path("packs/{pack}.supports.parquet"),
    log:
        wdbench.path("logs/train.{pack}.log"),
    wildcard_constraints:
        pack=r"[^~]+~(?:linear|logistic|softmax)~(?!exact\.)[a-z]+",
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(wildcards.pack),
    priority: 10
    shell:
        "{params.run} train {wildcards.pack:q} 2> >(tee {log:q} >&2)"


# networks have no oracle to wait for and take longest: first of all
rule train_network:
    message:
        "train: {wildcards.pack}"
    output:
        rows=wdbench.path("packs/{pack}.parquet"),
        trajectories=wdbench.path("packs/{pack}.trajectories.parquet"),
        supports=wdbench.path("packs/{pack}.supports.parquet"),
    log:
        wdbench.path("logs/train.{pack}.log"),
    wildcard_constraints:
        pack=r"[^~]+~(?!(?:linear|logistic|softmax)~)[^~]+~[a-z]+(?:~[0-9]+)?",
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(wildcards.pack),
    priority: 40
    shell:
        "{params.run} train {wildcards.pack:q} 2> >(tee {log:q} >&2)"


rule identities:
    message:
        "identities: exact statements, checked"
    output:
        wdbench.file("identities"),
    params:
        run=wdbench.command,
        claimed=wdbench.identities,
        code=wdbench.code("identities", "updates", "precision", "penalties", "oracle", "models", "seeds", "datasets"),
    priority: 10
    shell:
        "{params.run} identities"


rule gather:
    message:
        "gather: {params.packs} packs into the published tables"
    input:
        packs=wdbench.pack_files(),
        oracles=wdbench.oracle_files(),
    output:
        **{
            name: wdbench.file(name)
            for name in (
                "plan",
                "runs",
                "trajectories",
                "supports",
                "oracle",
                "summary",
                "datasets",
            )
        },
    params:
        run=wdbench.command,
        packs=len(wdbench.packs),
        grid=wdbench.grid,
        code=wdbench.code("gather", "dictionary"),
    shell:
        "{params.run} gather"


rule judge:
    message:
        "judge: every registered claim"
    input:
        rules.gather.output,
        identities=wdbench.file("identities"),
        claims=str(wdbench.experiment.claims),
    output:
        verdicts=wdbench.file("verdicts"),
        effects=wdbench.file("effects"),
        selected=wdbench.file("selected"),
    params:
        run=wdbench.command,
        ledger=wdbench.registration,
        code=wdbench.code("claims", "stats", "filters", "config", "judging"),
    shell:
        "{params.run} judge"


rule torch_flags:
    message:
        "torch flags: decay of torch's own optimisers in bf16"
    output:
        wdbench.file("torch_flags"),
    params:
        run=wdbench.command,
        code=wdbench.code("torch_flags", "updates", "precision", "probes", "seeds", "datasets"),
    priority: 10
    shell:
        "{params.run} torch-flags"


rule conclude:
    message:
        "conclude: mechanisms, advice and precision from the verdicts"
    input:
        rules.gather.output,
        rules.judge.output,
        claims=str(wdbench.experiment.claims),
    output:
        **{name: wdbench.file(name) for name in ("mechanisms", "mechanism_pairs", "advice", "precision", "controls")},
    params:
        run=wdbench.command,
        code=wdbench.code("conclusions", "claims", "stats", "judging"),
        rules=wdbench.conclusions,
    shell:
        "{params.run} conclude"


rule draw:
    message:
        "draw: one figure a claim"
    input:
        rules.gather.output,
        rules.judge.output,
    output:
        wdbench.path("figures/index.csv"),
    params:
        run=wdbench.command,
        code=wdbench.code("figures"),
    threads: workflow.cores
    shell:
        "{params.run} draw --processes {threads}"


rule render:
    message:
        "report: {output.report}"
    input:
        rules.gather.output,
        rules.judge.output,
        rules.conclude.output,
        flags=wdbench.file("torch_flags"),
        figures=wdbench.path("figures/index.csv"),
        checks=wdbench.path("data_checks.csv"),
    output:
        report=wdbench.file("report"),
        manifest=wdbench.file("manifest"),
        dictionary=wdbench.file("dictionary"),
    params:
        run=wdbench.command,
        code=wdbench.code("report", "conclusions", "dictionary", "provenance"),
        rules=wdbench.conclusions,
        templates=wdbench.templates,
        evidence=wdbench.evidence,
    shell:
        "{params.run} report"
