//! The policy in words.

use limit_increase_domain::Policy;
use limit_increase_domain::policy::Tier;
use maud::{Markup, html};
use rust_decimal::Decimal;

use crate::format::money;

pub(super) fn section(policy: &Policy) -> Markup {
    let eligibility = &policy.eligibility;
    html! {
        section {
            h2 { "The policy" }
            ul {
                li {
                    "Eligible are customers without a decision whose current score is "
                    (eligibility.minimum_current_score) " or more and whose limit is below "
                    (money(eligibility.current_limit_below)) "."
                }
                li { "A new score of " (policy.minimum_score) " or more is approved." }
                @for (tier, lower) in policy.tiers.iter().zip(lower_ends(&policy.tiers)) {
                    li { (tier_sentence(tier, lower)) }
                }
                li {
                    "No new limit is above " (money(policy.maximum_limit))
                    ", and each is rounded down to a multiple of " (money(policy.round_down_to)) "."
                }
                @if let Some(cap) = &policy.affordability {
                    li {
                        "A new limit is at most " (cap.maximum_share) " times the yearly income in "
                        (cap.income_column) "."
                    }
                }
            }
        }
    }
}

/// The lower end of each tier: where the tier before it ends.
fn lower_ends(tiers: &[Tier]) -> impl Iterator<Item = Option<Decimal>> {
    std::iter::once(None).chain(tiers.iter().map(|tier| tier.limit_below))
}

fn tier_sentence(tier: &Tier, lower: Option<Decimal>) -> String {
    let growth = (tier.growth * Decimal::ONE_HUNDRED).normalize();
    let whose = match (lower, tier.limit_below) {
        (None, None) => "Every limit".to_owned(),
        (None, Some(end)) => format!("A limit below {}", money(end)),
        (Some(from), Some(end)) => format!("A limit from {} to below {}", money(from), money(end)),
        (Some(from), None) => format!("A limit of {} or more", money(from)),
    };
    format!("{whose} grows by {growth} %.")
}
