"""A stand-in for Replicate: its HTTP contract and webhooks, with media made here by FFmpeg and Pillow."""
