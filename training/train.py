"""Trains the credit model on a table of customers and writes the model artifact (tar.gz).

Run `train.py --help` for the options and examples.
"""

import argparse
import json
import sys

from limit_training.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNEXPECTED, TrainingError
from limit_training.options import check, descriptions, parser


def run(options: argparse.Namespace) -> dict:
    """Trains, writes the artifact and returns the result for the report."""
    check(options)
    texts = descriptions(options.descriptions)

    # CatBoost and scikit-learn take seconds to load. --help and a wrong command line do not wait.
    try:
        from limit_training import training
    except ImportError as error:
        raise TrainingError(
            f"the Python package {error.name} is not installed",
            where=sys.executable,
            next_step="install training/requirements.txt into it, or use `limit-increase train`,"
            " which does",
            exit_code=EXIT_UNEXPECTED,
        ) from error
    return training.train(options, texts)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        result = run(options)
    except TrainingError as error:
        return error.tell(options.json)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return EXIT_INTERRUPTED

    from limit_training import report

    print(json.dumps(result, allow_nan=False) if options.json else report.as_text(result))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
