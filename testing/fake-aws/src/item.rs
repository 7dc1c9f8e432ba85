//! DynamoDB's items.

use serde_json::Value;

/// An item in DynamoDB's JSON: each attribute is an object such as `{"S": "text"}` or
/// `{"N": "1.50"}`.
pub type Item = serde_json::Map<String, Value>;
