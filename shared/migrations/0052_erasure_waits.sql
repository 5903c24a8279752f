ALTER TABLE vsl.erasures
    -- Until when it waits for whom: {"workers": time, "forms": time}; the latest of them is settled_at.
    ADD COLUMN waits    jsonb NOT NULL DEFAULT '{}',
    -- Scripts whose text stays, as others' clips are in them too.
    ADD COLUMN scripts  jsonb NOT NULL DEFAULT '[]';
