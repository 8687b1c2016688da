//! What users write against: settings, seams, the test utilities, and what the compiler says.

mod durations;
mod seams;
mod test_kit;
mod ui;
