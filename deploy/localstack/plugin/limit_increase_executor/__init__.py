"""Runs the functions of LocalStack's Lambda as processes of this machine, without Docker."""
