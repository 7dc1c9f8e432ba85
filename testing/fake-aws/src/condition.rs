//! The conditions that are understood: any number, joined by `OR`, of `attribute_not_exists(A)`,
//! `A < :v`, `A <= :v`, `A = :v`, `begins_with(A, :v)` and `attribute_type(A, :t)`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::ServiceError;
use crate::decimal::Decimal;
use crate::item::Item;

/// When an item may be replaced or removed: if any of these is so.
pub(crate) struct Condition(Vec<Clause>);

enum Clause {
    Absent {
        attribute: String,
    },
    Compares {
        attribute: String,
        orders: &'static [Ordering],
        bound: Value,
    },
    BeginsWith {
        attribute: String,
        start: String,
    },
    /// `type_name` is `N`, for example.
    OfType {
        attribute: String,
        type_name: String,
    },
}

impl Condition {
    pub(crate) fn parse(
        expression: &str,
        names: &BTreeMap<String, String>,
        values: &BTreeMap<String, Value>,
    ) -> Result<Self, ServiceError> {
        let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace(',', " , ");
        let tokens: Vec<_> = spaced.split_whitespace().collect();
        let placeholders = Placeholders { names, values };
        let clauses = tokens.split(|token| *token == "OR");
        clauses.map(|clause| placeholders.clause(clause)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn allows(&self, existing: Option<&Item>) -> bool {
        self.0.iter().any(|clause| clause.holds(existing))
    }
}

impl Clause {
    fn holds(&self, existing: Option<&Item>) -> bool {
        let value = |attribute| existing.and_then(|item| item.get(attribute));
        match self {
            Self::Absent { attribute } => value(attribute).is_none(),
            Self::Compares { attribute, orders, bound } => value(attribute)
                .and_then(|value| order(value, bound))
                .is_some_and(|order| orders.contains(&order)),
            Self::BeginsWith { attribute, start } => value(attribute)
                .and_then(|value| value.get("S")?.as_str())
                .is_some_and(|text| text.starts_with(start)),
            Self::OfType { attribute, type_name } => {
                value(attribute).is_some_and(|value| value.get(type_name).is_some())
            }
        }
    }
}

/// As in DynamoDB, values of different types have no order.
fn order(value: &Value, bound: &Value) -> Option<Ordering> {
    let of_type = |name| Some((value.get(name)?.as_str()?, bound.get(name)?.as_str()?));
    if let Some((value, bound)) = of_type("S") {
        return Some(value.cmp(bound));
    }
    let (value, bound) = of_type("N")?;
    Some(Decimal::parse(value)?.cmp(&Decimal::parse(bound)?))
}

/// What the placeholders of an expression stand for.
struct Placeholders<'a> {
    names: &'a BTreeMap<String, String>,
    values: &'a BTreeMap<String, Value>,
}

impl Placeholders<'_> {
    fn clause(&self, tokens: &[&str]) -> Result<Clause, ServiceError> {
        match tokens {
            ["attribute_not_exists", "(", attribute, ")"] => {
                Ok(Clause::Absent { attribute: self.name(attribute)? })
            }
            ["attribute_type", "(", attribute, ",", type_name, ")"] => {
                let type_name = self.value(type_name)?.get("S").and_then(Value::as_str);
                let type_name = type_name.ok_or_else(|| invalid("a type's name is not a text"))?;
                let attribute = self.name(attribute)?;
                Ok(Clause::OfType { attribute, type_name: type_name.to_owned() })
            }
            ["begins_with", "(", attribute, ",", start, ")"] => {
                let start = self.value(start)?.get("S").and_then(Value::as_str);
                let start = start.ok_or_else(|| invalid("a start is not a text"))?.to_owned();
                Ok(Clause::BeginsWith { attribute: self.name(attribute)?, start })
            }
            [attribute, operator, bound] => {
                let orders = orders(operator).ok_or_else(not_understood)?;
                let (attribute, bound) = (self.name(attribute)?, self.value(bound)?.clone());
                Ok(Clause::Compares { attribute, orders, bound })
            }
            _ => Err(not_understood()),
        }
    }

    fn name(&self, token: &str) -> Result<String, ServiceError> {
        match self.names.get(token) {
            Some(name) => Ok(name.clone()),
            None if token.starts_with('#') => Err(invalid("a name is missing")),
            None => Ok(token.to_owned()),
        }
    }

    fn value(&self, token: &str) -> Result<&Value, ServiceError> {
        self.values.get(token).ok_or_else(|| invalid("a value is missing"))
    }
}

fn orders(operator: &str) -> Option<&'static [Ordering]> {
    match operator {
        "<" => Some(&[Ordering::Less]),
        "<=" => Some(&[Ordering::Less, Ordering::Equal]),
        "=" => Some(&[Ordering::Equal]),
        _ => None,
    }
}

fn not_understood() -> ServiceError {
    invalid("fake-aws does not understand this")
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid ConditionExpression: {message}"))
}
