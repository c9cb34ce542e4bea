//! Time in proportion to size: four times the input takes about four times as long, whatever it repeats.
//!
//! Measured is the thread's own time on a processor, which others cannot use up. What grows with the square takes
//! sixteen times as long.

use rustix::time::{ClockId, clock_gettime};
use twinbox_plugin::mail::{
    AttachmentDecoder, Envelope, Sanitiser, delivery_status, fold_html, message_ids, parse, parse_mailboxes,
    quoted_from, same_subject, to_text,
};

use crate::Choices;

/// Sizes that are compared, bytes.
const SMALL: usize = 12 << 10;
const LARGE: usize = 4 * SMALL;
/// How many times as long the large one may take: four, and what chance adds.
const MOST: u64 = 9;
/// Below this, in nanoseconds, nothing is compared.
const LITTLE: u64 = 20_000_000;

const PIECES: &[&str] = &[
    " ",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "\0",
    "a",
    "é",
    "<",
    ">",
    "</",
    "<a ",
    "<a b",
    "<a b ",
    "<a b=",
    "<a b='",
    "<a b=\"",
    "=",
    " =",
    "/",
    "\"",
    "'",
    "\\",
    "&",
    "&#",
    "&amp",
    "&amp;",
    ";",
    "<!--",
    "-->",
    "--",
    "--!>",
    "<!",
    "<?",
    "<b>",
    "<p>",
    "<div>",
    "<table>",
    "<td>",
    "<font x=1>",
    "<a href=x>",
    "</p>",
    "</b>",
    "<br>",
    "<li>",
    "<script>",
    "</script",
    "<style>",
    "<img alt='x'>",
    "<blockquote type=cite>",
    "<div class=gmail_quote>",
    "<div id=appendonsend>",
    "(",
    ")",
    "<<",
    ",",
    ":",
    "@",
    "a@b",
    "<a@b>",
    "<a@b> ",
    "a@b,",
    "\"a\" <b@c>,",
    "=?utf-8?q?a?=",
    "=?utf-8?q?a?= ",
    "=?",
    "?=",
    "=?utf-8?b?",
    "a: b\r\n",
    "a:\r\n ",
    "\r\n ",
    "To: a@b\r\n",
    "References: <a@b>\r\n",
    "Content-Type: text/plain\r\n",
    "--b\r\n",
    "\r\n--b\r\n\r\n",
    "--b",
    "\r\n--",
    "--b--\r\n",
    "=3D",
    "=\r\n",
    "> ",
    ">",
    "On 1 wrote:\n",
    "\n> x",
    "-----Original Message-----\n",
    "From: a\n",
    "______\n",
    "; a=b",
    "; a*0=b",
    "; a*1*=utf-8''%ff",
    "a=\"",
    "Re: ",
    "begin 644 a\n",
    "+AGE-",
    "\u{1b}$B",
];

const HEADS: &[&str] = &[
    "",
    "<a b",
    "<a b=\"",
    "<p",
    "<img alt=\"",
    "<pre>",
    "<!--",
    "Subject: ",
    "To: ",
    "From: \"",
    "References: ",
    "Content-Type: text/plain; name=",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    "Content-Type: text/html\r\n\r\n",
    "Content-Type: text/plain; charset=utf-7\r\n\r\n",
    "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n",
    "{\"data\":\"",
    "Content-Transfer-Encoding: base64\r\n\r\n",
    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    "\n\n",
    "x\r\n\r\n",
];

const TAILS: &[&str] = &[
    "",
    "=x>",
    "\">",
    ">",
    "-->",
    "x",
    "\r\n\r\n",
    "\r\n--b--\r\n",
    "\"",
    "?=",
];

/// White space after an attribute's name was looked through again for each of its characters.
const ONCE_TOO_LONG: &[(&str, &str, &str)] = &[("<a b", " ", "=x>")];

/// Takes what comes from outside.
pub type Function = fn(&str);

/// All that do, with their names.
const FUNCTIONS: &[(&str, Function)] = &[
    ("parse", |text| {
        let _ = parse(text.as_bytes());
    }),
    ("clean", |text| {
        let _ = Sanitiser::new().clean(text);
    }),
    ("clean and fold", |text| {
        let _ = fold_html(Sanitiser::new().clean(text));
    }),
    ("to_text", |text| {
        let _ = to_text(text);
    }),
    ("quoted_from", |text| {
        let _ = quoted_from(text);
    }),
    ("parse_mailboxes", |text| {
        let _ = parse_mailboxes(text);
    }),
    ("message_ids", |text| {
        let _ = message_ids(text);
    }),
    ("Envelope::from_raw", |text| {
        let _ = Envelope::from_raw(text.as_bytes());
    }),
    ("Envelope::from_headers", |text| {
        let _ = Envelope::from_headers(&["Subject", "To"].map(|name| (name.to_owned(), text.to_owned())));
    }),
    ("delivery_status", |text| {
        let _ = delivery_status::failures(text.as_bytes());
        let _ = delivery_status::original_message_id(text.as_bytes());
    }),
    ("same_subject", |text| {
        let _ = same_subject(text, "x");
    }),
    ("AttachmentDecoder", |text| {
        let _ = AttachmentDecoder::new().push(text.as_bytes());
    }),
];

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (head, tail) = (choices.pick(HEADS), choices.pick(TAILS));
    let piece: String = (0..=choices.below(3)).map(|_| choices.pick(PIECES)).collect();
    let (name, function) = FUNCTIONS[choices.below(FUNCTIONS.len())];
    check(name, function, head, &piece, tail);
}

/// Every function on every piece alone, and on what once took too long: what needs no luck to be found.
pub fn each_piece_alone() {
    for (name, function) in FUNCTIONS {
        for piece in PIECES {
            check(name, *function, "", piece, "");
        }
        for (head, piece, tail) in ONCE_TOO_LONG {
            check(name, *function, head, piece, tail);
        }
    }
}

/// The cost of the repeated piece.
///
/// # Panics
///
/// When it grows faster than the input.
pub fn check(name: &str, function: Function, head: &str, piece: &str, tail: &str) {
    let input = |size: usize| format!("{head}{}{tail}", piece.repeat(size / piece.len()));
    let (small, large) = (input(SMALL), input(LARGE));
    let mut times = 0;
    // What is slow by chance is not slow thrice.
    for _ in 0..3 {
        let long = time(|| function(&large));
        if long < LITTLE {
            return;
        }
        times = long / time(|| function(&small)).max(1);
        if times <= MOST {
            return;
        }
    }
    panic!("{name} takes {times} times as long for four times {head:?} + {piece:?} + {tail:?}");
}

/// Nanoseconds of this thread on a processor. The clock is exact where `/proc/thread-self/schedstat` is brought up to
/// date at ticks alone.
fn time(work: impl FnOnce()) -> u64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        u64::try_from(i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)).unwrap_or(0)
    };
    let before = now();
    work();
    now().saturating_sub(before)
}
