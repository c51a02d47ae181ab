//! Pictures that come by themselves: who may bring them, and by which ways.
//!
//! [`Door`] is the one that lets in; what was let in takes the way of every picture: file, row, queue, then the answer.

mod door;
mod folder;
mod ftp;
mod tries;

pub use door::{Door, Introduction, NotAdmitted};
pub use folder::FolderTask;
pub use ftp::{FtpServer, rehearse as rehearse_ftp};
