//! The log of a test.

use std::{cell::RefCell, io, sync::Once};

use tracing_subscriber::fmt::MakeWriter;

thread_local! {
    /// What this thread, and so this test, has logged since it began to listen.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ThisThread;

impl io::Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.with_borrow_mut(|lines| {
            if let Some(lines) = lines {
                lines.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for ThisThread {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

/// The log of a test's thread. The test's runtime must not have others.
///
/// All threads share one subscriber. With one per thread, `tracing` might ask the subscriber of another
/// test whether it is interested in an event, and cache the answer.
pub struct Log(());

impl Log {
    pub fn listen() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_writer(ThisThread)
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .init();
        });
        LINES.set(Some(Vec::new()));
        Self(())
    }

    /// Returns the lines that were logged since the last call.
    pub fn take(&self) -> Vec<String> {
        let lines = LINES.replace(Some(Vec::new())).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        lines.lines().map(str::to_owned).collect()
    }

    /// Returns the only line that was logged since the last call.
    pub fn line(&self) -> String {
        let lines = self.take();
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.concat()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}
