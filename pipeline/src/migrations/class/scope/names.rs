//! The names of a statement, by the search path that the run has set and by its renames.

use super::{Scope, TEMPORARY};
use crate::migrations::statement::ObjectName;

/// The schema of names without one after a change of the search path that cannot be followed. No
/// schema has this name.
const SOMEWHERE: &str = "";

impl Scope<'_> {
    /// Returns the name with its schema, and by its name before the file if that changed.
    pub(in super::super) fn resolve(&self, name: &ObjectName) -> ObjectName {
        let name = self.full(name);
        self.renamed.get(&name).cloned().unwrap_or(name)
    }

    /// Returns the name with the schema in which Postgres finds it. Each schema of the search path
    /// may have it by the run or by the facts.
    pub(super) fn full(&self, name: &ObjectName) -> ObjectName {
        if name.schema.is_some() {
            return name.clone();
        }
        let temporary = ObjectName::in_schema(TEMPORARY, &name.name);
        if self.created.contains(&temporary) {
            return temporary;
        }
        let candidates = self.search_path.iter();
        let mut candidates = candidates.map(|schema| ObjectName::in_schema(schema, &name.name));
        let found = candidates.find(|one| {
            self.created.contains(one)
                || self.created_before.contains(one)
                || self.renamed.contains_key(one)
                || (!self.gone.contains(one)
                    && (self.facts.relations.contains_key(one)
                        || self.facts.routines.contains(one)))
        });
        found.unwrap_or_else(|| self.creation_name(name))
    }

    /// Returns the name of an index with the schema in which Postgres finds it.
    pub(in super::super) fn resolve_index(&self, index: &ObjectName) -> Option<ObjectName> {
        self.facts.resolve_index(index, &self.search_path)
    }

    /// Returns the name with the schema in which Postgres creates it.
    pub(in super::super) fn creation_name(&self, name: &ObjectName) -> ObjectName {
        match (&name.schema, self.search_path.first()) {
            (Some(_), _) => name.clone(),
            (None, Some(schema)) => ObjectName::in_schema(schema, &name.name),
            (None, None) => ObjectName::in_schema("public", &name.name),
        }
    }

    /// Returns whether the name has no schema, and those in which it is looked up are not known.
    pub(in super::super) fn is_unresolvable(&self, name: &ObjectName) -> bool {
        self.full(name).schema.as_deref() == Some(SOMEWHERE) && !self.is_new(name)
    }

    /// Returns whether a name, with a schema or without, may mean an object.
    pub(super) fn may_mean(&self, name: &ObjectName, object: &ObjectName) -> bool {
        object.name == name.name
            && match &name.schema {
                Some(_) => object.schema == name.schema,
                None => self
                    .search_path
                    .iter()
                    .any(|one| object.schema.as_ref() == Some(one)),
            }
    }

    /// Records a schema, which comes into the search path if that lists it.
    pub(in super::super) fn create_schema(&mut self, name: &str) {
        let listed = &self.facts.listed_schemas;
        let is_in_path = |schema: &String| self.search_path.contains(schema) || schema == name;
        if self.search_path == self.facts.search_path && listed.iter().any(|one| one == name) {
            self.search_path = listed
                .iter()
                .filter(|one| is_in_path(one))
                .cloned()
                .collect();
        }
    }

    /// Records a search path. A schema of the role's own name is written as `"$user"`.
    pub(in super::super) fn set_search_path(&mut self, path: Vec<String>) {
        let role = &self.facts.role;
        let schema = |name: String| match &*name {
            "$user" => role.clone(),
            _ => name,
        };
        self.search_path = path.into_iter().map(schema).collect();
    }

    /// Puts a schema before the others, and returns the search path until now.
    pub(in super::super) fn enter_schema(&mut self, schema: String) -> Vec<String> {
        let before = self.search_path.clone();
        self.search_path.insert(0, schema);
        before
    }

    /// Sets the search path back to that of before `enter_schema`.
    pub(in super::super) fn leave_schema(&mut self, before: Vec<String>) {
        self.search_path = before;
    }

    /// Records a change of the search path that cannot be followed.
    pub(in super::super) fn lose_search_path(&mut self) {
        self.search_path = vec![SOMEWHERE.to_owned()];
    }

    pub(in super::super) fn reset_search_path(&mut self) {
        self.search_path.clone_from(&self.facts.search_path);
    }
}
