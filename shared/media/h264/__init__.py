"""H.264 as far as joining needs it (ISO 14496-10): parameter sets, slice headers up to their PPS id."""
