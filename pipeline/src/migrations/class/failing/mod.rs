//! Expressions that may fail for a row which the code that runs now writes.
//!
//! An expression never fails if each form, operator and function of it is of a closed list, with the arguments that the
//! list asks for. Anything else may fail.

mod functions;
mod operators;
mod value;

use squawk_syntax::{SyntaxKind, SyntaxNode};

use self::value::{Kind, Value};
use super::column_type::ColumnType;
use super::default_value;
use super::null_check::is_expression;
use super::own_code;
use super::query;
use super::routine_body;
use super::scope::Scope;
use super::syntax::{child, is_type, names_under};
use crate::migrations::statement::{ObjectName, fold_name};

/// The number of functions of the database's own that call one another.
const DEPTH: u8 = 3;

/// A part of an expression that may fail.
type Failing = SyntaxNode;

/// The expressions of a table, or those of a function's body, which has no table.
#[derive(Clone, Copy)]
struct Judge<'a> {
    scope: &'a Scope<'a>,
    table: Option<&'a ObjectName>,
    depth: u8,
}

/// Returns the part of an index's expressions, of its `WHERE` or of its operator classes that may fail for
/// a row which the code that runs now writes.
pub(super) fn part_of_index(
    scope: &Scope<'_>,
    node: &SyntaxNode,
    table: &ObjectName,
) -> Option<String> {
    let classes = names_under(node, &[SyntaxKind::OP_CLASS_REF]).into_iter();
    let facts = scope.facts;
    let mut own = classes.filter(|name| facts.operator_classes.contains(&name.name));
    let of_class = own.next().map(|name| format!("the operator class {name}"));
    of_class.or_else(|| part(scope, node, table))
}

/// Returns the part of an expression that may fail for a row which the code that runs now writes. A column
/// that the run adds is NULL in such a row, and no operator of Postgres fails for it.
pub(super) fn part(scope: &Scope<'_>, node: &SyntaxNode, table: &ObjectName) -> Option<String> {
    let code = own_code::in_expressions(scope, node);
    code.or_else(|| {
        let failing = Judge::new(scope, table).first(node)?;
        Some(failing.text().to_string().trim().to_owned())
    })
}

/// Returns the part of a generated column's expression that may fail, or the expression where the column's type is
/// not known to take what it gives.
pub(super) fn part_of_generated(
    scope: &Scope<'_>,
    node: &SyntaxNode,
    table: &ObjectName,
    spelled_type: &str,
) -> Option<String> {
    part(scope, node, table).or_else(|| {
        let expression = node.descendants().find(is_expression)?;
        let value = Judge::new(scope, table).value(&expression).ok()?;
        let is_taken = value.is_taken_by(&ColumnType::parse(spelled_type))
            || default_value::takes(scope, table, spelled_type, &expression);
        (!is_taken).then(|| format!("{spelled_type} of {}", expression.text()))
    })
}

impl<'a> Judge<'a> {
    fn new(scope: &'a Scope<'a>, table: &'a ObjectName) -> Self {
        Self {
            scope,
            table: Some(table),
            depth: DEPTH,
        }
    }

    /// Returns the first expression under a node that may fail.
    fn first(self, node: &SyntaxNode) -> Option<Failing> {
        match is_expression(node) {
            true => self.value(node).err(),
            false => node.children().find_map(|one| self.first(&one)),
        }
    }

    /// Returns what an expression gives, or the part of it that may fail.
    fn value(self, node: &SyntaxNode) -> Result<Value, Failing> {
        if node.kind() != SyntaxKind::CALL_EXPR && self.is_of_new_columns(node) {
            return Ok(Value::of(Kind::Other));
        }
        self.value_of_kind(node)
    }

