use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest,
};
use fake_aws::{FakeAws, KeyType};
use serde_json::json;

use crate::{OTHER_REGION, REGION, config};

const TABLE: &str = "messages";

pub(crate) async fn start() -> (FakeAws, Client) {
    let aws = FakeAws::start().await.unwrap();
    let keys = [("id", KeyType::Text), ("at", KeyType::Number)];
    aws.dynamodb().create_table(REGION, TABLE, &keys);
    let client = Client::new(&config(&aws, REGION));
    (aws, client)
}

type Item = HashMap<String, AttributeValue>;

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn key(id: &str, at: &str) -> Item {
    HashMap::from([("id".to_owned(), text(id)), ("at".to_owned(), number(at))])
}

fn item(id: &str, at: &str, name: &str, value: AttributeValue) -> Item {
    let mut item = key(id, at);
    item.insert(name.to_owned(), value);
    item
}

pub(crate) fn put(id: &str) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(key(id, "1"))).build().unwrap();
    WriteRequest::builder().put_request(put).build()
}

fn delete(id: &str) -> WriteRequest {
    let delete = DeleteRequest::builder().set_key(Some(key(id, "1"))).build().unwrap();
    WriteRequest::builder().delete_request(delete).build()
}

async fn refusal(client: &Client, writes: Vec<WriteRequest>) -> Option<String> {
    let request = client.batch_write_item().request_items(TABLE, writes);
    request.send().await.err().and_then(|error| error.code().map(String::from))
}

#[tokio::test]
async fn a_batch_puts_and_deletes() {
    let (aws, client) = start().await;
    assert_eq!(refusal(&client, vec![put("a"), put("b")]).await, None);
    assert_eq!(refusal(&client, vec![delete("a"), delete("unknown"), put("c")]).await, None);
    let ids: Vec<_> = aws.dynamodb().items(REGION, TABLE);
    let ids: Vec<_> = ids.iter().map(|item| item["id"]["S"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b", "c"]);
}

#[tokio::test]
async fn a_batch_that_is_not_valid_writes_nothing() {
    let (aws, client) = start().await;
    let code = Some("ValidationException".to_owned());
    assert_eq!(refusal(&client, vec![put("a"), delete("a")]).await, code);
    let many: Vec<_> = (0..26).map(|id| put(&id.to_string())).collect();
    assert_eq!(refusal(&client, many[..25].to_vec()).await, None);
    assert_eq!(refusal(&client, many).await, code);
    assert_eq!(refusal(&client, vec![put("x"), put("")]).await, code);
    assert_eq!(aws.dynamodb().items(REGION, TABLE).len(), 25);
}

#[tokio::test]
async fn an_item_comes_back_as_it_was_put() {
    let (aws, client) = start().await;
    let given = item("a", "1", "price", number("1.50"));
    client.put_item().table_name(TABLE).set_item(Some(given.clone())).send().await.unwrap();
    // The key is the same number, written in another way.
    let request = client.get_item().table_name(TABLE).set_key(Some(key("a", "1.0")));
    assert_eq!(request.consistent_read(true).send().await.unwrap().item, Some(given));
    let request = client.get_item().table_name(TABLE).set_key(Some(key("a", "2")));
    assert_eq!(request.send().await.unwrap().item, None);
    assert_eq!(aws.dynamodb().items(REGION, TABLE)[0]["price"], json!({ "N": "1.50" }));
}

#[tokio::test]
async fn a_key_has_to_match_the_schema() {
    let (_aws, client) = start().await;
    let wrong_type = item("a", "1", "at", text("1"));
    let request = client.put_item().table_name(TABLE).set_item(Some(wrong_type));
    assert_eq!(request.send().await.unwrap_err().code(), Some("ValidationException"));
    let more = item("a", "1", "more", text("x"));
    let request = client.get_item().table_name(TABLE).set_key(Some(more));
    assert_eq!(request.send().await.unwrap_err().code(), Some("ValidationException"));
}

/// Whether a put goes through over an item that has `version`.
async fn replaces(client: &Client, condition: &str, version: AttributeValue) -> bool {
    let given = item("a", "1", "version", number("1"));
    let request = client.put_item().table_name(TABLE).set_item(Some(given));
    let request = request.condition_expression(condition);
    let request = request.expression_attribute_names("#version", "version");
    let values = [(":version", version), (":number", text("N"))].into_iter();
    let used = values.filter(|(name, _)| condition.contains(name));
    let used: Item = used.map(|(name, value)| (name.to_owned(), value)).collect();
    let request = request.set_expression_attribute_values((!used.is_empty()).then_some(used));
    match request.send().await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.into_service_error().is_conditional_check_failed_exception());
            false
        }
    }
}

async fn with_version(version: AttributeValue) -> (FakeAws, Client) {
    let (aws, client) = start().await;
    let given = item("a", "1", "version", version);
    client.put_item().table_name(TABLE).set_item(Some(given)).send().await.unwrap();
    (aws, client)
}

#[tokio::test]
async fn a_put_that_must_not_replace_an_attribute_does_not() {
    let (_aws, client) = start().await;
    let condition = "attribute_not_exists(#version)";
    assert!(replaces(&client, condition, number("0")).await);
    assert!(!replaces(&client, condition, number("0")).await);
    assert!(replaces(&client, "attribute_not_exists(other)", number("0")).await);
}

