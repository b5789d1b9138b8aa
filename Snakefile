# Data -> exact minimisers and packs of cells -> tables -> verdicts -> figures -> report.
# Rules only; what is in a pack and when it is stale is decided in wdbench/workflow.py.
from wdbench.gallery import HERE as captions
from wdbench.gallery import told
from wdbench.lock import hold
from wdbench.workflow import Workflow


report: str(captions / "workflow.rst")


wdbench = Workflow(config)
hold(alone=wdbench.set_damaged_aside)


localrules:
    all,
    figures,
    gallery,
    report,


rule all:
    default_target: True
    input:
        wdbench.published,
        wdbench.path("gallery"),


rule report:
    input:
        wdbench.file("report"),


rule figures:
    input:
        wdbench.path("figures/index.csv"),
        wdbench.path("figures/index_pdf.csv"),


rule check_data:
    output:
        report(wdbench.path("data_checks.csv"), **told("data_checks")),
    log:
        wdbench.path("logs/check_data.log"),
    params:
        run=wdbench.command,
        code=wdbench.code("datasets"),
        absent=sorted(wdbench.absent),
    message:
        "data: every loader against its reference figure"
    shell:
        "{params.run} data check --available --csv {output:q} > /dev/null 2> >(tee {log:q} >&2)"


rule oracle:
    output:
        wdbench.path("oracle/{dataset}.parquet"),
    log:
        wdbench.path("logs/oracle.{dataset}.log"),
    priority: 20
    params:
        run=wdbench.command,
        problems=lambda wildcards: wdbench.problems(wildcards.dataset),
    message:
        "oracle: exact minimisers of {wildcards.dataset}"
    shell:
        "{params.run} oracle {wildcards.dataset:q} 2> >(tee {log:q} >&2)"


# exact packs first: they hold the longest jobs, and a long job that starts last leaves a core idle
rule solve:
    output:
        rows=wdbench.path("packs/{pack}~exact.parquet"),
        trajectories=wdbench.path("packs/{pack}~exact.trajectories.parquet"),
        supports=wdbench.path("packs/{pack}~exact.supports.parquet"),
    log:
        wdbench.path("logs/train.{pack}~exact.log"),
    priority: 30
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(f"{wildcards.pack}~exact"),
    message:
        "solve: {wildcards.pack}"
    shell:
        "{params.run} train {wildcards.pack:q}~exact 2> >(tee {log:q} >&2)"


rule train:
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
    priority: 10
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(wildcards.pack),
    message:
        "train: {wildcards.pack}"
    shell:
        "{params.run} train {wildcards.pack:q} 2> >(tee {log:q} >&2)"


# networks have no oracle to wait for and take longest: first of all
rule train_network:
    output:
        rows=wdbench.path("packs/{pack}.parquet"),
        trajectories=wdbench.path("packs/{pack}.trajectories.parquet"),
        supports=wdbench.path("packs/{pack}.supports.parquet"),
    log:
        wdbench.path("logs/train.{pack}.log"),
    wildcard_constraints:
        pack=r"[^~]+~(?!(?:linear|logistic|softmax)~)[^~]+~[a-z]+(?:~[0-9]+)?",
    priority: 40
    params:
        run=wdbench.command,
        cells=lambda wildcards: wdbench.cells(wildcards.pack),
    message:
        "train: {wildcards.pack}"
    shell:
        "{params.run} train {wildcards.pack:q} 2> >(tee {log:q} >&2)"


rule identities:
    output:
        report(wdbench.file("identities"), **told("identities")),
    log:
        wdbench.path("logs/identities.log"),
    priority: 10
    params:
        run=wdbench.command,
        claimed=wdbench.identities,
        code=wdbench.code("identities", "updates", "precision", "penalties", "oracle", "models", "seeds", "datasets"),
    message:
        "identities: exact statements, checked"
    shell:
        "{params.run} identities 2> >(tee {log:q} >&2)"


rule gather:
    input:
        packs=wdbench.pack_files(),
        oracles=wdbench.oracle_files(),
    output:
        **{
            name: report(wdbench.file(name), **told(name))
            for name in ("plan", "runs", "trajectories", "supports", "oracle", "summary", "datasets")
        },
    log:
        wdbench.path("logs/gather.log"),
    params:
        run=wdbench.command,
        packs=len(wdbench.packs),
        grid=wdbench.grid,
        code=wdbench.code("gather", "dictionary"),
    message:
        "gather: {params.packs} packs into the published tables"
    shell:
        "{params.run} gather 2> >(tee {log:q} >&2)"