    fn value_of_kind(self, node: &SyntaxNode) -> Result<Value, Failing> {
        use SyntaxKind as K;
        match node.kind() {
            K::LITERAL => Ok(Value::of(match node.text().to_string().starts_with('$') {
                // An argument of a function.
                true if is_parameter(node) => Kind::Other,
                _ => Kind::Constant,
            })),
            K::NAME_REF => Ok(self.column(&node.text().to_string())),
            K::FIELD_EXPR => {
                let mut parts = node.children();
                let base = parts.next().ok_or_else(|| node.clone())?;
                let name = parts.last().ok_or_else(|| node.clone())?;
                if base.kind() == K::NAME_REF {
                    return Ok(self.column(&name.text().to_string()));
                }
                self.value(&base)?;
                Ok(Value::of(Kind::Other))
            }
            K::PAREN_EXPR | K::COLLATE => {
                let mut values = self.values(node)?;
                match values.len() {
                    1 => Ok(values.remove(0)),
                    _ => Ok(Value::of(Kind::Other)),
                }
            }
            K::INDEX_EXPR | K::SLICE_EXPR => {
                self.values(node)?;
                Ok(Value::of(Kind::Other))
            }
            K::ARRAY_EXPR => {
                let values = self.values(node)?;
                match values.iter().any(Value::may_be_array) {
                    true => Err(node.clone()),
                    false => Ok(Value::of(Kind::Array)),
                }
            }
            K::BETWEEN_EXPR => {
                self.values(node)?;
                Ok(Value::of(Kind::Truth))
            }
            K::CASE_EXPR => self.case(node),
            K::CAST_EXPR => self.cast(node),
            K::PREFIX_EXPR => self.prefix(node),
            K::POSTFIX_EXPR => {
                self.values(node)?;
                let text = node.text().to_string().to_ascii_lowercase();
                let mut words = text.split_whitespace();
                let is_test = words.any(|word| matches!(word, "isnull" | "notnull" | "is"));
                let is_known = is_test && child(node, K::AT_LOCAL).is_none();
                match is_known {
                    true => Ok(Value::of(Kind::Truth)),
                    false => Err(node.clone()),
                }
            }
            K::BIN_EXPR => self.binary(node),
            K::CALL_EXPR => self.call(node),
            _ => Err(node.clone()),
        }
    }

    /// Returns what the expressions below a node give.
    fn values(self, node: &SyntaxNode) -> Result<Vec<Value>, Failing> {
        let operands = node.children().filter(is_operand);
        operands.map(|one| self.value(&one)).collect()
    }

    fn column(self, name: &str) -> Value {
        let name = fold_name(name.trim());
        let Some(table) = self.table else {
            return Value::of(Kind::Other);
        };
        let known = self.scope.relation(table);
        let known = known.and_then(|facts| facts.columns.get(&name));
        let spelled = known.map(|facts| facts.type_name.as_str());
        let spelled = spelled.or_else(|| Some(self.scope.added_type(table, &name)?.as_str()));
        spelled.map_or(Value::of(Kind::Other), Value::of_type)
    }

    /// Returns whether an expression names columns, and all of them are NULL in what the code that runs now writes.
    fn is_of_new_columns(self, node: &SyntaxNode) -> bool {
        let Some(table) = self.table else {
            return false;
        };
        let names = names_under(node, &[SyntaxKind::NAME_REF]);
        let is_new = |name: &ObjectName| self.scope.added_column(table, &name.name) == Some(false);
        !names.is_empty() && names.iter().all(is_new)
    }

    fn case(self, node: &SyntaxNode) -> Result<Value, Failing> {
        let mut results = Vec::new();
        for part in node.descendants().filter(|part| part != node) {
            let of_part = part.parent().filter(|up| is_of_case(up, node));
            let Some(up) = of_part.filter(|_| is_operand(&part)) else {
                continue;
            };
            let value = self.value(&part)?;
            let is_last = up.children().filter(is_operand).last().as_ref() == Some(&part);
            if is_last && up.kind() != SyntaxKind::CASE_EXPR {
                results.push(value);
            }
        }
        Ok(Value::common(results))
    }

    /// A text is cast to a type as it is set, and other values to types that have all of them.
    fn cast(self, node: &SyntaxNode) -> Result<Value, Failing> {
        let to = node.children().find(|one| is_type(one.kind()));
        let operand = node.children().find(is_operand);
        let (Some(to), Some(operand)) = (to, operand) else {
            return Err(node.clone());
        };
        let spelled = to.text().to_string();
        let to = ColumnType::parse(&spelled);
        let value = self.value(&operand)?;
        let runs_code = || {
            let mut tables = self.table.into_iter();
            tables.any(|table| self.scope.code_of_reads(table).is_some())
        };
        let is_constant = value.kind == Kind::Constant;
        if is_constant || value.is_cast_to(&to) && !runs_code() {
            return Ok(match is_constant {
                true => Value::constant_of(&spelled),
                false => Value::of_type(&spelled),
            });
        }
        Err(node.clone())
    }

