"""`make fuzz`: goes on from the seed the last run came to. A failing seed ends it, and is run first the next time."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter

from tests.fuzz.corpus import ROOT, make_corpus, run_in_child

STATE = ROOT / ".local" / "fuzz"
BATCH = 2000


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--from-seed", type=int)
    options = parser.parse_args()
    corpus = make_corpus(STATE / "corpus")
    progress = STATE / "seed.json"
    seed = json.loads(progress.read_text())["seed"] if progress.exists() else 0
    seed = options.from_seed if options.from_seed is not None else seed
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        answer = run_in_child(corpus, seed, BATCH)
        seed = answer["seed"]
        progress.write_text(json.dumps({"seed": seed}))
        outcomes.update(answer["outcomes"])
        if answer["error"]:
            print(f"seed {seed}: {answer['error']}")
            return 1
        print(f"{sum(outcomes.values())} forgeries up to seed {seed}: {dict(outcomes.most_common(6))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
