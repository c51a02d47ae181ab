//! Whole parts of the program against real peers on loopback.

mod web;
