//! AWS Lambda through its own tools: the AWS CLI, moto, cfn-lint and cargo-lambda.

mod deploy;
mod emulator;
mod events;
mod front;
mod moto;
mod promote;
mod shop;
mod template;
mod tools;
mod watch;
