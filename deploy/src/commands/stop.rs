//! `stop`: stops the services that this program started.

use anyhow::Result;

use limit_increase::local::Context;
use limit_increase::local::services;

pub(super) fn run(context: &Context) -> Result<()> {
    let ran = services::stop(context, false)?;
    context.ui.line(if ran {
        "Stopped. Data and model are kept; `clean` removes them."
    } else {
        "Nothing was running."
    });

    context.ui.json(&serde_json::json!({ "stopped": ran }))
}
