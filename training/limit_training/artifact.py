"""The model artifact: model.onnx, model.json and manifest.json in one tar.gz.

The same model always gives the same bytes.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import catboost

from .errors import TrainingError

MODEL_NAME = "limit-increase"
SCHEMA_VERSION = 2
# The weight of a leaf that no training row reached, in rows, if the leaf has a value.
UNREACHED_WEIGHT = 1e-6


def export(model: catboost.CatBoost) -> tuple[dict[str, bytes], catboost.CatBoost]:
    """Returns the model's two files, and the model as it is read back from model.json.

    Every figure of the artifact comes from the model that was read back, as the reader will see it.
    """
    with tempfile.TemporaryDirectory() as directory:
        json_path, onnx_path = Path(directory, "model.json"), Path(directory, "model.onnx")
        model.save_model(str(json_path), format="json")
        weigh_unreached_leaves(json_path)

        saved = catboost.CatBoostClassifier()
        saved.load_model(str(json_path), format="json")
        saved.save_model(str(onnx_path), format="onnx")
        return {"model.json": json_path.read_bytes(), "model.onnx": onnx_path.read_bytes()}, saved


def weigh_unreached_leaves(path: Path) -> None:
    """Gives a small weight to leaves that have a value although no training row reached them.

    Monotone constraints give such leaves a value, because it has to fit those beside it. CatBoost
    then adds the weights of the rows that it explains to the weights of the model, so its SHAP
    values of one row depend on the other rows. With a weight for each of these leaves it does not.
    A model without such leaves is left as it is.
    """
    model = json.loads(path.read_bytes())
    changed = False
    for tree in model.get("oblivious_trees") or []:
        for leaf, (value, weight) in enumerate(
            zip(tree["leaf_values"], tree["leaf_weights"], strict=False)
        ):
            if value != 0 and weight == 0:
                tree["leaf_weights"][leaf] = UNREACHED_WEIGHT
                changed = True
    if changed:
        path.write_text(json.dumps(model), encoding="utf-8")


def created_at() -> str:
    """The current time, or SOURCE_DATE_EPOCH if it is set.

    With it set, a second training on the same data gives an artifact of the same bytes.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        moment = datetime.now(UTC)
    else:
        try:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise TrainingError(
                f"SOURCE_DATE_EPOCH is {epoch!r}, not a number of seconds",
                where="environment",
                next_step="unset it, or set it to seconds since 1970",
            ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def describe_files(files: dict[str, bytes]) -> dict:
    return {
        name: {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
        for name in ("model.onnx", "model.json")
    }


def pack(files: dict[str, bytes], manifest: dict) -> bytes:
    """Packs the model's files with their manifest."""
    written = json.dumps(manifest, indent=1, allow_nan=False).encode() + b"\n"
    return pack_entries({"manifest.json": written, **files})


def pack_entries(entries: dict[str, bytes]) -> bytes:
    """Packs a tar.gz that holds no times, owners or file modes of this machine."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(entries):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(entries[name]), 0o644, 0
            archive.addfile(info, io.BytesIO(entries[name]))

    packed = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0) as stream:
        stream.write(plain.getvalue())
    return packed.getvalue()


def write_whole(path: str, content: bytes) -> None:
    """Writes beside the target and renames: a reader sees the old file or the complete new one."""
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as handle:
            try:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
                os.chmod(handle.name, 0o644)
                os.replace(handle.name, target)
            except BaseException:
                os.unlink(handle.name)
                raise
    except OSError as error:
        raise TrainingError(
            f"cannot write {path}: {error.strerror or error}",
            where="--output",
            next_step="choose a place where this user may write",
        ) from error
