//! Stories of the whole program and of its parts against real peers.

mod gpio_pishim;
