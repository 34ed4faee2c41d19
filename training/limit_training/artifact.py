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
SCHEMA_VERSION = 1


def export(model: catboost.CatBoost) -> tuple[dict[str, bytes], catboost.CatBoost]:
    """Returns the model's two files, and the model as it is read back from model.json.

    Every figure of the artifact comes from the model that was read back, as the reader will see it.
    """
    with tempfile.TemporaryDirectory() as directory:
        json_path, onnx_path = Path(directory, "model.json"), Path(directory, "model.onnx")
        model.save_model(str(json_path), format="json")

        saved = catboost.CatBoostClassifier()
        saved.load_model(str(json_path), format="json")
        saved.save_model(str(onnx_path), format="onnx")
        return {"model.json": json_path.read_bytes(), "model.onnx": onnx_path.read_bytes()}, saved


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
