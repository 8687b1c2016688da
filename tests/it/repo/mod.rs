//! Tests of the repository itself: its layers, its documentation and its words.

mod architecture;
mod book;
mod commands;
mod documentation;
mod settings;
mod words;
