-- Cannot run in a transaction.
CREATE INDEX CONCURRENTLY notes_text ON notes (text);
