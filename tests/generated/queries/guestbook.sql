--! add_entry
INSERT INTO guestbook (name, message) VALUES (:name, :message) RETURNING id;

--! entries_of
SELECT id, name, message FROM guestbook WHERE name = :name ORDER BY id;

--! rename_all
UPDATE guestbook SET name = :new WHERE name = :old;
