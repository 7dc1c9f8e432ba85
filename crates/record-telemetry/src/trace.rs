//! Trace contexts, which travel inside records.

use std::fmt;
use std::str::FromStr;

/// A trace and the span that caused an event: a `traceparent` of version 00.
///
/// Source: W3C Trace Context, "traceparent Header".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// Not a valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is 00-TRACE-PARENT-FLAGS, with 32, 16 and 2 lower-case hexadecimal digits")]
pub struct InvalidTraceContext;

impl FromStr for TraceContext {
    type Err = InvalidTraceContext;

    fn from_str(text: &str) -> Result<Self, InvalidTraceContext> {
        let parts: Vec<_> = text.split('-').collect();
        let &["00", trace_id, parent_id, flags] = parts.as_slice() else {
            return Err(InvalidTraceContext);
        };
        Self::parse_hex(trace_id, parent_id, flags).ok_or(InvalidTraceContext)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, parent_id, flags } = self;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

impl TraceContext {
    /// Parses an X-Ray tracing header, such as Lambda gives its functions:
    /// `Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1`. Returns `None`
    /// if it lacks a root or a parent.
    ///
    /// Source: "AWS X-Ray concepts", AWS X-Ray developer guide.
    #[must_use]
    pub fn from_xray(header: &str) -> Option<Self> {
        let field = |name: &str| {
            header.split(';').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let flags = if field("Sampled") == Some("1") { "01" } else { "00" };
        Self::parse_hex(&format!("{time}{random}"), field("Parent")?, flags)
    }

    fn parse_hex(trace_id: &str, parent_id: &str, flags: &str) -> Option<Self> {
        let trace_id = u128::from_str_radix(hex(trace_id, 32)?, 16).ok()?;
        let parent_id = u64::from_str_radix(hex(parent_id, 16)?, 16).ok()?;
        let flags = u8::from_str_radix(hex(flags, 2)?, 16).ok()?;
        // An id of zeros is invalid.
        (trace_id != 0 && parent_id != 0).then_some(Self { trace_id, parent_id, flags })
    }

    /// Returns the trace id as OpenTelemetry writes it.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// Returns the trace id as AWS X-Ray writes it.
    #[must_use]
    pub fn xray_trace_id(&self) -> String {
        let id = self.trace_id();
        let (time, random) = id.split_at(8);
        format!("1-{time}-{random}")
    }
}

fn hex(text: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01";
    const XRAY: &str = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";

    #[test]
    fn a_traceparent_survives_a_round_trip() {
        let context: TraceContext = TRACEPARENT.parse().unwrap();
        assert_eq!(context.to_string(), TRACEPARENT);
        assert_eq!(context.trace_id(), "67891233abcdef012345678912345678");
        assert_eq!(context.xray_trace_id(), "1-67891233-abcdef012345678912345678");
    }

    #[test]
    fn an_xray_header_is_converted() {
        let parse = TraceContext::from_xray;
        assert_eq!(parse(XRAY).unwrap().to_string(), TRACEPARENT);
        assert_eq!(parse(&format!("{XRAY};Lineage=1:8:0")).unwrap().to_string(), TRACEPARENT);
        let unsampled = parse(&XRAY.replace("Sampled=1", "Sampled=0")).unwrap().to_string();
        assert_eq!(unsampled, TRACEPARENT.replace("-01", "-00"));
        for header in
            ["", "Root=1-67891233-abcdef012345678912345678;Sampled=1", "Root=2-a-b;Parent=1"]
        {
            assert_eq!(parse(header), None, "{header}");
        }
    }

    #[test]
    fn invalid_traceparents_are_rejected() {
        let zeros = |part: &str| TRACEPARENT.replace(part, &"0".repeat(part.len()));
        for text in [
            String::new(),
            TRACEPARENT.to_uppercase(),
            TRACEPARENT.replacen("00", "ff", 1),
            format!("{TRACEPARENT}-00"),
            format!(" {TRACEPARENT}"),
            TRACEPARENT.replace("-01", "-1"),
            TRACEPARENT.replace("-01", "-+1"),
            TRACEPARENT.replace('5', "g"),
            zeros("67891233abcdef012345678912345678"),
            zeros("53995c3f42cd8ad8"),
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(InvalidTraceContext), "{text}");
        }
    }
}
