"""The nightly job as a SageMaker pipeline: its definition, and what executes it here or on AWS."""

import logging
import os
import warnings

os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
# The SDK tells at every import where it looked for its configuration, and that its next major
# version has other modules. Both would stand between the lines that people read.
logging.getLogger("sagemaker.config").setLevel(logging.WARNING)
logging.getLogger("sagemaker").setLevel(logging.ERROR)
logging.getLogger("botocore").setLevel(logging.WARNING)
warnings.filterwarnings("ignore", module=r"sagemaker(\.|$)")
warnings.filterwarnings("ignore", message="Lambda function won't be updated")
warnings.filterwarnings("ignore", message="Running within a PipelineSession")
