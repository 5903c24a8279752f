"""A function that cannot be loaded."""

import a_module_that_is_not_there  # type: ignore[import-not-found]

handler = a_module_that_is_not_there.handler
