"""The compile engine: probe, plan, FFmpeg command building, verification. No process is started here."""
