"""What the verdicts add up to: mechanisms told apart, advice, and what precision does. Tables made from tables, nothing trained.

`mechanisms.yaml` and `advice.yaml` say what each possible outcome of a claim would mean; the outcome itself is read from
verdicts.csv. Nothing here knows what a run found.
"""
