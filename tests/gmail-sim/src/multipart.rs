//! MIME multipart bodies of requests (RFC 2046): uploads and batches.
//!
//! Clients differ: Google's Python client writes bare LF, others CRLF; boundaries come quoted or not. Both are read.

/// A part: its header fields (names in lower case) and its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

impl Part<'_> {
    /// A header of the part.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Splits a body at the boundary of its content type; `None` if there is no boundary, no part, or too many.
pub(crate) fn parse<'a>(content_type: &str, body: &'a [u8], most: usize) -> Option<Vec<Part<'a>>> {
    let boundary = boundary(content_type)?;
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    let mut at = 0;
    while at < body.len() {
        let end = line_end(body, at);
        let line = body.get(at..end)?.trim_ascii_end();
        if let Some(rest) = line
            .strip_prefix(delimiter.as_bytes())
            .filter(|rest| rest.is_empty() || *rest == b"--")
        {
            if let Some(start) = start {
                parts.push(part(without_line_end(body.get(start..at)?)));
            }
            if rest == b"--" || parts.len() > most {
                break;
            }
            start = Some(end);
        }
        at = end;
    }
    (!parts.is_empty() && parts.len() <= most).then_some(parts)
}

/// Splits header lines from content at the first empty line.
pub(crate) fn part(bytes: &[u8]) -> Part<'_> {
    let mut headers = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = bytes.get(at..end).unwrap_or_default().trim_ascii();
        at = end;
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(line);
        if let Some((name, value)) = text.split_once(':') {
            headers.push((name.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    Part {
        headers,
        body: bytes.get(at..).unwrap_or_default(),
    }
}

fn boundary(content_type: &str) -> Option<String> {
    content_type
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        .filter(|boundary| !boundary.is_empty())
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes
        .get(from..)
        .unwrap_or_default()
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |at| from + at + 1)
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crlf_and_bare_lf_bodies_are_read_alike() {
        let text =
            "preamble\n--b x\nContent-Type: application/json\n\n{}\n--b x\nA: 1\n\nline 1\nline 2\n--b x--\n";
        for body in [text.to_owned(), text.replace('\n', "\r\n")] {
            let parts = parse("multipart/related; boundary=\"b x\"", body.as_bytes(), 2).unwrap();
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[0].header("content-type"), Some("application/json"));
            assert_eq!(parts[0].body, b"{}");
            assert_eq!(with_lf(parts[1].body), "line 1\nline 2");
        }
    }

    #[test]
    fn bodies_without_boundary_or_with_too_many_parts_are_refused() {
        assert!(parse("multipart/related", b"--\n", 2).is_none());
        assert!(parse("multipart/related; boundary=b", b"nothing", 2).is_none());
        assert!(parse("multipart/related; boundary=b", b"--b\n\n1\n--b\n\n2\n--b--", 1).is_none());
    }

    fn with_lf(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace("\r\n", "\n")
    }
}
