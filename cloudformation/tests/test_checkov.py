"""checkov finds nothing in the template but what checkov-exceptions.yml explains."""

import json
import subprocess
from pathlib import Path

import yaml

from simulator import AUDIT

FOLDER = Path(__file__).resolve().parents[1]
EXCEPTIONS = FOLDER / "checkov-exceptions.yml"


def test_checkov_finds_nothing_but_the_exceptions_and_every_exception_is_needed():
    # checkov puts the path into values that it cannot resolve, and takes a path of forty
    # characters for an access key. So the path is short.
    command = [str(AUDIT / "bin" / "checkov"), "--file", "infrastructure.yml"]
    options = ["--framework", "cloudformation", "--skip-download", "--compact", "--output", "json"]
    done = subprocess.run(
        [*command, *options], cwd=FOLDER, capture_output=True, text=True, timeout=120
    )
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 50, done.stderr
    found = {
        (one["check_id"], one["resource"].rsplit(".", 1)[1]): one["check_name"]
        for one in report["results"]["failed_checks"]
    }

    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    assert all(len(one["reason"]) > 20 for one in exceptions.values())
    explained = {
        (check, resource) for check, one in exceptions.items() for resource in one["resources"]
    }
    news = {key: name for key, name in found.items() if key not in explained}
    assert not news, "correct the template, or explain it in checkov-exceptions.yml"
    assert explained <= found.keys(), "an exception that is not needed any more"
