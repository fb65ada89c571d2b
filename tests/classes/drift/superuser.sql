-- Objects that a superuser alone creates.
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER elsewhere TYPE 'a' FOREIGN DATA WRAPPER wrapper OPTIONS (host 'canary-host', password 'canary-secret');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere OPTIONS (password 'canary-secret');
CREATE FOREIGN TABLE far (id int OPTIONS (column_name 'ID')) SERVER elsewhere
    OPTIONS (table_name 'far', password 'canary-secret');
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION app.on_ddl();
