"""The model that a job leaves: packed as SageMaker does, checked, and packed as the artifact.

SageMaker packs the model folder in its own way. The artifact of the same three files always has the
same bytes, those that train.py writes.
"""

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from limit_training import artifact, golden, selfcheck
from limit_training.errors import EXIT_SELF_CHECK, TrainingError

MANIFEST = "manifest.json"
FILES = (MANIFEST, "model.json", "model.onnx")
# The loader's bounds: shared/artifact/src/archive.rs.
MAX_BYTES = {MANIFEST: 8 << 20, "model.json": 128 << 20, "model.onnx": 128 << 20}
MAX_ARCHIVE_BYTES = 64 << 20


@dataclass(frozen=True)
class Model:
    """A model that the functions will load: its artifact, and what its manifest says."""

    content: bytes
    manifest: dict


def pack_folder(folder: Path, archive: Path) -> Path:
    """Packs a folder as SageMaker makes model.tar.gz of /opt/ml/model."""
    with tarfile.open(archive, "w:gz") as packed:
        for name in sorted(os.listdir(folder)):
            packed.add(folder / name, arcname=name)
    return archive


def collect(archive: Path) -> Model:
    """Takes the three files out of a job's model.tar.gz, and checks all that the loader checks."""
    entries = read(archive)
    manifest = json.loads(entries[MANIFEST])
    files = {name: entries[name] for name in FILES if name != MANIFEST}
    described = artifact.describe_files(files)
    for name, digest in described.items():
        if manifest.get("files", {}).get(name) != digest:
            raise model_error(f"{name} is not the file that the manifest describes", archive)

    rows = manifest["golden_rows"]
    inputs = np.array([golden.inputs_of(row) for row in rows], dtype=np.float32)
    selfcheck.check_files(files, manifest, inputs, np.array([row["raw_value"] for row in rows]))
    content = artifact.pack_entries(entries)
    if len(content) > MAX_ARCHIVE_BYTES:
        raise model_error(f"it has {len(content):,} bytes; {MAX_ARCHIVE_BYTES:,} can be", archive)
    return Model(content, manifest)


def read(archive: Path) -> dict[str, bytes]:
    """The three files of an archive, in whatever way it was packed."""
    entries: dict[str, bytes] = {}
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.isdir():
                    continue
                name = str(PurePosixPath(member.name))
                if name not in FILES or name in entries or not member.isfile():
                    raise model_error(f"it holds {member.name}", archive)
                if member.size > MAX_BYTES[name]:
                    raise model_error(f"{name} has {member.size:,} bytes", archive)
                entries[name] = packed.extractfile(member).read()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise model_error(f"it cannot be read: {error}", archive) from error
    if missing := [name for name in FILES if name not in entries]:
        raise model_error(f"it lacks {', '.join(missing)}", archive)
    return entries


def model_error(what: str, archive: Path) -> TrainingError:
    return TrainingError(
        f"the job's model cannot be used: {what}",
        where=str(archive),
        next_step=f"a job leaves {', '.join(FILES)} in its model folder and nothing else; train"
        " it anew",
        exit_code=EXIT_SELF_CHECK,
    )
