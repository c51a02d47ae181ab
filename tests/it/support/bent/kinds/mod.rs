//! The cameras, by what is bent of them.

mod datagrams;
mod description;
mod keepalive;
mod login;
mod packets;
mod pictures;
mod time;
mod words;

pub(crate) use datagrams::DATAGRAMS;
pub(crate) use description::DESCRIPTIONS;
pub(crate) use keepalive::KEEPALIVES;
pub(crate) use login::LOGINS;
pub(crate) use packets::PACKETS;
pub(crate) use pictures::PICTURES;
pub(crate) use time::TIMES;
pub(crate) use words::{REFUSALS, WORDS};
