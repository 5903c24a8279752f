-- A clip that is rejected and made again has takes, which share its place in the script; the last one supersedes the
-- others. A verdict names the key that gave it.
ALTER TABLE vsl_frontend.section_videos
    -- The id of the clip's first take; NULL where it is the first one itself. No reference: that row may be deleted.
    ADD COLUMN first_take_id  integer,
    -- The API key that approved or rejected it, when, and the state before.
    ADD COLUMN reviewed_by    uuid,
    ADD COLUMN reviewed_at    timestamptz,
    ADD COLUMN reviewed_from  text;
CREATE INDEX section_videos_takes ON vsl_frontend.section_videos (first_take_id) WHERE first_take_id IS NOT NULL;

-- Takes that were made before.
WITH RECURSIVE takes AS (
    SELECT id, id AS first_id, job_id, script_id, status FROM vsl_frontend.section_videos WHERE status = 'rejected'
    UNION ALL
    SELECT v.id, t.first_id, v.job_id, v.script_id, v.status FROM takes t
        JOIN vsl.jobs j ON j.retry_of = t.job_id
        JOIN vsl_frontend.section_videos v ON v.job_id = j.id AND v.script_id IS NOT DISTINCT FROM t.script_id
        WHERE t.status = 'rejected'
), firsts AS (SELECT id, min(first_id) AS first_id FROM takes GROUP BY id)
UPDATE vsl_frontend.section_videos v SET first_take_id = f.first_id
    FROM firsts f WHERE f.id = v.id AND f.first_id <> v.id;

-- Places are numbered from 1 in each script.
WITH places AS (
    SELECT v.id, dense_rank() OVER (PARTITION BY v.script_id ORDER BY f.position, f.id) AS place
    FROM vsl_frontend.section_videos v
    JOIN vsl_frontend.section_videos f ON f.id = coalesce(v.first_take_id, v.id)
    WHERE v.script_id IS NOT NULL
)
UPDATE vsl_frontend.section_videos v SET position = p.place FROM places p WHERE p.id = v.id AND v.position <> p.place;
