//! The functions that a run creates or drops, and those of before: what a call by a name may mean.

use super::Scope;
use crate::migrations::class::seen_by::{RoutineEffects, RoutineFacts, TriggerFacts};
use crate::migrations::statement::{ObjectName, fold_name};

/// Trigger functions of Postgres and of its usual extensions that change the written row, and nothing else.
const OF_THE_ROW: [&str; 4] = [
    "moddatetime",
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
];

impl Scope<'_> {
    /// Returns whether the same file creates the function, and there is no other of its name.
    pub(in super::super) fn is_new_routine(&self, name: &ObjectName) -> bool {
        let name = self.creation_name(name);
        self.created_routines.contains(&name) && !self.facts.routines.contains(&name)
    }

    /// Returns whether the database or the run has a function of that name, in any schema.
    pub(in super::super) fn has_routine_named(&self, name: &str) -> bool {
        let mut routines = self.facts.routines.iter();
        routines.any(|routine| routine.name == name) || self.code.has_routine_named(name)
    }

    /// Returns whether all functions that a call by this name may mean are the database's own or the run's, and only
    /// compute.
    pub(in super::super) fn only_computes(&self, called: &str) -> bool {
        let routines = self.routines_called(called);
        let computes = |one: &&RoutineFacts| one.effects == RoutineEffects::Computes;
        !routines.is_empty() && routines.iter().all(computes)
    }

    /// Returns whether a function of the database does little, by its key.
    pub(in super::super) fn does_little(&self, key: u32) -> bool {
        let routine = self.facts.bodies.get(&key);
        routine.is_some_and(|one| one.effects >= RoutineEffects::Little)
    }

    /// Returns whether a trigger does little, whatever its condition is, which is code of its own.
    fn is_of_the_row(&self, trigger: &TriggerFacts) -> bool {
        match trigger.is_provided {
            true => OF_THE_ROW.contains(&trigger.function_name.as_str()),
            false => self.does_little(trigger.function),
        }
    }

    /// Returns the functions that a call by this name may mean, if each of them is the database's own or the run's.
    pub(in super::super) fn routines_called(&self, called: &str) -> Vec<&RoutineFacts> {
        let parts: Vec<String> = called
            .split('.')
            .map(|part| fold_name(part.trim()))
            .collect();
        let Some(name) = ObjectName::from_parts(parts) else {
            return Vec::new();
        };
        let mut provided = self.facts.provided_routines.iter();
        if name.schema.is_none() && provided.any(|one| one.name == name.name) {
            return Vec::new();
        }
        let known = self.facts.bodies.values().chain(&self.bodies_of_run);
        let known = known.filter(|one| one.name.name == name.name);
        let found: Vec<&RoutineFacts> = known.collect();
        // One of which nothing is known, as of an aggregate's.
        let of_name = self.facts.routines.iter();
        let mut of_name = of_name.filter(|one| one.name == name.name);
        let is_read = |one: &ObjectName| found.iter().any(|routine| routine.name == *one);
        match of_name.all(is_read) && !self.is_created_unread(&name.name) {
            true => found,
            false => Vec::new(),
        }
    }

    /// Returns the name of a function of an extension that is called with its schema.
    pub(in super::super) fn provided_name(&self, called: &str) -> Option<String> {
        let parts: Vec<String> = called
            .split('.')
            .map(|part| fold_name(part.trim()))
            .collect();
        let name = ObjectName::from_parts(parts).filter(|name| name.schema.is_some())?;
        self.facts
            .provided_routines
            .contains(&name)
            .then_some(name.name)
    }

    /// Returns whether the run created a function of that name whose body is not known.
    fn is_created_unread(&self, name: &str) -> bool {
        let of_run = self.code.routines_named(name);
        let read = self.bodies_of_run.iter();
        let read = read.filter(|one| one.name.name == name).count();
        of_run > read
    }

    /// Returns whether the run dropped a function of that name.
    pub(in super::super) fn was_routine_dropped(&self, name: &str) -> bool {
        self.dropped_routines.contains(name)
    }

    /// Records that a function is gone. There may be others of its name.
    pub(in super::super) fn drop_routine(&mut self, name: &ObjectName) {
        self.dropped_routines.insert(name.name.clone());
    }

    pub(in super::super) fn create_routine(
        &mut self,
        name: &ObjectName,
        facts: Option<RoutineFacts>,
    ) {
        let name = self.creation_name(name);
        self.code.add_routine(name.clone());
        self.bodies_of_run.extend(facts.map(|facts| RoutineFacts {
            name: name.clone(),
            ..facts
        }));
        self.created_routines.insert(name);
    }

    /// Returns whether a table has triggers that do more than is known to be little.
    pub(in super::super) fn has_acting_triggers(&self, table: &ObjectName) -> bool {
        self.relation(table).is_some_and(|facts| {
            let triggers = &facts.seen_by.triggers;
            let mut acting = triggers.iter().filter(|one| !self.is_of_the_row(one));
            facts.has_triggers && (triggers.is_empty() || acting.next().is_some())
        })
    }
}
