"""The local stack: the deployed functions, the deployed template, no AWS account and no Docker."""
