-- GET /jobs and GET /api/section-videos by a rare status, kind, user or section read no more than what they answer.
-- What was erased is in no list, however much of it there is.
CREATE INDEX jobs_listed ON vsl.jobs (account_id, created_at DESC, id DESC) WHERE erased_at IS NULL;
CREATE INDEX jobs_listed_by_status ON vsl.jobs (account_id, status, created_at DESC, id DESC) WHERE erased_at IS NULL;
CREATE INDEX jobs_listed_by_kind ON vsl.jobs (account_id, kind, created_at DESC, id DESC) WHERE erased_at IS NULL;
DROP INDEX vsl.jobs_newest;

CREATE INDEX section_videos_by_status ON vsl_frontend.section_videos (account_id, status, id DESC);
CREATE INDEX section_videos_by_user ON vsl_frontend.section_videos (account_id, user_id, id DESC);
CREATE INDEX section_videos_by_section ON vsl_frontend.section_videos (account_id, section_id, id DESC);
