//! The mail of the last hours, as a picture and as a table.

use maud::{Markup, html};

use crate::{crm::Hour, web::layout::time};

/// Two bars for each hour; the numbers stand in a table below.
pub(super) fn chart(hours: &[Hour]) -> Markup {
    const WIDE: u32 = 26;
    const HIGH: u32 = 100;
    let most = hours.iter().map(|hour| hour.inbound.max(hour.outbound)).max();
    let most = most.unwrap_or_default().max(1);
    let height = |count: u32| count * HIGH / most;
    let (came, went) = hours.iter().fold((0, 0), |(came, went), hour| {
        (came + hour.inbound, went + hour.outbound)
    });
    let bars = (0u32..).zip(hours);
    let width = WIDE * u32::try_from(hours.len()).unwrap_or_default();
    html! {
        figure {
            svg.chart viewBox={ "0 0 " (width) " " (HIGH + 2) } role="img" aria-labelledby="traffic-title traffic-text" preserveAspectRatio="none" {
                title id="traffic-title" { "Mail by the hour" }
                desc id="traffic-text" { (came) " messages came and " (went) " went; at most " (most) " in an hour." }
                @for (place, hour) in bars {
                    rect.came x=(place * WIDE + 2) y=(HIGH - height(hour.inbound)) width="10" height=(height(hour.inbound) + 1) {}
                    rect.went x=(place * WIDE + 13) y=(HIGH - height(hour.outbound)) width="10" height=(height(hour.outbound) + 1) {}
                }
            }
            figcaption.muted { (came) " came, " (went) " went." }
        }
        details {
            summary { "As a table" }
            table {
                thead { tr { th scope="col" { "From" } th scope="col" { "Came" } th scope="col" { "Went" } } }
                tbody {
                    @for hour in hours { tr { td { (time(hour.from)) } td { (hour.inbound) } td { (hour.outbound) } } }
                }
            }
        }
    }
}
