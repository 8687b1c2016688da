//! The public API: settings, seams, the test utilities, and compiler messages.

mod durations;
mod seams;
mod test_kit;
mod ui;
mod warnings;
