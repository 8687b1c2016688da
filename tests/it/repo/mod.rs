//! Tests of the repository itself: its layers, its documentation and its words.

mod architecture;
mod documentation;
mod settings;
mod words;
