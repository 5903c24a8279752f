"""AAC as MP4 carries it (ISO 14496-3)."""
