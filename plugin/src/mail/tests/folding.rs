use crate::mail::fold::{FOLD_END, FOLD_START};
use crate::mail::{Sanitiser, fold_html, quoted_from};
use proptest::prelude::*;

fn folded(html: &str) -> String {
    fold_html(Sanitiser::new().clean(html)).html
}

/// What is inside the folds.
fn hidden(html: &str) -> Vec<String> {
    folded(html)
        .split(FOLD_START)
        .skip(1)
        .map(|part| part.split(FOLD_END).next().unwrap().to_owned())
        .collect()
}

fn shown(text: &str) -> &str {
    text[..quoted_from(text).unwrap_or(text.len())].trim_end()
}

#[test]
fn t07_gmails_quotation_is_folded() {
    let html = "<div dir=\"ltr\">Yes.</div><br><div class=\"gmail_quote gmail_quote_container\"><div dir=\"ltr\" class=\"gmail_attr\">On Mon, Ann wrote:<br></div>\
                <blockquote class=\"gmail_quote\" style=\"margin:0\">Shall we?</blockquote></div>";
    insta::assert_snapshot!(folded(html));
}

#[test]
fn t07_outlooks_history_is_folded_to_the_end() {
    let html = "<div>Yes.</div><div id=\"appendonsend\"></div><hr><div id=\"divRplyFwdMsg\"><b>From:</b> Ann</div><div>Shall we?</div>";
    let hidden = hidden(html);
    assert_eq!(hidden.len(), 1);
    assert!(
        hidden[0].contains("From:") && hidden[0].contains("Shall we?") && !hidden[0].contains("Yes."),
        "{hidden:?}"
    );
}

#[test]
fn t07_thunderbirds_and_apples_and_yahoos_quotations_are_folded() {
    for html in [
        "<p>Yes.</p><div class=\"moz-cite-prefix\">On Monday, Ann wrote:<br></div><blockquote type=\"cite\" cite=\"mid:1\">Shall we?</blockquote>",
        "Yes.<div><blockquote type=\"cite\"><div>On Monday, Ann wrote:</div>Shall we?</blockquote></div>",
        "<div>Yes.</div><div class=\"yahoo_quoted\"><div>On Monday, Ann wrote:</div>Shall we?</div>",
    ] {
        let hidden = hidden(html);
        assert_eq!(hidden.len(), 1, "{html}");
        assert!(
            hidden[0].contains("wrote:") && hidden[0].contains("Shall we?"),
            "{html}"
        );
    }
}

#[test]
fn t07_answers_between_quotations_stay_visible() {
    let between = "<blockquote type=cite>One?</blockquote>Yes.<blockquote type=cite>Two?</blockquote>No.";
    assert_eq!(hidden(between), Vec::<String>::new());
    let trailing = format!("{between}<blockquote type=cite>signature</blockquote>");
    assert_eq!(hidden(&trailing).len(), 1);
    let inside = "<div>See below</div><div class=gmail_quote>On Monday, Ann wrote:<blockquote class=gmail_quote>One?</blockquote>Yes.<blockquote class=gmail_quote>Two?</blockquote></div>";
    assert_eq!(hidden(inside), Vec::<String>::new());
}

#[test]
fn s12_a_forward_is_not_folded() {
    let alone = "<div class=gmail_quote>---------- Forwarded message ---------<br>From: Ann</div>";
    let with_text = format!("<div>FYI</div>{alone}");
    assert_eq!((hidden(alone), hidden(&with_text)), (Vec::new(), Vec::new()));
    assert_eq!(
        quoted_from("FYI\n\n---------- Forwarded message ---------\nFrom: Ann <a@b>\nDate: x 1\nTo: y\n\nHi"),
        None
    );
}

