//! What comes over the wire, taken apart: command lines, and the lines of a message until its end.
//!
//! A line ends with CR LF and with nothing else. Servers that disagree about that can be made to see two
//! messages where there is one (CVE-2023-51764): a CR or LF alone ends the session.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest command, bytes: RFC 5321 has 512, extensions add to that.
pub(super) const LONGEST_COMMAND: usize = 2_048;
/// The longest line of a message, bytes: RFC 5322 has 1,000, and programs that write longer ones exist.
const LONGEST_LINE: usize = 64 << 10;
/// Bytes read at once.
const READ: usize = 64 << 10;

/// Why what comes is not SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// CR or LF alone.
    #[error("a bare CR or LF")]
    BareLineEnd,
    /// Longer than lines may be.
    #[error("a line that is too long")]
    LineTooLong,
}

/// Why there is nothing more to read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the connection has ended")]
    Ended,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads a connection.
pub(super) struct Reader<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
        }
    }

    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The stream, if nothing was read ahead of what was asked for.
    pub(super) fn into_stream(self) -> Option<S> {
        self.buffer.is_empty().then_some(self.stream)
    }

    /// The next command, with its line end.
    pub(super) async fn command(&mut self) -> Result<Bytes, ReadError> {
        loop {
            if let Some(line) = take_line(&mut self.buffer, LONGEST_COMMAND)? {
                return Ok(line);
            }
            self.fill().await?;
        }
    }

    /// The next lines of a message, dots unstuffed; none at its end.
    pub(super) async fn data(&mut self) -> Result<Option<Bytes>, ReadError> {
        loop {
            let mut lines = BytesMut::new();
            let is_over = take_data(&mut self.buffer, &mut lines)?;
            if !lines.is_empty() {
                if is_over {
                    // Found again by the next call.
                    let rest = std::mem::take(&mut self.buffer);
                    self.buffer.extend_from_slice(END);
                    self.buffer.unsplit(rest);
                }
                return Ok(Some(lines.freeze()));
            }
            if is_over {
                return Ok(None);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), ReadError> {
        self.buffer.reserve(READ);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(ReadError::Ended);
        }
        Ok(())
    }
}

/// The line that ends a message.
const END: &[u8] = b".\r\n";

/// A message that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its lines.
    pub message: Vec<u8>,
    /// What follows its end.
    pub rest: Vec<u8>,
}

/// The lines of one whole message as it was transmitted, dots unstuffed, and what follows its end; `None` if
/// its end does not come. For tests of the rules by which a message ends.
pub fn unstuffed(transmitted: &[u8]) -> Result<Option<Ended>, Malformed> {
    let mut buffer = BytesMut::from(transmitted);
    let mut lines = BytesMut::new();
    let is_over = take_data(&mut buffer, &mut lines)?;
    Ok(is_over.then(|| Ended {
        message: lines.to_vec(),
        rest: buffer.to_vec(),
    }))
}

/// Moves whole lines of a message; whether its end was among them.
fn take_data(buffer: &mut BytesMut, lines: &mut BytesMut) -> Result<bool, Malformed> {
    while let Some(mut line) = take_line(buffer, LONGEST_LINE)? {
        if line == END {
            return Ok(true);
        }
        if line.first() == Some(&b'.') {
            line.advance(1);
        }
        lines.extend_from_slice(&line);
    }
    Ok(false)
}

/// The first line with its end, if it is whole.
fn take_line(buffer: &mut BytesMut, longest: usize) -> Result<Option<Bytes>, Malformed> {
    let Some(at) = buffer.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if buffer.len() > longest {
            Err(Malformed::LineTooLong)
        } else {
            Ok(None)
        };
    };
    if at + 2 > longest {
        return Err(Malformed::LineTooLong);
    }
    match buffer.get(at..at + 2) {
        Some(b"\r\n") => Ok(Some(buffer.split_to(at + 2).freeze())),
        // The LF of this CR may still come.
        None if buffer.get(at) == Some(&b'\r') => Ok(None),
        _ => Err(Malformed::BareLineEnd),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_unstuffed_and_only_a_dot_alone_on_its_line_ends_a_message() {
        let transmitted = b"one\r\n..\r\n..two\r\n. \r\n.\r\nQUIT\r\n";
        let expected = Ended {
            message: b"one\r\n.\r\n.two\r\n \r\n".to_vec(),
            rest: b"QUIT\r\n".to_vec(),
        };
        assert_eq!(unstuffed(transmitted), Ok(Some(expected)));
        assert_eq!(unstuffed(b"one\r\n"), Ok(None));
    }

    #[test]
    fn a_line_end_that_is_not_cr_lf_is_refused_wherever_it_is() {
        for smuggled in [
            "a\n.\r\nMAIL",
            "a\r\n.\nMAIL",
            "a\r\n.\rMAIL",
            "a\rb\r\n.\r\n",
            "\n",
            "a\r\r\n",
        ] {
            assert_eq!(
                unstuffed(smuggled.as_bytes()),
                Err(Malformed::BareLineEnd),
                "{smuggled:?}"
            );
        }
    }

    #[tokio::test]
    async fn lines_come_whole_in_whatever_pieces_they_arrive() {
        let text = b"EHLO x\r\nhead\r\n\r\n..dot\r\n.\r\nQUIT\r\n";
        for size in 1..text.len() {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let pieces: Vec<Vec<u8>> = text.chunks(size).map(<[u8]>::to_vec).collect();
            tokio::spawn(async move {
                for piece in pieces {
                    tokio::io::AsyncWriteExt::write_all(&mut client, &piece)
                        .await
                        .unwrap();
                    tokio::task::yield_now().await;
                }
            });
            let mut reader = Reader::new(server);
            assert_eq!(&reader.command().await.unwrap()[..], b"EHLO x\r\n");
            let mut message = Vec::new();
            while let Some(lines) = reader.data().await.unwrap() {
                message.extend_from_slice(&lines);
            }
            assert_eq!(message, b"head\r\n\r\n.dot\r\n");
            assert_eq!(&reader.command().await.unwrap()[..], b"QUIT\r\n");
            assert!(matches!(reader.command().await, Err(ReadError::Ended)));
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut buffer = BytesMut::from(&vec![b'x'; LONGEST_COMMAND + 1][..]);
        assert_eq!(
            take_line(&mut buffer, LONGEST_COMMAND),
            Err(Malformed::LineTooLong)
        );
    }
}
