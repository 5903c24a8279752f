-- A script is deleted with its clips: what names it is found by it.
CREATE INDEX jobs_by_script ON vsl.jobs (account_id, script_id) WHERE script_id IS NOT NULL;
CREATE INDEX uploads_by_script ON vsl.uploads (script_id) WHERE script_id IS NOT NULL;
CREATE INDEX section_videos_by_script ON vsl_frontend.section_videos (script_id) WHERE script_id IS NOT NULL;
