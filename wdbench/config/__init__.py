"""The experiment and the claims as typed, frozen values; the only reader of YAML."""
