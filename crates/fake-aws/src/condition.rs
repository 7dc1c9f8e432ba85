//! The conditions of a put that are understood: `attribute_not_exists(A)`, alone or followed by
//! `OR A < :v` or `OR A <= :v`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::ServiceError;
use crate::decimal::Decimal;
use crate::dynamodb::Item;

/// When an item may be put in place of another.
pub(crate) struct Condition {
    absent: String,
    before: Option<Before>,
}

struct Before {
    attribute: String,
    or_equal: bool,
    bound: Value,
}

impl Condition {
    pub(crate) fn parse(
        expression: &str,
        names: &BTreeMap<String, String>,
        values: &BTreeMap<String, Value>,
    ) -> Result<Self, ServiceError> {
        let spaced = expression.replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<_> = spaced.split_whitespace().collect();
        let name = |token: &str| match names.get(token) {
            Some(name) => Ok(name.clone()),
            None if token.starts_with('#') => Err(invalid("a name is missing")),
            None => Ok(token.to_owned()),
        };
        let ["attribute_not_exists", "(", absent, ")", rest @ ..] = tokens.as_slice() else {
            return Err(invalid("fake-aws does not understand this"));
        };
        let before = match rest {
            [] => None,
            ["OR", attribute, less @ ("<" | "<="), value] => Some(Before {
                attribute: name(attribute)?,
                or_equal: *less == "<=",
                bound: values.get(*value).cloned().ok_or_else(|| invalid("a value is missing"))?,
            }),
            _ => return Err(invalid("fake-aws does not understand this")),
        };
        Ok(Self { absent: name(absent)?, before })
    }

    pub(crate) fn allows(&self, existing: Option<&Item>) -> bool {
        let Some(existing) = existing else { return true };
        let before = self.before.as_ref();
        !existing.contains_key(&self.absent) || before.is_some_and(|before| before.holds(existing))
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

fn invalid(message: &str) -> ServiceError {
    ServiceError::validation(format!("Invalid ConditionExpression: {message}"))
}
