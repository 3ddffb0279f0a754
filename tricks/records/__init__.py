"""Recorded runs: kept, compared, made; and the paper's own numbers."""
