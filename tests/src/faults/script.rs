//! Services that do one chosen thing at one chosen call, and otherwise work.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::injector::Injector;
use crate::simulator::function::FunctionError;
use crate::simulator::machine::{Call, Services};

/// What happens to a call.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    /// The function is not called, and the caller gets this error.
    Before(&'static str),
    /// The function does its work, and the caller gets this error.
    After(&'static str),
    /// From here on the database refuses every connection.
    DatabaseAway,
}

type Choice = Box<dyn Fn(&Call) -> Option<Act> + Send + Sync>;

/// Services with a script.
pub struct Script {
    calm: Arc<Injector>,
    choose: Choice,
}

impl Script {
    /// Services that do what `choose` says of a call.
    pub fn new(
        calm: &Arc<Injector>,
        choose: impl Fn(&Call) -> Option<Act> + Send + Sync + 'static,
    ) -> Self {
        Self { calm: calm.clone(), choose: Box::new(choose) }
    }
}

impl Services for Script {
    async fn invoke(&self, call: Call) -> Result<Value, FunctionError> {
        let error = |name: &str| FunctionError {
            error_type: name.to_owned(),
            message: format!("the script says so at {}", call.state),
        };

        match (self.choose)(&call) {
            Some(Act::Before(name)) => Err(error(name)),
            Some(Act::After(name)) => {
                let error = error(name);
                let _ = self.calm.invoke(call).await;
                Err(error)
            }
            Some(Act::DatabaseAway) => {
                self.calm.lab.database.refuse();
                self.calm.invoke(call).await
            }
            None => self.calm.invoke(call).await,
        }
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Bytes, FunctionError> {
        self.calm.object(bucket, key).await
    }
}