#[tokio::test]
async fn an_item_is_deleted_only_if_it_is_as_expected() {
    let (aws, client) = with_version(number("1.0")).await;
    let delete = |version| {
        let request = client.delete_item().table_name(TABLE).set_key(Some(key("a", "1")));
        let request = request.condition_expression("version = :version");
        request.expression_attribute_values(":version", version).send()
    };
    for other in [number("2"), text("1")] {
        let error = delete(other).await.unwrap_err().into_service_error();
        assert!(error.is_conditional_check_failed_exception());
    }
    delete(number("1")).await.unwrap();
    assert!(aws.dynamodb().items(REGION, TABLE).is_empty());
    let error = delete(number("1")).await.unwrap_err().into_service_error();
    assert!(error.is_conditional_check_failed_exception(), "there is nothing to compare with");
    let request = client.delete_item().table_name(TABLE).set_key(Some(key("a", "1")));
    request.send().await.unwrap();
}

pub(crate) fn read(ids: &[&str]) -> KeysAndAttributes {
    let keys = ids.iter().map(|id| key(id, "1")).collect();
    KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap()
}

#[tokio::test]
async fn a_batch_reads_what_there_is() {
    let (_aws, client) = start().await;
    assert_eq!(refusal(&client, vec![put("a"), put("b")]).await, None);
    let request = client.batch_get_item().request_items(TABLE, read(&["b", "unknown", "a"]));
    let items = request.send().await.unwrap().responses.unwrap().remove(TABLE).unwrap();
    assert_eq!(items, [key("b", "1"), key("a", "1")]);
}

#[tokio::test]
async fn a_batch_of_reads_has_up_to_a_hundred_different_keys() {
    let (_aws, client) = start().await;
    let refusal = async |ids: &[&str]| {
        let request = client.batch_get_item().request_items(TABLE, read(ids));
        request.send().await.err().and_then(|error| error.code().map(String::from))
    };
    let ids: Vec<_> = (0..101).map(|id| id.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let code = Some("ValidationException".to_owned());
    assert_eq!(refusal(&ids[..100]).await, None);
    assert_eq!(refusal(&ids).await, code);
    assert_eq!(refusal(&["a", "a"]).await, code);
    assert_eq!(refusal(&[""]).await, code);
}

#[tokio::test]
async fn a_put_replaces_only_what_is_less() {
    let less = "attribute_not_exists(#version) OR #version < :version";
    let or_equal = "attribute_not_exists(#version) OR #version <= :version";
    let or_number = "attribute_not_exists(#version) OR #version < :version \
                     OR attribute_type(#version, :number)";
    for (condition, existing, bound, goes_through) in [
        (less, number("9"), number("10"), true),
        (less, number("10"), number("10.0"), false),
        (or_equal, number("10"), number("10.0"), true),
        (or_equal, number("11"), number("10"), false),
        (less, text("9"), text("10"), false),
        (less, text("10"), text("9"), true),
        (or_equal, text("9"), number("10"), false),
        (less, number("9"), text("10"), false),
        (or_number, number("9"), text("10"), true),
        (or_number, text("10"), text("9"), true),
        (or_number, text("9"), text("9"), false),
    ] {
        let (_aws, client) = with_version(existing.clone()).await;
        let replaced = replaces(&client, condition, bound.clone()).await;
        assert_eq!(replaced, goes_through, "{existing:?} {condition} {bound:?}");
    }
}

#[tokio::test]
async fn a_condition_that_is_not_understood_is_refused() {
    let (_aws, client) = start().await;
    for condition in [
        "attribute_exists(#id)",
        "attribute_not_exists(#id) OR",
        "attribute_not_exists(#id) OR id < :undefined",
        "attribute_not_exists(#id) OR attribute_type(#id, :undefined)",
        "attribute_not_exists(#id) AND #id < :undefined",
    ] {
        let request = client.put_item().table_name(TABLE).set_item(Some(key("a", "1")));
        let request = request.condition_expression(condition);
        let request = request.expression_attribute_names("#id", "id");
        let error = request.send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"), "{condition}");
    }
}

#[tokio::test]
async fn a_description_tells_the_key_attributes() {
    let (_aws, client) = start().await;
    let output = client.describe_table().table_name(TABLE).send().await.unwrap();
    let table = output.table.unwrap();
    let types = table.attribute_definitions().iter();
    let types = types.map(|found| (found.attribute_name(), found.attribute_type().as_str()));
    assert_eq!(types.collect::<Vec<_>>(), [("id", "S"), ("at", "N")]);
    let schema = table.key_schema().iter();
    let schema = schema.map(|key| (key.attribute_name(), key.key_type().as_str()));
    assert_eq!(schema.collect::<Vec<_>>(), [("id", "HASH"), ("at", "RANGE")]);
}

#[tokio::test]
async fn a_table_is_in_its_region_only() {
    let (aws, _) = start().await;
    let client = Client::new(&config(&aws, OTHER_REGION));
    let error = client.describe_table().table_name(TABLE).send().await.unwrap_err();
    assert!(error.into_service_error().is_resource_not_found_exception());
}
