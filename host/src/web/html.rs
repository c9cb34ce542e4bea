//! HTML in the making. The one place where text is escaped.
//!
//! [`Html`] is text that is markup already; [`html!`] makes it: what stands there as a literal is
//! markup, what stands in parentheses is escaped unless it is `Html` itself. Escaping is the same in
//! text and in quoted attributes, the only two places where values may stand.

use std::fmt::Write as _;

/// Markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// No markup.
    pub(super) const fn new() -> Self {
        Self(String::new())
    }

    /// Adds markup of ours: a literal, so that nobody's text comes this way.
    pub(super) fn literal(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Adds a value.
    pub(super) fn push(&mut self, value: &(impl Render + ?Sized)) {
        value.render(self);
    }

    /// The markup.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The markup.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Adds `text`, with everything escaped that means something in markup.
pub(super) fn escape_into(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

/// A value that can stand in markup.
pub(super) trait Render {
    /// Adds it, escaped.
    fn render(&self, out: &mut Html);
}

impl Render for Html {
    fn render(&self, out: &mut Html) {
        out.0.push_str(&self.0);
    }
}

impl Render for str {
    fn render(&self, out: &mut Html) {
        escape_into(&mut out.0, self);
    }
}

impl Render for String {
    fn render(&self, out: &mut Html) {
        self.as_str().render(out);
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Render for $number {
            fn render(&self, out: &mut Html) {
                // Writing to a string does not fail.
                let _ = write!(out.0, "{self}");
            }
        }
    )*};
}
numbers!(u16 u32 u64 usize);

impl<T: Render + ?Sized> Render for &T {
    fn render(&self, out: &mut Html) {
        (**self).render(out);
    }
}

impl<T: Render> Render for Option<T> {
    fn render(&self, out: &mut Html) {
        if let Some(value) = self {
            value.render(out);
        }
    }
}

impl<T: Render> Render for Vec<T> {
    fn render(&self, out: &mut Html) {
        for value in self {
            value.render(out);
        }
    }
}

/// Markup from literals and, in parentheses, values.
macro_rules! html {
    (@piece $out:ident $markup:literal) => { $out.literal($markup) };
    (@piece $out:ident ($value:expr)) => { $out.push(&$value) };
    ($($piece:tt)*) => {{
        let mut out = $crate::web::html::Html::new();
        $( $crate::web::html::html!(@piece out $piece); )*
        out
    }};
}
pub(super) use html;

/// Text as one segment of a path: everything but RFC 3986's unreserved characters percent-encoded.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    // A dot segment would be taken out of the path by the browser.
    match out.as_str() {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_and_markup_is_not() {
        let evil = "<script>\"'&".to_owned();
        let inner = html!("<b>" (evil) "</b>");
        let outer = html!("<p title=\"" (evil) "\">" (inner) (7_u64) "</p>");
        assert_eq!(
            outer.as_str(),
            "<p title=\"&lt;script&gt;&quot;&#39;&amp;\"><b>&lt;script&gt;&quot;&#39;&amp;</b>7</p>"
        );
    }

    #[test]
    fn a_segment_cannot_leave_its_place_in_the_path() {
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
        assert_eq!(segment(".."), "%2E%2E");
    }
}
