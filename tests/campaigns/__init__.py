"""Long runs with many seeds: `make campaign`. Short slices of them are in the suite (tests/faults)."""
