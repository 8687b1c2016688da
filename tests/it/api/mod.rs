//! The public API: settings, seams, the test utilities, and compiler messages.

mod compile_errors;
mod durations;
mod seams;
mod test_kit;
mod ui;
mod warnings;
