//! The conditions of a put that are understood: `attribute_not_exists(A)`, alone or followed by
//! `OR A < :v` or `OR A <= :v`, and that alone or followed by `OR attribute_type(A, :t)`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::ServiceError;
use crate::decimal::Decimal;
use crate::dynamodb::Item;

/// When an item may be put in place of another: if any of these is so.
pub(crate) struct Condition {
    absent: String,
    before: Option<Before>,
    of_type: Option<OfType>,
}

struct Before {
    attribute: String,
    or_equal: bool,
    bound: Value,
}

struct OfType {
    attribute: String,
    /// A type's name, such as `N`.
    type_name: String,
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
        let ["attribute_not_exists", "(", absent, ")", rest @ ..] = tokens.as_slice() else {
            return Err(not_understood());
        };
        let (before, rest) = match rest {
            ["OR", attribute, less @ ("<" | "<="), bound, rest @ ..] => {
                (Some(placeholders.before(attribute, less, bound)?), rest)
            }
            rest => (None, rest),
        };
        let of_type = match (&before, rest) {
            (_, []) => None,
            (Some(_), ["OR", "attribute_type", "(", attribute, ",", type_name, ")"]) => {
                Some(placeholders.of_type(attribute, type_name)?)
            }
            _ => return Err(not_understood()),
        };
        Ok(Self { absent: placeholders.name(absent)?, before, of_type })
    }

    pub(crate) fn allows(&self, existing: Option<&Item>) -> bool {
        let Some(existing) = existing else { return true };
        !existing.contains_key(&self.absent)
            || self.before.as_ref().is_some_and(|before| before.holds(existing))
            || self.of_type.as_ref().is_some_and(|of_type| of_type.holds(existing))
    }
}

/// What the placeholders of an expression stand for.
struct Placeholders<'a> {
    names: &'a BTreeMap<String, String>,
    values: &'a BTreeMap<String, Value>,
}

impl Placeholders<'_> {
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

    fn before(&self, attribute: &str, less: &str, bound: &str) -> Result<Before, ServiceError> {
        let (attribute, bound) = (self.name(attribute)?, self.value(bound)?.clone());
        Ok(Before { attribute, or_equal: less == "<=", bound })
    }

    fn of_type(&self, attribute: &str, type_name: &str) -> Result<OfType, ServiceError> {
        let type_name = self.value(type_name)?.get("S").and_then(Value::as_str);
        let type_name = type_name.ok_or_else(|| invalid("a type's name is not a text"))?;
        Ok(OfType { attribute: self.name(attribute)?, type_name: type_name.to_owned() })
    }
}

impl Before {
    /// As in DynamoDB, values of different types have no order.
    fn holds(&self, existing: &Item) -> bool {
        let Some(value) = existing.get(&self.attribute) else { return false };
        let of_type = |name| Some((value.get(name)?.as_str()?, self.bound.get(name)?.as_str()?));
        let order = if let Some((value, bound)) = of_type("S") {
            Some(value.cmp(bound))
        } else {
            of_type("N").and_then(|(value, bound)| {
                Some(Decimal::parse(value)?.cmp(&Decimal::parse(bound)?))
            })
        };
        order.is_some_and(|order| order.is_lt() || (self.or_equal && order.is_eq()))
    }
}

impl OfType {
    fn holds(&self, existing: &Item) -> bool {
        existing.get(&self.attribute).is_some_and(|value| value.get(&self.type_name).is_some())
    }
}

fn not_understood() -> ServiceError {
    invalid("fake-aws does not understand this")
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid ConditionExpression: {message}"))
}
