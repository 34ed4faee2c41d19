#!/usr/bin/env python3.11
"""The nightly job as a SageMaker pipeline. `limit-increase pipeline` calls it.

.local/venvs/pipeline/bin/python pipeline/sagemaker_pipeline.py start --help
"""

import sys

from limit_pipeline.command import main

if __name__ == "__main__":
    sys.exit(main())
