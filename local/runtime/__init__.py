"""The local Lambda runner and REST API gateway: the deployed functions, run from the source tree."""
