//! The file: gzip (RFC 1952) over lines of JSON: a [`Header`], a [`Step`] each, an [`End`].
//!
//! A file may come from anybody: what it unpacks to is limited before it is kept, and the checksum of the
//! container covers all of it.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{End, FORMAT, Header, Step, Trace, VERSION};

/// What a file may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes of a line.
    pub line: u64,
    /// Steps.
    pub steps: usize,
}

impl Default for ReadLimits {
    /// More than any recording that [`RECORDED_BYTES`](crate::capability::RECORDED_BYTES) allows.
    fn default() -> Self {
        Self {
            bytes: 512 << 20,
            line: 192 << 20,
            steps: 2_000_000,
        }
    }
}

/// Why a file is no trace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(#[source] io::Error),
    /// It is not packed as a trace is, or its checksum is wrong.
    #[error("the file is damaged or no trace: {0}")]
    Damaged(String),
    /// It ends before the end of the pass.
    #[error("the file ends after {steps} steps, before the end of the pass")]
    Truncated {
        /// Steps that were read.
        steps: usize,
    },
    /// It is a trace of another version.
    #[error("the trace has version {found}; this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// A line is not what it should be.
    #[error("line {line} is not of a trace: {why}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// It unpacks to more than is read.
    #[error("the trace is over the limit: {0}")]
    OverLimit(&'static str),
}

impl Trace {
    /// Writes the file.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let mut packed = GzEncoder::new(to, Compression::default());
        line(&mut packed, &self.header)?;
        for step in &self.steps {
            line(&mut packed, step)?;
        }
        line(&mut packed, &self.end)?;
        packed.finish()?.flush()
    }

    /// Reads a file.
    pub fn read(from: impl Read, limits: ReadLimits) -> Result<Self, ReadError> {
        let mut lines = Lines {
            unpacked: BufReader::with_capacity(64 << 10, GzDecoder::new(from)).take(limits.bytes),
            limits,
            line: Vec::new(),
            number: 0,
        };
        let header = header(&mut lines)?;
        let mut steps = Vec::new();
        loop {
            let Some(line) = lines.next()? else {
                return Err(ReadError::Truncated { steps: steps.len() });
            };
            if line.starts_with(br#"{"end""#) {
                let end: End = lines.parsed()?;
                return match lines.next()? {
                    None => Ok(Self { header, steps, end }),
                    Some(_) => Err(lines.wrong("nothing may follow the end")),
                };
            }
            if steps.len() == limits.steps {
                return Err(ReadError::OverLimit("steps"));
            }
            let step: Step = lines.parsed()?;
            steps.push(step);
        }
    }
}

fn line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

fn header(lines: &mut Lines<impl Read>) -> Result<Header, ReadError> {
    if lines.next()?.is_none() {
        return Err(ReadError::Damaged("it is empty".to_owned()));
    }
    // Looked at before the rest: another version may have another header.
    let head: Value = lines.parsed()?;
    if head.get("format").and_then(Value::as_str) != Some(FORMAT) {
        return Err(ReadError::Damaged(
            "it does not say that it is a trace".to_owned(),
        ));
    }
    match head.get("version").and_then(Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => lines.parsed(),
        version => Err(ReadError::Version {
            found: version.unwrap_or_default(),
        }),
    }
}

/// The lines of a file that nobody has vouched for.
struct Lines<R> {
    unpacked: io::Take<BufReader<GzDecoder<R>>>,
    limits: ReadLimits,
    line: Vec<u8>,
    number: usize,
}

impl<R: Read> Lines<R> {
    /// The next line without its end; `None` after the last.
    fn next(&mut self) -> Result<Option<&[u8]>, ReadError> {
        self.line.clear();
        self.number += 1;
        let mut one = (&mut self.unpacked).take(self.limits.line);
        let read = one.read_until(b'\n', &mut self.line).map_err(damaged)?;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            return Ok(Some(&self.line));
        }
        if self.unpacked.limit() == 0 {
            return Err(ReadError::OverLimit("bytes"));
        }
        if read as u64 == self.limits.line {
            return Err(ReadError::OverLimit("bytes of a line"));
        }
        if read > 0 {
            return Err(self.wrong("it is cut off"));
        }
        Ok(None)
    }

    fn parsed<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        serde_json::from_slice(&self.line).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, why: impl std::fmt::Display) -> ReadError {
        ReadError::Line {
            line: self.number,
            why: why.to_string(),
        }
    }
}

/// What the container says is the file's fault; the rest is the disk's.
fn damaged(error: io::Error) -> ReadError {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ReadError::Damaged(error.to_string())
        }
        _ => ReadError::Io(error),
    }
}

#[cfg(test)]
mod tests;
