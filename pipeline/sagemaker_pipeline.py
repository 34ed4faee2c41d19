#!/usr/bin/env python3.11
"""The nightly job as a SageMaker pipeline. `limit-increase pipeline` calls it.

.local/venvs/pipeline/bin/python pipeline/sagemaker_pipeline.py start --help
"""

import gc
import sys

from limit_pipeline.command import main

if __name__ == "__main__":
    # The import of the SDK makes objects that live until the end of this short program. To look
    # among them for garbage would take a fifth of its time.
    gc.disable()
    sys.exit(main())
