//! `stop`: the services that we started.

use anyhow::Result;

use crate::context::Context;
use crate::local::services;

pub(super) fn run(context: &Context) -> Result<()> {
    let ran = services::stop(context, false)?;
    context.ui.line(if ran {
        "Stopped. Data and model are kept; `clean` removes them."
    } else {
        "Nothing was running."
    });

    context.ui.json(&serde_json::json!({ "stopped": ran }))
}
