//! The query that reads a schema from the catalog, one row for each object.
//!
//! It runs with a search path of `pg_catalog` alone, so that each other name is printed with its
//! schema.

/// Returns the query. Its rows are `kind`, `name`, `owner`; `definition`, in words and SQL; `query`, the
/// text of a view; `body`, the text of a function in its language. The last three may be NULL.
pub(super) fn schema_objects() -> String {
    format!("{SHARED}{}", PARTS.join("UNION ALL\n"))
}

const SHARED: &str = include_str!("shared.sql");

const PARTS: [&str; 5] = [
    include_str!("tables.sql"),
    include_str!("constraints.sql"),
    include_str!("rules.sql"),
    include_str!("routines.sql"),
    include_str!("types.sql"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// User mappings and subscriptions hold passwords, and so may the options of a server.
    #[test]
    fn query_reads_no_secret() {
        let query = schema_objects();
        for secret in ["pg_user_mapping", "umoptions", "subconninfo", "pg_authid"] {
            assert!(!query.contains(secret), "{secret}");
        }
        let values: Vec<_> = query.match_indices("option_value").collect();
        assert_eq!(values.len(), 2, "options of foreign tables and columns");
    }
}
