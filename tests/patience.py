"""How long tests wait for what must come: many times what an idle machine takes, since one may do other work as well.

The wait costs time only where a test fails.
"""

PATIENCE_SECONDS = 600
