"""Commands an operator runs against a deployed stage, with the operator's own credentials."""
