//! The Lambda function `conversation-updater`: follows the stream of a table of conversations, and
//! keeps the last message of each on top.

use aws_lambda_events::event::dynamodb::Event;
use conversations::Updater;
use lambda_runtime::{LambdaEvent, service_fn};
use record_telemetry::{Deadline, Variables};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    record_telemetry::init_function();
    let table: String = Variables::from_env()
        .read(|variables| variables.required("TABLE_NAME", "Table of the conversations"))?;
    let config = aws_config::load_from_env().await;
    let updater = Updater::new(&config, &table);
    let handler = |LambdaEvent { payload, context, .. }: LambdaEvent<Event>| {
        let handled = updater.handle(payload, Deadline::from_lambda(context.deadline()).stop());
        async { Ok::<_, lambda_runtime::Error>(handled.await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}
