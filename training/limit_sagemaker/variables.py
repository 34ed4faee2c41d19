"""The SM_* variables and the arguments that SageMaker's training toolkit gives a script.

training/tests/test_image.py compares them with those of the toolkit itself.
"""

import json
import os
from pathlib import Path

from .job import PROGRAM, SOURCE

PREFIX = "sagemaker_"
LOG_LEVEL_INFO = 20


def hyperparameters(root: Path) -> dict:
    """The values of hyperparameters.json, parsed if they are JSON, as the toolkit reads them."""
    given = _read(root, "hyperparameters")
    return {name: _parsed(value) for name, value in given.items()}


def arguments(parameters: dict) -> list[str]:
    """Every hyperparameter as `--name value`, without the toolkit's own."""
    own = _own(parameters)
    return [word for name in sorted(own) for word in (f"--{name}", str(own[name]))]


def variables(root: Path) -> dict[str, str]:
    parameters = hyperparameters(root)
    own = _own(parameters)
    resources, channels = _read(root, "resourceconfig"), _read(root, "inputdataconfig")
    program = parameters[PROGRAM]
    values = {
        "CHANNELS": sorted(channels),
        "CURRENT_HOST": resources["current_host"],
        "CURRENT_INSTANCE_GROUP": resources["current_group_name"],
        "CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "FRAMEWORK_MODULE": "",
        "FRAMEWORK_PARAMS": {},
        "HOSTS": resources["hosts"],
        "HPS": own,
        "INPUT_CONFIG_DIR": str(root / "input" / "config"),
        "INPUT_DATA_CONFIG": channels,
        "INPUT_DIR": str(root / "input"),
        "LOG_LEVEL": LOG_LEVEL_INFO,
        "MODEL_DIR": str(root / "model"),
        "MODULE_DIR": parameters[SOURCE],
        "MODULE_NAME": program.removesuffix(".py"),
        "NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "NUM_CPUS": os.cpu_count() or 1,
        "NUM_GPUS": 0,
        "OUTPUT_DATA_DIR": str(root / "output" / "data"),
        "OUTPUT_DIR": str(root / "output"),
        "OUTPUT_INTERMEDIATE_DIR": str(root / "output" / "intermediate"),
        "RESOURCE_CONFIG": resources,
        "USER_ARGS": arguments(parameters),
        "USER_ENTRY_POINT": program,
        **{f"CHANNEL_{name.upper()}": str(root / "input/data" / name) for name in channels},
        **{f"HP_{name.upper()}": value for name, value in own.items()},
    }
    return {f"SM_{name}": _text(value) for name, value in values.items()}


def _own(parameters: dict) -> dict:
    return {name: value for name, value in parameters.items() if not name.startswith(PREFIX)}


def _read(root: Path, name: str) -> dict:
    return json.loads((root / "input" / "config" / f"{name}.json").read_text(encoding="utf-8"))


def _parsed(value: str) -> object:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
