//! Tests of the program from outside.

mod config;
mod deploy;
