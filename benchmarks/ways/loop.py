"""The plain way: one module, one torch.optim optimiser, one cell after another, in one process."""

import time

import numpy as np
import torch

from benchmarks.cases import Case
from wdbench import models


def train(case: Case):
    started = time.perf_counter()
    found = {i: cell(case, i) for i in range(case.plain)}
    return time.perf_counter() - started, case.plain, found


def cell(case: Case, position: int) -> np.ndarray:
    """Train one cell; its decayed weights, flat."""
    run, family = case.runs[position], models.parse(case.model)[0]
    data, start = case.data[run.replicate], case.start(run.replicate)
    module = case.module()
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(torch.from_numpy(start[name]))
    groups = [{"params": [p for n, p in module.named_parameters() if case.decayed(n) is decayed],
               "weight_decay": run.lambda2 if decayed else 0.0} for decayed in (True, False)]
    groups = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(groups, lr=run.lr) if case.optimiser == "adam" else torch.optim.SGD(groups, lr=run.lr)
    x = torch.as_tensor(data.x) if case.task == "language" else torch.as_tensor(data.x, dtype=torch.float32)
    y = torch.as_tensor(data.y, dtype=torch.float32)
    for rows in case.order(run.replicate):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16_compute"):
            z = module(x[rows])
        family.loss(z.float(), y[rows]).backward()
        optimizer.step()
    return np.concatenate([value.detach().numpy().ravel() for name, value in module.named_parameters() if case.decayed(name)])
