-- What earlier compiles took, newest first: estimates are learnt from them.
CREATE INDEX jobs_compiled ON vsl.jobs ((result->>'strategy'), completed_at DESC)
    WHERE kind = 'compile' AND status = 'completed';
