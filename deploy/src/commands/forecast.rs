//! Shows what a policy would do with the held-out rows of a training.

use limit_increase::model::forecast::{Counted, Forecast, TierForecast};
use limit_increase::terminal::{self, Ui, money, thousands};

pub(super) fn show(ui: &Ui, forecast: &Forecast) {
    ui.heading("Forecast for such customers");
    ui.line(format!("  By {} (sha256 {:.12})", forecast.policy, forecast.policy_sha256));
    ui.line(format!(
        "  {:.1} % have {} or more, the policy's cut-off",
        100.0 * forecast.share_at_or_above,
        forecast.minimum_score
    ));

    match (&forecast.limit_column, &forecast.total) {
        (Some(column), Some(total)) => {
            ui.line(format!("  Limits from the column {column}; {}", sentence(total)));
            show_left_out(ui, forecast);
        }
        _ => ui.line(
            "  The table has no current limit (--limit-column), so each tier is shown for 1,000 \
             customers with a limit in its middle",
        ),
    }

    let header =
        ["Current limit", "Customers", "Approved", "Declined", "Referred", "Limits rise by"];
    let mut table = terminal::table(&header);
    for tier in &forecast.tiers {
        let counted = &tier.counted;
        table.add_row([
            limits(tier),
            thousands(counted.customers),
            thousands(counted.approved),
            thousands(counted.declined),
            thousands(counted.referred),
            money(counted.raised),
        ]);
    }

    ui.line(table.to_string());
    ui.line(
        "  A run also asks for the policy's current score, which a training table does not have.",
    );
    for notice in &forecast.notices {
        ui.line(format!("  Note: {notice}"));
    }

    if let Some(warning) = &forecast.warning {
        ui.warn(warning);
        ui.line(format!("  WARNING: {warning}."));
    }
}

fn sentence(total: &Counted) -> String {
    format!(
        "{} customers: {} approved, {} declined, {} referred, and all limits together rise by {}",
        thousands(total.customers),
        thousands(total.approved),
        thousands(total.declined),
        thousands(total.referred),
        money(total.raised)
    )
}

fn show_left_out(ui: &Ui, forecast: &Forecast) {
    if forecast.not_eligible > 0 {
        ui.line(format!(
            "  {} more are not eligible, because of their limit",
            thousands(forecast.not_eligible)
        ));
    }

    if forecast.without_limit > 0 {
        ui.line(format!(
            "  {} rows are left out, because their limit is missing or is not an amount",
            thousands(forecast.without_limit)
        ));
    }
}

fn limits(tier: &TierForecast) -> String {
    let range = match tier.limit_below {
        Some(below) => format!("{} to below {}", money(tier.limit_from), money(below)),
        None => format!("{} or more", money(tier.limit_from)),
    };

    match tier.assumed_limit {
        Some(limit) => format!("{} ({range})", money(limit)),
        None => range,
    }
}