rule judge:
    input:
        rules.gather.output,
        identities=wdbench.file("identities"),
        claims=str(wdbench.experiment.claims),
    output:
        verdicts=report(wdbench.file("verdicts"), **told("verdicts")),
        effects=report(wdbench.file("effects"), **told("effects")),
        selected=report(wdbench.file("selected"), **told("selected")),
    log:
        wdbench.path("logs/judge.log"),
    params:
        run=wdbench.command,
        ledger=wdbench.registration,
        code=wdbench.code("claims", "stats", "filters", "config", "judging"),
    message:
        "judge: every registered claim"
    shell:
        "{params.run} judge 2> >(tee {log:q} >&2)"


rule torch_flags:
    output:
        report(wdbench.file("torch_flags"), **told("torch_flags")),
    log:
        wdbench.path("logs/torch_flags.log"),
    priority: 10
    params:
        run=wdbench.command,
        code=wdbench.code("torch_flags", "updates", "precision", "probes", "seeds", "datasets"),
    message:
        "torch flags: decay of torch's own optimisers in bf16"
    shell:
        "{params.run} torch-flags 2> >(tee {log:q} >&2)"


rule conclude:
    input:
        rules.gather.output,
        rules.judge.output,
        claims=str(wdbench.experiment.claims),
    output:
        **{name: report(wdbench.file(name), **told(name)) for name in ("mechanisms", "mechanism_pairs", "advice", "precision", "controls")},
    log:
        wdbench.path("logs/conclude.log"),
    params:
        run=wdbench.command,
        code=wdbench.code("conclusions", "claims", "stats", "judging"),
        rules=wdbench.conclusions,
    message:
        "conclude: mechanisms, advice and precision from the verdicts"
    shell:
        "{params.run} conclude 2> >(tee {log:q} >&2)"


rule draw:
    input:
        rules.gather.output,
        rules.judge.output,
    output:
        wdbench.path("figures/index.csv"),
    log:
        wdbench.path("logs/draw.log"),
    threads: workflow.cores
    params:
        run=wdbench.command,
        code=wdbench.code("figures"),
    message:
        "draw: one figure a claim"
    shell:
        "{params.run} draw --processes {threads} 2> >(tee {log:q} >&2)"


# as long as the SVGs take: only where `snakemake figures` asks for it
rule draw_pdf:
    input:
        rules.gather.output,
        rules.judge.output,
        wdbench.path("figures/index.csv"),
    output:
        wdbench.path("figures/index_pdf.csv"),
    log:
        wdbench.path("logs/draw_pdf.log"),
    threads: workflow.cores
    params:
        run=wdbench.command,
        code=wdbench.code("figures"),
    message:
        "draw: the same figures as PDF"
    shell:
        "{params.run} draw --pdf --processes {threads} 2> >(tee {log:q} >&2)"


# for `snakemake --report`, which shows the files of a folder only where a rule makes the whole folder
rule gallery:
    input:
        wdbench.path("figures/index.csv"),
    output:
        report(directory(wdbench.path("gallery")), **told("figures")),
    log:
        wdbench.path("logs/gallery.log"),
    message:
        "gallery: the figures for snakemake --report"
    shell:
        'mkdir -p {output:q} && cp "$(dirname {input:q})"/*.svg {output:q} 2> >(tee {log:q} >&2)'


rule render:
    input:
        rules.gather.output,
        rules.judge.output,
        rules.conclude.output,
        oracles=wdbench.oracle_files(),
        flags=wdbench.file("torch_flags"),
        figures=wdbench.path("figures/index.csv"),
        checks=wdbench.path("data_checks.csv"),
    output:
        report=report(wdbench.file("report"), **told("report")),
        manifest=report(wdbench.file("manifest"), **told("manifest")),
        dictionary=report(wdbench.file("dictionary"), **told("dictionary")),
    log:
        wdbench.path("logs/render.log"),
    params:
        run=wdbench.command,
        code=wdbench.code("report", "conclusions", "dictionary", "provenance"),
        rules=wdbench.conclusions,
        templates=wdbench.templates,
        evidence=wdbench.evidence,
    message:
        "report: {output.report}"
    shell:
        "{params.run} report 2> >(tee {log:q} >&2)"
