"""What is kept of the local pipeline."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import ARN, PIPELINE
from limit_pipeline.errors import PipelineError


def test_a_definition_is_a_version_when_it_differs_from_the_last(store):
    first, fresh = store.upsert('{"Steps": []}')
    assert (first.number, fresh) == (1, True)
    assert store.upsert('{"Steps": []}') == (first, False)
    second, fresh = store.upsert('{"Steps": [1]}')
    assert (second.number, fresh) == (2, True)
    third, _ = store.upsert('{"Steps": []}')
    assert (third.number, third.sha256) == (3, first.sha256), "an older one is a new version"
    assert [version.number for version in store.versions()] == [1, 2, 3]
    assert store.definition(second) == {"Steps": [1]}


def test_simultaneous_starts_with_one_token_are_one_execution(store):
    version, _ = store.upsert("{}")
    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(lambda _: store.begin(version, {"Limit": 1}, "t"), range(8)))
    assert len({record.id for record, _ in begun}) == 1
    assert sum(fresh for _, fresh in begun) == 1

    with pytest.raises(PipelineError, match="with other parameters"):
        store.begin(version, {"Limit": 2}, "t")
    other, fresh = store.begin(version, {"Limit": 1}, None)
    assert fresh and other.id != begun[0][0].id


def test_an_execution_is_found_by_its_id_its_run_and_its_arn(store):
    version, _ = store.upsert("{}")
    record, _ = store.begin(version, {}, None)
    record.steps.append({"name": "QueryBatchScores"})
    store.save(record)
    for name in (record.id, record.run_id, record.arn):
        assert store.find(name) == record
    for name in ("nobody", "../pipeline", ""):
        with pytest.raises(PipelineError, match="there is no execution"):
            store.find(name)


def test_an_execution_whose_process_was_killed_is_stopped(store):
    """Its file says Executing for ever, and nobody is left to correct it."""
    program = f"""
import pathlib, sys, time
from limit_pipeline.executions import ExecutionStore
store = ExecutionStore(pathlib.Path({str(store.folder)!r}), {ARN!r})
record, _ = store.begin(store.upsert("{{}}")[0], {{}}, "night-1")
record.steps = [{{"name": "QueryBatchScores", "status": "Executing", "started": time.time()}}]
store.save(record)
print(record.id, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=PIPELINE, stdout=subprocess.PIPE, text=True
    ) as process:
        id = process.stdout.readline().strip()
        (alive,) = store.list()
        assert (alive.id, alive.status, alive.unrecorded) == (id, "Executing", None)
        process.send_signal(signal.SIGKILL)

    (killed,) = store.list()
    assert killed == store.find(id)
    assert (killed.status, killed.steps[0]["status"]) == ("Stopped", "Stopped")
    assert killed.ended >= killed.started and "was killed" in killed.failure_reason
    assert "next start" in killed.unrecorded
    assert store.find_token("night-1", {}) == killed, "the token does not start it again"
