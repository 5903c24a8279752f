"""MP4 and MOV (ISO 14496-12): reading what others wrote, bounds-checked, and writing our own."""
