//! Dates in captures and for people.

use dpop_tower::clock::UnixTime;
use time::{
    OffsetDateTime,
    format_description::well_known::{Rfc2822, Rfc3339},
};

/// Reads a date of RFC 3339, as in a HAR, or the number of seconds since 1970.
pub(super) fn parse(text: &str) -> Option<UnixTime> {
    if let Ok(seconds) = text.parse() {
        return Some(UnixTime::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(UnixTime::from_secs(date.unix_timestamp()))
}

/// Reads the `Date` header of a response (RFC 9110 section 5.6.7).
pub(super) fn parse_http(text: &str) -> Option<UnixTime> {
    let date = OffsetDateTime::parse(text.trim(), &Rfc2822).ok()?;
    Some(UnixTime::from_secs(date.unix_timestamp()))
}

/// Writes a date for people.
pub(super) fn shown(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|date| date.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s since 1970"))
}

/// The time at which something is inspected, and whose clock shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) now: UnixTime,
    /// Such as `the server's Date`.
    pub(super) whose: &'static str,
}

impl Clock {
    /// Writes a date and how far it is from this clock.
    pub(super) fn compared(self, seconds: i64) -> String {
        let offset = UnixTime::from_secs(seconds).seconds_since(self.now);
        let distance = duration(offset.unsigned_abs());
        let (date, whose) = (shown(seconds), self.whose);
        match offset {
            0 => format!("{date} is {whose}"),
            1.. => format!("{date} is {distance} after {whose}"),
            _ => format!("{date} is {distance} before {whose}"),
        }
    }
}

/// Writes a number of seconds, and from two minutes on what that is about.
pub(super) fn duration(seconds: u64) -> String {
    let about = match seconds {
        0..120 => return format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    format!("{seconds} s (about {about})")
}
