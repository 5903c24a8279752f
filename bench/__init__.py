"""Benchmarks, each one command: ratios and rates measured side by side in one run."""
