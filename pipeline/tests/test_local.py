"""The local mode, as far as it needs no service."""

import socket

from conftest import FUNCTIONS
from limit_pipeline.local import LocalPipeline


def test_a_run_of_several_shards_is_refused_by_name_before_a_function_is_called(
    pipeline, local_session
):
    """Promise 10. Nobody listens at the address of the functions, so a call would be an error."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        local_session.lambda_client = local_session.boto_session.client(
            "lambda", endpoint_url=endpoint
        )
        store = local_session.store
        version, _ = store.upsert(pipeline.definition())
        record, _ = store.begin(version, {"Limit": 8, "ShardSize": 7}, None)
        local = LocalPipeline(pipeline, local_session=local_session)
        ended = local.execute(record, FUNCTIONS.update_database)

    assert ended.status == "Failed" and store.find(ended.id) == ended
    assert [step["name"] for step in ended.steps] == ["OneShard", "RefuseLargeRun"]
    for words in ("Permanent.InvalidRequest", "8 customers", "one shard of 7", "Step Functions"):
        assert words in ended.failure_reason
    assert "the ledger was not told" in ended.unrecorded, "which the next start makes good"