    fn call(self, node: &SyntaxNode) -> Result<Value, Failing> {
        let Some(name) = query::function_name(node) else {
            return self.form(node);
        };
        let arguments = query::arguments(node);
        let values: Result<Vec<Value>, Failing> =
            arguments.iter().map(|one| self.value(one)).collect();
        let values = values?;
        let called = self.scope.routines_called(&name);
        if !called.is_empty() {
            return self.inlined(node, &called);
        }
        let plain = match self.scope.provided_name(&name) {
            Some(provided) => provided,
            None => name.strip_prefix("pg_catalog.").unwrap_or(&name).to_owned(),
        };
        if self.scope.has_routine_named(&plain) {
            return Err(node.clone());
        }
        functions::result(&plain, &arguments, &values).ok_or_else(|| node.clone())
    }

    /// Returns what functions of the database's own give, each of which computes an expression.
    fn inlined(
        self,
        node: &SyntaxNode,
        called: &[&super::seen_by::RoutineFacts],
    ) -> Result<Value, Failing> {
        let mut results = Vec::new();
        let depth = self.depth.checked_sub(1).ok_or_else(|| node.clone())?;
        let within = Judge {
            table: None,
            depth,
            ..self
        };
        for routine in called {
            let tree = routine_body::tree(routine).filter(|_| routine.language == "sql");
            let expression = tree.and_then(|tree| routine_body::expression(&tree));
            let value = expression.and_then(|one| within.value(&one).ok());
            // The server casts the value to the type that the function returns, and arguments to their types.
            let result = routine_body::result(routine);
            let result = result.filter(|spelled| {
                let mut types = routine.types.iter();
                let is_checked = types.any(|one| {
                    let parts = one.trim_end_matches("[]").split('.').map(fold_name);
                    ObjectName::from_parts(parts.collect())
                        .is_some_and(|name| self.scope.is_domain_with_constraints(&name))
                });
                let to = ColumnType::parse(spelled);
                !is_checked && value.is_some_and(|value| value.is_taken_by(&to))
            });
            let result = result.ok_or_else(|| node.clone())?;
            results.push(Value::of_type(&result));
        }
        Ok(Value::common(results))
    }

    /// Returns what a form with keywords gives: `SUBSTRING(a FROM 1)`, `TRIM(a)`, `EXTRACT(year FROM a)`.
    fn form(self, node: &SyntaxNode) -> Result<Value, Failing> {
        use SyntaxKind as K;
        let form = node.children().next().ok_or_else(|| node.clone())?;
        let operands: Vec<SyntaxNode> = operands_of_form(&form);
        for operand in &operands {
            self.value(operand)?;
        }
        let kind = match form.kind() {
            K::TRIM_FN => Kind::Text,
            K::POSITION_FN => Kind::Whole,
            K::ANY_FN | K::SOME_FN | K::ALL_FN => Kind::Other,
            K::EXTRACT_FN if functions::is_unit(&first_word_of(&form)) => Kind::Number,
            K::SUBSTRING_FN if functions::is_substring(&form, &operands) => Kind::Text,
            _ => return Err(node.clone()),
        };
        Ok(Value::of(kind))
    }
}

/// Returns whether a node is an operand of an expression.
fn is_operand(node: &SyntaxNode) -> bool {
    is_expression(node) || node.kind() == SyntaxKind::COLLATE
}

/// Returns whether a node is a `CASE`, or one of its clauses.
fn is_of_case(node: &SyntaxNode, case: &SyntaxNode) -> bool {
    use SyntaxKind as K;
    let is_clause = matches!(node.kind(), K::WHEN_CLAUSE | K::ELSE_CLAUSE);
    let mut above = node.ancestors();
    node == case
        || (is_clause && above.find(|one| one.kind() == K::CASE_EXPR).as_ref() == Some(case))
}

fn is_parameter(literal: &SyntaxNode) -> bool {
    let text = literal.text().to_string();
    let digits = text.trim().strip_prefix('$');
    digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns the operands of a form with keywords, and not those of its operands.
fn operands_of_form(form: &SyntaxNode) -> Vec<SyntaxNode> {
    let mut operands = Vec::new();
    for one in form.children() {
        match () {
            () if is_operand(&one) => operands.push(one),
            () if one.kind() == SyntaxKind::EXTRACT_FIELD_LITERAL => {}
            () => operands.extend(operands_of_form(&one)),
        }
    }
    operands
}

/// Returns the field of `EXTRACT(field FROM …)`.
fn first_word_of(form: &SyntaxNode) -> String {
    let field = form.children().next();
    let text = field.map(|field| field.text().to_string());
    text.unwrap_or_default()
        .trim()
        .trim_matches('\'')
        .to_ascii_lowercase()
}
