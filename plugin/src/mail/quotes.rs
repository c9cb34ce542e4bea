//! How mail programs introduce what they quote, in plain text.
//!
//! The phrases are those of Gmail, Outlook, Apple Mail and Thunderbird in their larger languages. Each function looks at
//! the beginning of a few lines and is strict rather than clever: a missed quotation is shown, a wrong match hides text.

/// An attribution line (`On …, Ann wrote:`).
pub(super) struct Attribution {
    /// How many lines it takes: programs wrap it.
    pub(super) lines: usize,
}

/// The longest attribution, in bytes.
const MAX_ATTRIBUTION_BYTES: usize = 400;

/// Beginning and end of attributions; an empty beginning matches any, and then a digit (of the date) or an `@` must occur.
const ATTRIBUTIONS: &[(&str, &[&str])] = &[
    ("on ", &["wrote:"]),
    ("", &["wrote:"]),
    ("am ", &["schrieb:", "geschrieben:"]),
    ("le ", &["a écrit :", "a écrit:", "a écrit\u{a0}:"]),
    ("el ", &["escribió:"]),
    ("em ", &["escreveu:"]),
    ("a ", &["escreveu:"]),
    ("il ", &["ha scritto:"]),
    ("op ", &["schreef:", "geschreven:"]),
    ("den ", &["skrev:"]),
    ("w dniu ", &["napisał(a):", "napisał:", "napisała:", "pisze:"]),
    ("dne ", &["napsal(a):", "napsal:", "napsala:"]),
    ("", &["написал:", "написала:", "написал(а):", "пишет:"]),
    ("", &["写道:", "写道：", "寫道:", "寫道："]),
    ("", &["のメール:", "書きました:", "に書きました:"]),
    ("", &["님이 작성:", "작성:"]),
    ("", &["kirjoitti:"]),
    ("", &["yazdı:", "tarihinde şunu yazdı:"]),
];

/// Words after which a name stands before the colon (`schrieb Ann Example <ann@example.com>:`).
const VERB_THEN_NAME: &[(&str, &str)] = &[("am ", " schrieb "), ("op ", " schreef "), ("den ", " skrev ")];

/// An attribution at the beginning of `lines` (trimmed), over at most three lines.
pub(super) fn attribution(lines: &[&str]) -> Option<Attribution> {
    let mut joined = String::new();
    for (i, line) in lines.iter().take(3).enumerate() {
        if line.is_empty() || line.starts_with('>') {
            return None;
        }
        if i > 0 {
            joined.push(' ');
        }
        joined.push_str(&line.to_lowercase());
        if joined.len() > MAX_ATTRIBUTION_BYTES {
            return None;
        }
        if joined.ends_with([':', '：']) {
            return is_attribution(&joined).then_some(Attribution { lines: i + 1 });
        }
    }
    None
}

fn is_attribution(line: &str) -> bool {
    let dated = line.contains(|c: char| c.is_ascii_digit()) || line.contains('@');
    let plain = ATTRIBUTIONS
        .iter()
        .any(|(start, ends)| line.starts_with(start) && ends.iter().any(|end| line.ends_with(end)));
    let named = VERB_THEN_NAME
        .iter()
        .any(|(start, verb)| line.starts_with(start) && line.contains(verb));
    dated && (plain || named)
}

/// `-----Original Message-----` and its translations: everything below is history.
pub(super) fn original_marker(line: &str) -> bool {
    const WORDS: &[&str] = &[
        "original message",
        "ursprüngliche nachricht",
        "originalnachricht",
        "message d'origine",
        "message d’origine",
        "mensaje original",
        "mensagem original",
        "messaggio originale",
        "oorspronkelijk bericht",
        "ursprungligt meddelande",
        "oprindelig meddelelse",
        "wiadomość oryginalna",
        "původní zpráva",
        "исходное сообщение",
        "原始邮件",
        "原始郵件",
        "元のメッセージ",
        "원본 메시지",
        "reply message",
        "original appointment",
    ];
    dashed(line).is_some_and(|inner| WORDS.contains(&inner.as_str()))
}

/// `---------- Forwarded message ---------` and its translations: what follows is the message's content.
pub(super) fn forwarded_marker(line: &str) -> bool {
    const WORDS: &[&str] = &[
        "forwarded message",
        "begin forwarded message:",
        "weitergeleitete nachricht",
        "weitergeleitete message",
        "message transféré",
        "mensaje reenviado",
        "mensagem encaminhada",
        "messaggio inoltrato",
        "doorgestuurd bericht",
        "forwarded by",
        "vidarebefordrat meddelande",
        "przekazana wiadomość",
        "пересылаемое сообщение",
        "转发的邮件",
        "轉寄的郵件",
        "転送されたメッセージ",
    ];
    let start: String = line
        .trim_start()
        .chars()
        .take(120)
        .collect::<String>()
        .to_lowercase();
    if start.starts_with("begin forwarded message") {
        return true;
    }
    let words = start.trim_start_matches(['-', ' ']);
    words.len() + 3 < start.len() && WORDS.iter().any(|word| words.starts_with(word))
}

/// The words between two runs of dashes, in lower case.
fn dashed(line: &str) -> Option<String> {
    let line = line.trim();
    let inner = line.trim_matches(['-', '—', '–', '_', ' ']);
    (line.len() <= 120 && line.starts_with("--") && line.ends_with('-') && !inner.is_empty())
        .then(|| inner.to_lowercase())
}

/// Outlook's header block: a `From:` line, and two more fields within the next lines.
pub(super) fn header_block(lines: &[&str]) -> bool {
    const FROM: &[&str] = &[
        "from",
        "von",
        "de",
        "da",
        "van",
        "från",
        "fra",
        "od",
        "от",
        "lähettäjä",
        "发件人",
        "寄件者",
        "差出人",
        "보낸 사람",
    ];
    const OTHER: &[&str] = &[
        "sent",
        "date",
        "to",
        "cc",
        "subject",
        "gesendet",
        "datum",
        "an",
        "betreff",
        "envoyé",
        "à",
        "objet",
        "enviado",
        "enviado el",
        "fecha",
        "para",
        "asunto",
        "assunto",
        "data",
        "inviato",
        "a",
        "oggetto",
        "verzonden",
        "aan",
        "onderwerp",
        "skickat",
        "till",
        "ämne",
        "sendt",
        "til",
        "emne",
        "wysłano",
        "do",
        "temat",
        "odesláno",
        "komu",
        "předmět",
        "отправлено",
        "дата",
        "кому",
        "тема",
        "lähetetty",
        "vastaanottaja",
        "aihe",
        "发送时间",
        "收件人",
        "主题",
        "寄件日期",
        "收件者",
        "主旨",
        "送信日時",
        "宛先",
        "件名",
        "보낸 날짜",
        "받는 사람",
        "제목",
    ];
    let label = |line: &str| -> Option<String> {
        let (label, value) = line.split_once([':', '：'])?;
        let label = label.trim_matches(['*', ' ', '\u{a0}']).to_lowercase();
        (!value.trim().is_empty() && label.len() <= 40).then_some(label)
    };
    let Some((first, rest)) = lines.split_first() else {
        return false;
    };
    label(first).is_some_and(|first| FROM.contains(&first.as_str()))
        && rest
            .iter()
            .take(6)
            .filter_map(|line| label(line))
            .filter(|label| OTHER.contains(&label.as_str()))
            .count()
            >= 2
}