#[test]
fn t07_text_history_is_found_after_attributions_of_many_programs() {
    for attribution in [
        "On Mon, Jan 5, 2026 at 9:14 AM Ann Example <ann@example.com> wrote:",
        "On Mon, Jan 5, 2026 at 9:14 AM Ann Example\n<ann@example.com> wrote:",
        "Am 05.01.2026 um 09:14 schrieb Ann Example:",
        "Am Mo., 5. Jan. 2026 um 09:14 Uhr schrieb Ann <ann@example.com>:",
        "Le lun. 5 janv. 2026 à 09:14, Ann <ann@example.com> a écrit :",
        "El lun, 5 ene 2026 a las 9:14, Ann (<ann@example.com>) escribió:",
        "Em seg., 5 de jan. de 2026 às 09:14, Ann <ann@example.com> escreveu:",
        "Il giorno lun 5 gen 2026 alle ore 09:14 Ann <ann@example.com> ha scritto:",
        "Op ma 5 jan 2026 om 09:14 schreef Ann <ann@example.com>:",
        "Den mån 5 jan. 2026 kl 09:14 skrev Ann <ann@example.com>:",
        "пн, 5 янв. 2026 г. в 09:14, Ann <ann@example.com>:",
        "W dniu 5.01.2026 o 09:14, Ann pisze:",
        "Ann <ann@example.com> 于2026年1月5日周一 09:14写道：",
        "2026年1月5日(月) 9:14 Ann <ann@example.com>に書きました:",
    ] {
        let text = format!("Yes, let us.\n\n{attribution}\n\n> Shall we?\n> Ann\n");
        let shown = shown(&text);
        assert!(
            shown == "Yes, let us." || (attribution.starts_with("пн") && shown.ends_with(':')),
            "{attribution}: {shown}"
        );
    }
}

#[test]
fn t07_text_history_of_outlook_is_found() {
    assert_eq!(
        shown("Yes.\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\n\nShall we?"),
        "Yes."
    );
    assert_eq!(
        shown(
            "Ja.\n\n________________________________\nVon: Ann <a@b>\nGesendet: Montag\nAn: Bob\nBetreff: X\n\nSollen wir?"
        ),
        "Ja."
    );
    assert_eq!(
        shown("Yes.\n\nFrom: Ann <a@b>\nDate: Monday 1\nTo: Bob\nSubject: X\n\nShall we?"),
        "Yes."
    );
}

#[test]
fn t07_inline_replies_in_text_stay_visible() {
    let text = "On Mon 5, Ann wrote:\n> One?\nYes.\n> Two?\nNo.\n";
    assert_eq!(quoted_from(text), None);
    let trailing = "On Mon 5, Ann wrote:\n> One?\nYes.\n> Two?\n> -- \n> Ann\n";
    assert_eq!(shown(trailing), "On Mon 5, Ann wrote:\n> One?\nYes.");
}

#[test]
fn t07_text_without_history_is_left_alone() {
    for text in [
        "",
        "Hello",
        "He said:\nhello",
        "> only a quotation",
        "From: here to there\nis far",
        "I wrote:\n\nthat",
    ] {
        assert_eq!(quoted_from(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn t07_folding_removes_nothing(pieces in prop::collection::vec(prop::sample::select(vec![
        "<div class=gmail_quote>", "<blockquote type=cite>", "</blockquote>", "<div>", "</div>", "word ", "<div class=moz-cite-prefix>", "<div id=divRplyFwdMsg>",
        "<div id=appendonsend></div>", "<br>", "<p>", "</p>", "<table><tr><td>", "</table>", "<div class=yahoo_quoted>", "<b>", "</b>", "&nbsp;", "On 1, x wrote:",
    ]), 0..30)) {
        let safe = Sanitiser::new().clean(&pieces.concat());
        let folded = fold_html(safe.clone()).html;
        prop_assert_eq!(folded.replace(FOLD_START, "").replace(FOLD_END, ""), safe.html);
        prop_assert_eq!(folded.matches(FOLD_START).count(), folded.matches(FOLD_END).count());
    }

    #[test]
    fn t07_the_fold_in_text_is_the_beginning_of_a_line(lines in prop::collection::vec(prop::sample::select(vec![
        "> q", "text", "", "On 1, Ann wrote:", "-----Original Message-----", "From: a", "To: b", "Subject: c", "____________", "é",
    ]), 0..20)) {
        let text = lines.join("\n");
        if let Some(at) = quoted_from(&text) {
            prop_assert!(at > 0 && text[..at].ends_with('\n'));
            prop_assert!(!text[at..].trim().is_empty());
        }
    }
}
