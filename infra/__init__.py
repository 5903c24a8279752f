"""CDK: what is deployed, one stack a lifetime."""
