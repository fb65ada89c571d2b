//! The tables in which stagelink keeps what it knows of a database, in the database itself.

/// The history, as refinery names it.
pub(crate) const HISTORY_TABLE: &str = "refinery_schema_history";

/// The table of what was decided about the files of the history.
pub(crate) const RECORDS_TABLE: &str = "stagelink_migration_records";

/// The table of the schema as the last run left it.
pub(crate) const SNAPSHOT_TABLE: &str = "stagelink_schema_snapshot";

/// The table of the deploys of a stage.
pub(crate) const DEPLOYS_TABLE: &str = "stagelink_deploys";

/// The table of the command that works on a stage.
pub(crate) const LEASES_TABLE: &str = "stagelink_leases";

/// The tables of stagelink's own, and the history, which refinery reads too.
pub(crate) const OWN_TABLES: [&str; 5] = [
    HISTORY_TABLE,
    RECORDS_TABLE,
    SNAPSHOT_TABLE,
    LEASES_TABLE,
    DEPLOYS_TABLE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_of_schemas_leaves_out_the_own_tables() {
        let query = include_str!("drift/catalog/shared.sql");
        let (_, list) = query.split_once("c.relname NOT IN (").expect("the list");
        let (list, _) = list.split_once(')').expect("its end");
        let mut listed: Vec<&str> = list
            .split(',')
            .map(|one| one.trim().trim_matches('\''))
            .collect();
        listed.sort_unstable();
        let mut own = OWN_TABLES;
        own.sort_unstable();
        assert_eq!(listed, own);
    }
}
